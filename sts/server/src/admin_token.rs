//! The admin token: 256 random bits in `data_dir/admin.token`, made at the first start, mode 0600.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use sts_types::Entropy;
use zeroize::Zeroizing;

use crate::start_error::StartError;

/// Random bytes in the token.
const BYTES: usize = 32;

/// Where the token is kept.
pub(crate) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("admin.token")
}

/// Reads the token, making it when there is none.
pub(crate) fn open(data_dir: &Path, entropy: &dyn Entropy) -> Result<Zeroizing<String>, StartError> {
    let path = path(data_dir);
    if !path.exists() {
        let mut random = Zeroizing::new([0; BYTES]);
        entropy.fill(&mut *random);
        let token = Zeroizing::new(sts_jose::base64url(&*random));
        write_private(&path, token.as_bytes()).map_err(|error| StartError::AdminToken {
            doing: "write",
            path: path.clone(),
            why: error.to_string(),
        })?;
    }
    read(&path)
}

/// Reads the token of a server on this machine.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<String>, StartError> {
    let failed = |why: String| StartError::AdminToken { doing: "read", path: path.to_owned(), why };
    let text = Zeroizing::new(std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?);
    let token = text.trim();
    if token.len() < BYTES {
        return Err(failed(
            "it is too short to be one; remove the file and restart the server to have a new one made".to_owned(),
        ));
    }
    Ok(Zeroizing::new(token.to_owned()))
}

fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(content)?;
    file.write_all(b"\n")?;
    file.sync_all()
}
