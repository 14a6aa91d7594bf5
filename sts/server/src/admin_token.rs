//! The admin token: 256 random bits in `data_dir/admin.token`, created at the first start, mode
//! 0600.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sts_console::{AdminTokenError, AdminTokenSource};
use sts_jose::digest_of_parts;
use sts_types::{Digest256, Entropy, NewFileOwner, SecretOwner, create_file, read_secret_file};
use zeroize::Zeroizing;

use crate::start_error::StartError;

/// Random octets in the token.
const BYTES: usize = 32;
/// The largest file to read, in octets.
const MAX_FILE: u64 = 4096;

/// The path of the token.
pub(crate) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("admin.token")
}

/// The token of a running server. The file is read for every request that presents a token, so a
/// changed token takes effect at once.
pub(crate) struct AdminToken {
    path: PathBuf,
    /// The last error that was logged about the file. Each is logged once.
    last_logged: Mutex<Option<String>>,
}

impl AdminToken {
    /// Creates the token if there is none, and checks that it is usable.
    pub(crate) fn open(data_dir: &Path, entropy: &dyn Entropy) -> Result<Self, StartError> {
        let path = path(data_dir);
        // `symlink_metadata` also sees a dangling link, which must not be written through.
        if path.symlink_metadata().is_err() {
            let mut random = Zeroizing::new([0; BYTES]);
            entropy.fill(&mut *random);
            let line = Zeroizing::new(format!("{}\n", *Zeroizing::new(sts_jose::base64url(&*random))));
            create_file(&path, line.as_bytes(), NewFileOwner::Process).map_err(|error| StartError::AdminToken {
                doing: "write",
                path: path.clone(),
                why: error.to_string(),
            })?;
        }
        read(&path)?;
        Ok(Self { path, last_logged: Mutex::default() })
    }

    /// Whether `presented` is the token that the file holds now. No token is accepted while the
    /// file is not usable. Blocks for a small read.
    pub(crate) fn is(&self, presented: &str) -> bool {
        let read = read(&self.path);
        let mut last_logged = self.last_logged.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(token) => {
                *last_logged = None;
                sts_jose::constant_time_eq(presented.as_bytes(), token.as_bytes())
            }
            Err(error) => {
                let text = error.to_string();
                if last_logged.as_ref() != Some(&text) {
                    tracing::error!("no admin token is accepted: {text}");
                    *last_logged = Some(text);
                }
                false
            }
        }
    }
}

/// The token as the console's sessions rest on it.
pub(crate) struct VouchingToken(pub(crate) PathBuf);

impl AdminTokenSource for VouchingToken {
    /// Blocks for a small read.
    fn digest(&self) -> Result<Digest256, AdminTokenError> {
        let token = read(&self.0).map_err(|error| AdminTokenError(error.to_string()))?;
        Ok(digest_of_parts(&[b"sts admin token", token.as_bytes()]))
    }
}

/// Reads the token of a server on this machine.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<String>, StartError> {
    read_as(path, SecretOwner::Ours)
}

/// Reads a token that an operator or orchestrator put at `path`.
pub(crate) fn read_given(path: &Path) -> Result<Zeroizing<String>, StartError> {
    read_as(path, SecretOwner::Configured)
}

fn read_as(path: &Path, owner: SecretOwner) -> Result<Zeroizing<String>, StartError> {
    let failed = |why: String| StartError::AdminToken { doing: "read", path: path.to_owned(), why };
    let file = read_secret_file(path, owner, MAX_FILE).map_err(StartError::Secret)?;
    let token = std::str::from_utf8(&file.bytes).map_err(|_| failed("it is not text".to_owned()))?.trim();
    if token.len() < BYTES {
        return Err(failed(
            "it is too short to be one; remove the file and restart the server to have a new one made".to_owned(),
        ));
    }
    Ok(Zeroizing::new(token.to_owned()))
}
