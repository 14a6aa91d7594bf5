//! The dates of certificates: our own, and those of the authorities that the configuration trusts.

use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sts_config::TlsFiles;
use sts_store::spec::StoreSpec;
use sts_types::UnixTime;

use super::row::Row;
use crate::certificate::{Validity, problems, public_host, validity};
use crate::compile::Compiled;
use crate::http::read_certificate;

const CHECK: &str = "certificate";
const DAY: i64 = 86_400;

/// The rows of all certificates that the configuration names.
pub(super) fn rows(compiled: &Compiled, now: UnixTime) -> Vec<Row> {
    let settings = &compiled.settings;
    let mut rows = Vec::new();
    if let Some(files) = &settings.tls {
        rows.push(own("tls", files, public_host(settings).as_deref(), now));
    }
    if let Some(files) = &settings.admin.tls {
        rows.push(own("admin.tls", files, None, now));
    }
    rows.extend(bundles(compiled).into_iter().map(|(key, path)| bundle(&key, &path, now)));
    rows
}

/// One of our own certificates.
fn own(key: &str, files: &TlsFiles, host: Option<&str>, now: UnixTime) -> Row {
    let subject = format!("`{key}` {}", files.cert_file.display());
    let certified = match read_certificate(files) {
        Ok(certified) => certified,
        Err(error) => return Row::fault(CHECK, subject, error.to_string(), "correct the file, or name another"),
    };
    let Some(leaf) = certified.cert.first() else {
        return Row::fault(CHECK, subject, "it holds no certificate", "write the certificate chain into it");
    };
    match problems(leaf, now, host).first() {
        Some(problem) => Row::fault(CHECK, subject, format!("it {problem}"), problem.help()),
        None => dated(subject, validity(leaf), now),
    }
}

/// A valid certificate, by how long it still is.
fn dated(subject: String, validity: Option<Validity>, now: UnixTime) -> Row {
    let Some(validity) = validity else { return Row::ok(CHECK, subject, "its dates cannot be read here") };
    let (until, left) = (shown(validity.not_after), validity.not_after.since(now));
    // The last tenth of a short life is no surprise to anybody who renews it every few days.
    let soon = (14 * DAY).min(validity.not_after.since(validity.not_before) / 10);
    if left < soon {
        let found = format!("it expires at {until}, in {}", time_left(left));
        Row::warning(CHECK, subject, found, "renew it; the server takes the new file by itself")
    } else {
        Row::ok(CHECK, subject, format!("it is valid until {until}"))
    }
}

/// The authorities and client certificates that the configuration names.
fn bundles(compiled: &Compiled) -> Vec<(String, PathBuf)> {
    let settings = &compiled.settings;
    let mut found = Vec::new();
    if let StoreSpec::Redis(redis) = &settings.store
        && let Some(tls) = &redis.tls
    {
        found.extend(tls.ca_file.iter().map(|path| ("store.ca_file".to_owned(), path.clone())));
        found.extend(tls.client.iter().map(|(path, _)| ("store.cert_file".to_owned(), path.clone())));
    }
    let entries = compiled.keys.entries.iter().map(|entry| (&entry.name, &entry.ca_file));
    let families = compiled.keys.families.iter().map(|family| (&family.name, &family.ca_file));
    found.extend(
        entries
            .chain(families)
            .filter_map(|(name, path)| Some((format!("issuers.{name}.ca_file"), path.as_ref()?.clone()))),
    );
    found.extend(settings.directories.iter().filter_map(|directory| {
        Some((format!("directories.{}.ca_file", directory.name), directory.ca_file.as_ref()?.clone()))
    }));
    if let Some(console) = &compiled.console {
        found.extend(console.keys.ca_file.iter().map(|path| ("console.ca_file".to_owned(), path.clone())));
    }
    found
}

/// A file of certificates, of which one that is valid suffices.
fn bundle(key: &str, path: &Path, now: UnixTime) -> Row {
    let subject = format!("`{key}` {}", path.display());
    let certificates: Result<Vec<CertificateDer<'static>>, _> =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let certificates = match certificates {
        Ok(certificates) if !certificates.is_empty() => certificates,
        Ok(_) => return Row::fault(CHECK, subject, "it holds no certificate", "write PEM certificates into it"),
        Err(error) => return Row::fault(CHECK, subject, error.to_string(), "write PEM certificates into it"),
    };
    let dates: Vec<Validity> = certificates.iter().filter_map(validity).collect();
    let (valid, over): (Vec<Validity>, Vec<Validity>) = dates.iter().copied().partition(|dates| dates.not_after >= now);
    match (valid.iter().map(|dates| dates.not_after).max(), over.len()) {
        (None, 0) => Row::ok(CHECK, subject, "its dates cannot be read here"),
        (None, _) => Row::fault(CHECK, subject, "every certificate in it has expired", "put the current one there"),
        (Some(last), 0) => Row::ok(CHECK, subject, format!("it is valid until {}", shown(last))),
        (Some(last), over) => {
            let found =
                format!("{over} of its {} certificates have expired; others last until {}", dates.len(), shown(last));
            Row::warning(CHECK, subject, found, "remove those that have expired")
        }
    }
}

fn shown(time: UnixTime) -> String {
    time.to_rfc3339().unwrap_or_else(|| time.to_string())
}

fn time_left(seconds: i64) -> String {
    match seconds / DAY {
        0 => format!("{} hours", seconds / 3600),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::Status;
    use super::*;

    #[test]
    fn a_certificate_near_its_end_is_a_warning_in_proportion_to_its_life() {
        let now = UnixTime::from_secs(1_800_000_000);
        for (age, left, status) in [
            (76 * DAY, 14 * DAY, Status::Ok),
            (82 * DAY, 8 * DAY, Status::Warning),
            (351 * DAY, 14 * DAY, Status::Ok),
            (352 * DAY, 13 * DAY, Status::Warning),
            (DAY / 2, DAY / 2, Status::Ok),
        ] {
            let validity = Validity { not_before: now.plus(-age), not_after: now.plus(left) };
            assert_eq!(dated("x".to_owned(), Some(validity), now).status, status, "{age} {left}");
        }
    }
}
