//! An authority and certificates that it signed, as files.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// Writes `ca.crt`, and `NAME.crt` and `NAME.key` for each name with its subjects, as PEM files
/// that only their owner reads.
pub(crate) fn write_certificates(folder: &Path, names: &[(&str, Vec<String>)]) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    write_private(&folder.join("ca.crt"), &authority.pem());
    for (name, subjects) in names {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(subjects.clone()).unwrap();
        // A certificate with the authority's name would count as self-signed.
        params.distinguished_name.push(DnType::CommonName, *name);
        let certificate = params.signed_by(&key, &authority).unwrap();
        write_private(&folder.join(format!("{name}.crt")), &certificate.pem());
        write_private(&folder.join(format!("{name}.key")), &key.serialize_pem());
    }
}

/// Writes a file that only its owner reads, in place of one that is there.
pub(crate) fn write_private(path: &Path, text: &str) {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}
