//! `audit:`.

use std::path::PathBuf;

use sts_audit::{AuditSpec, DEFAULT_MAX_FILES, DEFAULT_MAX_SIZE, FileSpec, SyslogTarget};
use sts_types::CheckCode;
use url::{Host, Url};

use super::reader::{Fields, Reader};
use crate::yaml::Node;

/// The port of syslog over TLS (RFC 5425).
const SYSLOG_TLS: u16 = 6514;

pub(super) fn audit(reader: &mut Reader<'_>, fields: &Fields<'_>) -> AuditSpec {
    let Some(members) = reader.section(fields, "audit") else { return AuditSpec::default() };
    AuditSpec {
        file: file(reader, &members),
        syslog: reader.optional(&members, "syslog", syslog),
        required: reader.flag_or(&members, "required", false),
    }
}

fn file(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<FileSpec> {
    let members = reader.section(fields, "file")?;
    let max_size = reader.optional(&members, "max_size", Reader::size).unwrap_or(DEFAULT_MAX_SIZE);
    let max_files = reader.integer_or(&members, "max_files", DEFAULT_MAX_FILES);
    let path = reader.required(&members, "path", Reader::path)?;
    Some(FileSpec { path, max_size, max_files })
}

fn syslog(reader: &mut Reader<'_>, node: &Node) -> Option<SyslogTarget> {
    const FORMS: &str = "write `unix:/dev/log`, or `tls://logs.example.com:6514`";
    let text = reader.text(node)?;
    let target = match text.value.strip_prefix("unix:") {
        Some(path) => unix_socket(path).map(|path| SyslogTarget::Unix(reader.beside(text.span, path))),
        None => tls_receiver(&text.value),
    };
    if target.is_none() {
        let message = format!("{} is not a receiver of syslog messages", text.shown());
        reader.error(CheckCode::InvalidUrl, text.span, message, FORMS);
    }
    target
}

/// The path of a socket. Two slashes before it are those of a URL.
fn unix_socket(path: &str) -> Option<&str> {
    let path = path.strip_prefix("//").filter(|path| path.starts_with('/')).unwrap_or(path);
    (!path.is_empty() && !path.contains('\0') && PathBuf::from(path).file_name().is_some()).then_some(path)
}

fn tls_receiver(text: &str) -> Option<SyslogTarget> {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "tls")?;
    let is_bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    if !is_bare || !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    let host = match url.host()? {
        Host::Domain(name) => name.to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    };
    Some(SyslogTarget::Tls { host, port: url.port().unwrap_or(SYSLOG_TLS) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_over_tls_is_a_host_and_a_port_and_nothing_else() {
        let tls = |host: &str, port| Some(SyslogTarget::Tls { host: host.to_owned(), port });
        for (text, expected) in [
            ("tls://logs.example.com:6515", tls("logs.example.com", 6515)),
            ("tls://logs.example.com", tls("logs.example.com", 6514)),
            ("tls://10.1.2.3:1", tls("10.1.2.3", 1)),
            ("tls://[::1]:1/", tls("::1", 1)),
            ("tls://user@logs.example.com", None),
            ("tls://logs.example.com/x", None),
            ("tls://logs.example.com?x", None),
            ("udp://logs.example.com:514", None),
            ("logs.example.com:6514", None),
            ("tls://", None),
            ("", None),
        ] {
            assert_eq!(tls_receiver(text), expected, "{text}");
        }
    }

    #[test]
    fn a_socket_is_a_path() {
        for (text, expected) in [
            ("/dev/log", Some("/dev/log")),
            ("///dev/log", Some("/dev/log")),
            ("log", Some("log")),
            ("", None),
            ("/", None),
        ] {
            assert_eq!(unix_socket(text), expected, "{text}");
        }
    }
}
