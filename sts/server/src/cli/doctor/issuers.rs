//! The issuers: their names, their documents, and this machine's clock against theirs.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jwks_cache::{
    DocumentFound, DocumentKind, DocumentProbe, EntryRef, EntrySpec, FamilySpec, FetchError, JwksCache, KeySource,
    Specs,
};
use sts_types::Clock;
use tokio::time::timeout;

use super::row::Row;
use crate::compile::Compiled;
use crate::components::{environment, issuer_cache};
use crate::start_error::StartError;

const CLOCK: &str = "clock";
const DNS: &str = "dns";
/// Deadline of one name.
const RESOLUTION: Duration = Duration::from_secs(5);
/// The largest difference to an issuer's clock that is not worth a word: headers have whole seconds.
const CLOCK_NOISE: i64 = 5;
/// The leeway of most entries. Beyond it good tokens are refused.
const LEEWAY: i64 = 60;

/// A document, and the entry that it belongs to.
struct Fetched {
    check: String,
    probe: DocumentProbe,
}

/// The rows of all entries of the configuration, and of the console's provider.
pub(super) async fn rows(compiled: Option<&Compiled>, clock: &Arc<dyn Clock>) -> Vec<Row> {
    let Some(compiled) = compiled else { return Vec::new() };
    let console = compiled.console.iter().map(|console| console.keys.clone()).collect::<Vec<_>>();
    let provider = Specs::from(console.clone());
    let (own, of_console) = (issuer_cache(compiled, Arc::clone(clock)), provider_cache(&console, clock));
    let (names, of_issuers, of_console) = tokio::join!(
        names(compiled.keys.entries.iter().chain(&console)),
        documents("issuer", own, &compiled.keys),
        documents("console", of_console, &provider),
    );
    let mut rows = names;
    let documents: Vec<Fetched> = of_issuers.0.into_iter().chain(of_console.0).collect();
    let mut clocks = clocks(&documents);
    clocks.extend(rows);
    rows = clocks;
    rows.extend(of_issuers.1);
    rows.extend(of_console.1);
    rows.extend(documents.into_iter().map(document));
    rows
}

fn provider_cache(console: &[EntrySpec], clock: &Arc<dyn Clock>) -> Result<JwksCache, StartError> {
    JwksCache::new(console.to_vec(), environment(Arc::clone(clock), None))
        .map_err(|errors| StartError::Configuration(sts_config::Diagnostics::of_entries(errors)))
}

/// The documents of `specs`, and rows for what has none to fetch.
async fn documents(check: &str, cache: Result<JwksCache, StartError>, specs: &Specs) -> (Vec<Fetched>, Vec<Row>) {
    let cache = match cache {
        Ok(cache) => cache,
        Err(error) => {
            let cure = "run `sts check`, which shows where it stands";
            return (Vec::new(), vec![Row::fault(check, "-", error.to_string(), cure)]);
        }
    };
    let title = |name: &str| if check == name { check.to_owned() } else { format!("{check} {name}") };
    let members = specs.families.iter().flat_map(|family| family.named.iter().map(move |issuer| (family, issuer)));
    let entries = specs.entries.iter().map(|entry| (title(entry.name.as_str()), EntryRef::from(&entry.name)));
    let members =
        members.map(|(family, issuer)| (title(family.name.as_str()), EntryRef::of_issuer(&family.name, issuer)));
    let fetches = entries.chain(members).map(async |(check, entry)| {
        let probes = cache.probe(entry).await;
        probes.into_iter().map(|probe| Fetched { check: check.clone(), probe }).collect::<Vec<_>>()
    });
    let fetched = join_all(fetches).await.into_iter().flatten().collect();
    let unnamed = specs.families.iter().filter(|family| family.named.is_empty());
    let row = |family: &FamilySpec| {
        let found =
            "a family of issuers, of which the rules name none; the keys of each are fetched with its first token";
        Row::ok(title(family.name.as_str()), family.template.as_str(), found)
    };
    (fetched, unnamed.map(row).collect())
}

fn document(Fetched { check, probe }: Fetched) -> Row {
    let subject = if probe.location.is_empty() {
        probe.document.to_string()
    } else {
        format!("{} {}", probe.document, probe.location)
    };
    match probe.outcome {
        Ok(found) => usable(check, subject, probe.document, found),
        Err(FetchError { fault, hint, .. }) => {
            let text = fault.to_string();
            let (what, advice) = text.split_once("; ").unwrap_or((&text, "make it readable, or correct the entry"));
            let cure = hint.map_or_else(|| advice.to_owned(), |hint| format!("{advice}; {hint}"));
            Row::fault(check, subject, what, cure)
        }
    }
}

