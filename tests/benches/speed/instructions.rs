//! Instructions of a whole server for one request, by callgrind: repeatable where processor time is not. What the kernel does is not
//! among them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use crate::process::Process;

/// Requests before any is counted: connections are made, caches filled.
const WARM: usize = 50;
/// Requests that are counted.
const COUNTED: usize = 200;

/// Instructions for one request to `path` of `server`, started behind valgrind; `bodies` are sent in turn. Each answer has `status`.
pub(crate) fn of(
    start: impl FnOnce(&[&str]) -> Process,
    path: &str,
    bodies: &Path,
    authorization: Option<&str>,
    status: u16,
) -> f64 {
    let out = bodies.with_extension("callgrind");
    let file = format!("--callgrind-out-file={}", out.display());
    let process = start(&["valgrind", "--quiet", "--tool=callgrind", "--instr-atstart=no", &file]);
    let lines = BufReader::new(std::fs::File::open(bodies).unwrap()).lines().map(Result::unwrap);
    let mut lines = lines.collect::<Vec<_>>().into_iter().cycle();
    let mut connection = Connection::to(process.public);
    let mut send = |count| {
        for body in lines.by_ref().take(count) {
            assert_eq!(connection.post(path, &body, authorization), status);
        }
    };
    let pid = process.pid().to_string();
    send(WARM);
    control(&["--instr=on", &pid]);
    send(WARM);
    control(&["--zero", &pid]);
    send(COUNTED);
    control(&["--dump", &pid]);
    let dump = out.with_extension("callgrind.1");
    let text = std::fs::read_to_string(&dump).unwrap();
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ")).unwrap();
    let total: f64 = total.trim().parse().unwrap();
    if let Some(kept) = crate::option("PROFILES") {
        std::fs::create_dir_all(&kept).unwrap();
        let name = format!("{}-{pid}.callgrind", bodies.file_stem().unwrap().to_str().unwrap());
        std::fs::copy(&dump, Path::new(&kept).join(name)).unwrap();
    }
    std::fs::remove_file(dump).unwrap();
    total / COUNTED as f64
}

fn control(arguments: &[&str]) {
    let done = Command::new("callgrind_control").args(arguments).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// A connection that is kept.
pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(crate) fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    /// The status of the answer to a form.
    pub(crate) fn post(&mut self, path: &str, form: &str, authorization: Option<&str>) -> u16 {
        self.answer(path, form, authorization).0
    }

    /// Status and body of the answer to a form.
    pub(crate) fn answer(&mut self, path: &str, form: &str, authorization: Option<&str>) -> (u16, Vec<u8>) {
        let authorization = authorization.map(|value| format!("Authorization: {value}\r\n")).unwrap_or_default();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: sts.example.com\r\n{authorization}Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
            form.len()
        );
        self.0.get_mut().write_all((head + form).as_bytes()).unwrap();
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "the server closed the connection");
            match line.trim_end() {
                "" => break,
                head if status == 0 => status = head.split(' ').nth(1).unwrap().parse().unwrap(),
                header => {
                    if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length: ") {
                        length = value.parse().unwrap();
                    }
                }
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        (status, body)
    }
}
