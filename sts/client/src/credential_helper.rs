//! The protocols of git's and Docker's credential helpers.

use std::path::Path;

use serde_json::{Value, json};
use sts_types::UnixTime;

use crate::arguments::{Output, TokenArgs};
use crate::error::ClientError;
use crate::server::AccessToken;
use crate::source::read_file;

/// What the caller writes to standard input.
#[derive(Default)]
pub(crate) struct Asked {
    text: String,
}

impl Asked {
    /// Reads what Docker or git asks for. The answer is a token, so one for a server without TLS is
    /// refused.
    pub(crate) fn read(output: Output) -> Result<Self, ClientError> {
        let question = || Ok(Self { text: read_file(Path::new("-"))?.trim().to_owned() });
        let (asked, is_plain) = match output {
            Output::Docker => {
                let asked: Self = question()?;
                let is_plain = asked.text.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("http://"));
                (asked, is_plain)
            }
            Output::Git => {
                let asked: Self = question()?;
                let is_plain = asked.git_attribute("protocol").is_some_and(|protocol| protocol != "https");
                (asked, is_plain)
            }
            _ => return Ok(Self::default()),
        };
        if is_plain {
            return Err(ClientError::Usage("an access token is given for https only: it is a secret".to_owned()));
        }
        Ok(asked)
    }

    /// An attribute of git's question (`git help credential`, "Input/Output format").
    fn git_attribute(&self, name: &str) -> Option<&str> {
        self.text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    }

    /// The answer to Docker's `get`.
    pub(crate) fn docker(&self, args: &TokenArgs, access: &AccessToken) -> Value {
        json!({ "ServerURL": self.text, "Username": username(args), "Secret": *access.token })
    }

    /// The answer to git's `get`. Git does not use the token after its end.
    #[expect(clippy::unused_self, reason = "beside `docker`, which answers with what was asked")]
    pub(crate) fn git(&self, args: &TokenArgs, access: &AccessToken, expires_at: UnixTime) -> String {
        let (username, expires_at) = (username(args), expires_at.as_secs());
        format!("username={username}\npassword={}\npassword_expiry_utc={expires_at}", *access.token)
    }
}

/// The account, if it is named. Servers that take a token as a password seldom look at it.
fn username(args: &TokenArgs) -> &str {
    args.account.as_deref().unwrap_or("sts")
}
