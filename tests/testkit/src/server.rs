//! A running server: the built binary on loopback, in its own directory.

use crate::{Config, Finished, Key, Lines, Request, Response, Site, Sts, form, send};
use serde_json::Value;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// A server that is ready. It is killed when it is dropped.
#[derive(Debug)]
pub struct Server {
    sts: Sts,
    site: Option<Site>,
    child: Child,
    watchdog: Child,
    lines: Lines,
    public: SocketAddr,
    admin: SocketAddr,
}

impl Server {
    /// Starts a server with that configuration.
    #[must_use]
    pub fn start(sts: Sts, config: &Config) -> Self {
        Self::start_in(sts, Site::with(config))
    }

    /// Starts a server on the `sts.yaml` of that directory.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start_in(sts: Sts, site: Site) -> Self {
        Self::try_start(sts, site).unwrap_or_else(|(_, finished)| panic!("no start: {}", finished.text()))
    }

    /// Starts a server on the `sts.yaml` of that directory, and waits until it is ready or has
    /// ended.
    ///
    /// # Errors
    /// The process and its directory, if it ended.
    pub fn try_start(sts: Sts, site: Site) -> Result<Self, (Site, Finished)> {
        let command = sts.command(site.root());
        Self::spawn(sts, site, command)
    }

    /// Starts a server with a command that ends in the binary, and waits until it is ready or has
    /// ended.
    ///
    /// # Errors
    /// The process and its directory, if it ended.
    pub fn try_start_by(sts: Sts, site: Site, command: Command) -> Result<Self, (Site, Finished)> {
        Self::spawn(sts, site, command)
    }

    /// Starts a server in a shell that has run `limits` first, such as `ulimit -n 64`.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start_under(sts: Sts, site: Site, limits: &str) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{limits} && exec \"$0\" \"$@\""), sts.0]);
        command.current_dir(site.root()).env_clear().stdin(Stdio::null());
        Self::spawn(sts, site, command).unwrap_or_else(|(_, finished)| panic!("no start: {}", finished.text()))
    }

    fn spawn(sts: Sts, site: Site, mut command: Command) -> Result<Self, (Site, Finished)> {
        command.args(["serve", "--config", "sts.yaml"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let [lines, output, errors] = [(); 3].map(|()| Lines::default());
        let readers = [
            lines.collect(child.stdout.take().unwrap(), &output),
            lines.collect(child.stderr.take().unwrap(), &errors),
        ];
        let mut alive = || child.try_wait().unwrap().is_none();
        let Some((public, admin)) = lines.wait_for(&mut ready, &mut alive) else {
            assert!(!alive(), "neither ready nor ended:\n{}", lines.text());
            let code = child.wait().unwrap().code();
            // The readers end with the streams, so the last lines are in.
            for reader in readers {
                reader.join().unwrap();
            }
            return Err((site, Finished { code, stdout: output.text(), stderr: errors.text() }));
        };
        let watchdog = watchdog(&child, &site);
        Ok(Self { sts, site: Some(site), child, watchdog, lines, public, admin })
    }

    /// Ends it by `SIGKILL`, as a crash would, and starts it again on the same files.
    #[must_use]
    pub fn crash_and_restart(self) -> Self {
        let sts = self.sts;
        Self::start_in(sts, self.kill())
    }

    /// Ends it by `SIGKILL`, and returns its directory.
    #[must_use]
    pub fn kill(mut self) -> Site {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.site.take().expect("a directory")
    }

    /// Ends it by `SIGTERM`, and returns its exit code and its directory.
    #[must_use]
    pub fn terminate(self) -> (Option<i32>, Site) {
        self.signal("TERM");
        // The second signal ends the drain, because no client is left.
        self.signal("TERM");
        self.wait()
    }

    /// Waits until it has ended by itself, and returns its exit code and its directory.
    #[must_use]
    pub fn wait(mut self) -> (Option<i32>, Site) {
        let code = self.child.wait().unwrap().code();
        (code, self.site.take().expect("a directory"))
    }

    /// Sends it a signal, by name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Limits the size of the files that it can write, as if the disk were full. `None` removes the
    /// limit.
    pub fn limit_files(&self, bytes: Option<u64>) {
        let limit = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
        let pid = self.child.id().to_string();
        let set = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={limit}:unlimited")]).status();
        assert!(set.unwrap().success());
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    ///
    /// # Panics
    /// If the system does not tell.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        // A process that has ended and was not waited for is a zombie.
        !status.is_empty() && !status.contains(") Z ")
    }

    /// Its directory.
    ///
    /// # Panics
    /// Never: only methods that consume the server take it.
    #[must_use]
    pub fn site(&self) -> &Site {
        self.site.as_ref().expect("a directory")
    }

    /// Its output on both streams: events on standard output, logs on standard error.
    #[must_use]
    pub fn lines(&self) -> &Lines {
        &self.lines
    }

    /// The public listener.
    #[must_use]
    pub fn public(&self) -> SocketAddr {
        self.public
    }

    /// The admin listener.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// A request to the public listener.
    #[must_use]
    pub fn send(&self, request: &Request) -> Response {
        send(self.public, request)
    }

    /// A request to the admin listener with the admin token.
    #[must_use]
    pub fn send_admin(&self, request: Request) -> Response {
        send(self.admin, &request.bearer(&self.admin_token()))
    }

    /// The content of `data_dir/admin.token`.
    #[must_use]
    pub fn admin_token(&self) -> String {
        String::from_utf8(self.site().read("data/admin.token")).unwrap().trim().to_owned()
    }

    /// An exchange of `token` with further parameters, which replace a default one of the same
    /// name.
    #[must_use]
    pub fn exchange(&self, token: &str, parameters: &[(&str, &str)]) -> Response {
        self.send(&exchange_request(token, parameters))
    }

    /// The access token of an exchange that must be granted.
    #[must_use]
    pub fn token(&self, token: &str, parameters: &[(&str, &str)]) -> String {
        let response = self.exchange(token, parameters);
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// Its signing key, read from its files.
    ///
    /// # Panics
    /// If there is none, or more than one.
    #[must_use]
    pub fn signing_key(&self) -> Key {
        let kid = self.jwks()["keys"][0]["kid"].as_str().unwrap().to_owned();
        let files = std::fs::read_dir(self.site().path("data/keys")).unwrap().map(|entry| entry.unwrap().path());
        let mut keys = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
        let (file, None) = (keys.next().expect("a key file"), keys.next()) else { panic!("more than one key file") };
        Key::of_server(&serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap(), &kid)
    }

    /// The published key set.
    #[must_use]
    pub fn jwks(&self) -> Value {
        self.send(&Request::get("/.well-known/jwks.json")).json()
    }

    /// An API's introspection of `token`.
    #[must_use]
    pub fn introspect(&self, api: &str, secret: &str, token: &str) -> Value {
        let request = Request::post_form("/introspect", &[("token", token)]).basic(api, secret);
        let response = self.send(&request);
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()
    }

    /// Revokes `token` by presenting it.
    #[must_use]
    pub fn revoke(&self, token: &str) -> Response {
        self.send(&Request::post_form("/revoke", &[("token", token)]))
    }

    /// Runs a command of the binary against the admin listener.
    #[must_use]
    pub fn cli(&self, arguments: &[&str]) -> Finished {
        let url = format!("http://{}", self.admin);
        let token = self.site().path("data/admin.token");
        let mut all = arguments.to_vec();
        all.extend(["--admin-url", &url, "--admin-token-file", token.to_str().unwrap()]);
        self.sts.run(self.site().root(), &all)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for child in [&mut self.watchdog, &mut self.child] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Ends the server and removes its directory when this process ends. A server that many tests share
/// is in a static, which is never dropped. Its standard input is a pipe that closes with this
/// process, however that ends.
fn watchdog(server: &Child, site: &Site) -> Child {
    let script = r#"read -r _; kill -9 "$1" && rm -rf "$2""#;
    let mut command = Command::new("sh");
    command.args(["-c", script, "watchdog", &server.id().to_string()]).arg(site.root());
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// A `POST /token` for `token`, with further parameters, which replace a default one of the same
/// name.
#[must_use]
pub fn exchange_request(token: &str, parameters: &[(&str, &str)]) -> Request {
    let defaults = [("grant_type", GRANT), ("subject_token_type", JWT), ("subject_token", token)];
    let mut all: Vec<(&str, &str)> =
        defaults.into_iter().filter(|(name, _)| !parameters.iter().any(|(other, _)| other == name)).collect();
    all.extend_from_slice(parameters);
    Request::new("POST", "/token").body("application/x-www-form-urlencoded", form(&all))
}

/// The addresses in the log line that says that the server is ready, in either format.
fn ready(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let json: Value = serde_json::from_str(line).unwrap_or_default();
    let address = |name: &str| match json[name].as_str() {
        Some(address) => address.parse().ok(),
        None => line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok()),
    };
    Some((address("public")?, address("admin")?))
}