fn usable(check: String, subject: String, document: DocumentKind, found: DocumentFound) -> Row {
    let keys = |count: usize| if count == 1 { "1 key".to_owned() } else { format!("{count} keys") };
    match (found.keys, found.skipped) {
        (Some(usable), 0) => Row::ok(check, subject, format!("{} to verify tokens with", keys(usable))),
        (Some(usable), skipped) => {
            let found = format!("{} to verify tokens with, {skipped} that are not used", keys(usable));
            Row::ok(check, subject, found)
        }
        (None, _) if document == DocumentKind::Entry => Row::ok(check, subject, "its keys are in the configuration"),
        (None, _) => Row::ok(check, subject, "it names the issuer and its keys"),
    }
}

/// One row for each document whose answer told the time. Those of one host may come from different
/// machines, and through caches.
fn clocks(documents: &[Fetched]) -> Vec<Row> {
    let told = documents.iter().filter_map(|Fetched { check, probe }| {
        let ahead = probe.outcome.as_ref().ok()?.clock_ahead?;
        Some(clock_row(&format!("{} ({check}, {})", probe.host.as_deref()?, probe.document), ahead))
    });
    let rows: Vec<Row> = told.collect();
    if rows.is_empty() {
        return vec![Row::ok(CLOCK, "-", "no issuer told its time, so the clock was compared with none")];
    }
    rows
}

/// The row of an answer, whose clock this machine's is ahead of by `ahead` seconds.
fn clock_row(answer: &str, ahead: i64) -> Row {
    let cure = "set this machine's clock by NTP; if other issuers agree with it, this one's is wrong";
    let found = match ahead {
        0 => "this machine's clock agrees with it".to_owned(),
        1.. => format!("this machine's clock is {ahead} s ahead of it"),
        _ => format!("this machine's clock is {} s behind it", ahead.saturating_neg()),
    };
    match ahead.saturating_abs() {
        0..=CLOCK_NOISE => Row::ok(CLOCK, answer, found),
        difference if difference <= LEEWAY => Row::warning(CLOCK, answer, found, cure),
        _ => Row::fault(CLOCK, answer, format!("{found}: its tokens may be refused as expired or not yet valid"), cure),
    }
}

/// One row for each host name that is resolved here.
async fn names(entries: impl Iterator<Item = &EntrySpec>) -> Vec<Row> {
    let (mut direct, mut proxied) = (BTreeSet::new(), BTreeSet::new());
    for entry in entries {
        if let Some(host) = host(entry) {
            if entry.proxy.is_some() {
                proxied.insert(host)
            } else {
                direct.insert(host)
            };
        }
    }
    let mut rows = join_all(direct.iter().map(|host| resolved(host))).await;
    rows.extend(
        proxied
            .difference(&direct)
            .map(|host| Row::ok(DNS, host, "the proxy resolves it, so it is not looked up here")),
    );
    rows
}

/// The host name under which an entry's first document is fetched.
fn host(entry: &EntrySpec) -> Option<String> {
    let text = match &entry.source {
        KeySource::Discovery => entry.issuer.as_str(),
        KeySource::Url(text) => text,
        KeySource::File(_) | KeySource::Inline(_) => return None,
    };
    let url = url::Url::parse(text).ok()?;
    let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']');
    host.parse::<IpAddr>().is_err().then(|| host.to_owned())
}

async fn resolved(host: &str) -> Row {
    let cure = "correct the host name, or this machine's name server";
    match timeout(RESOLUTION, tokio::net::lookup_host((host, 0))).await {
        Err(_) => Row::fault(DNS, host, format!("no answer within {} s", RESOLUTION.as_secs()), cure),
        Ok(Err(error)) => Row::fault(DNS, host, format!("it does not resolve: {error}"), cure),
        Ok(Ok(addresses)) => {
            let addresses: BTreeSet<String> = addresses.map(|address| address.ip().to_string()).collect();
            match addresses.is_empty() {
                true => Row::fault(DNS, host, "it has no address", cure),
                false => Row::ok(DNS, host, addresses.into_iter().collect::<Vec<_>>().join(", ")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::Status;
    use super::*;

    #[test]
    fn a_clock_is_judged_by_its_distance_from_the_issuers() {
        for (ahead, status, told) in [
            (0, Status::Ok, "agrees"),
            (5, Status::Ok, "5 s ahead"),
            (-5, Status::Ok, "5 s behind"),
            (6, Status::Warning, "6 s ahead"),
            (-60, Status::Warning, "60 s behind"),
            (61, Status::Fault, "61 s ahead"),
            (i64::MIN, Status::Fault, "behind"),
        ] {
            let row = clock_row("issuer.example", ahead);
            assert_eq!(row.status, status, "{ahead}");
            assert!(row.found.contains(told), "{}", row.found);
        }
    }
}
