//! The state of issuers' keys, from the words of the key cache into those of the answers.

use jwks_cache::{EntryStatus, FamilyStatus, InForce};
use sts_api::{
    EntryState, FetchCounts, HistoryAt, HistoryState, IssuerEntry, IssuerFamily, IssuerKey, KeyHistory, KeySeen,
    KeySetSeen, KeySource, LastError, LastFetch, Refreshed, SeenFrom, SkippedKey,
};
use sts_types::UnixTime;

/// The state of an entry.
pub(super) fn entry(own: EntryStatus) -> IssuerEntry {
    let key = |key: jwks_cache::KeyStatus| IssuerKey {
        kid: key.kid,
        algorithm: key.algorithm.name().to_owned(),
        thumbprint: key.thumbprint,
        shared_with: key.shared_with,
    };
    let skipped = |key: jwks_cache::SkippedKeyStatus| SkippedKey {
        index: key.index as u64,
        kid: key.kid,
        reason: key.reason.to_owned(),
        message: key.message,
        alarming: key.alarming,
    };
    IssuerEntry {
        name: own.name,
        issuer: own.issuer,
        source: match own.source {
            jwks_cache::SourceKind::Discovery => KeySource::Discovery,
            jwks_cache::SourceKind::Url => KeySource::Url,
            jwks_cache::SourceKind::File => KeySource::File,
            jwks_cache::SourceKind::Inline => KeySource::Inline,
        },
        ready: own.ready,
        state: match own.state {
            jwks_cache::EntryState::Absent => EntryState::Absent,
            jwks_cache::EntryState::Fresh => EntryState::Fresh,
            jwks_cache::EntryState::Stale => EntryState::Stale,
            jwks_cache::EntryState::Expired => EntryState::Expired,
        },
        usable: own.usable as u64,
        set_hash: own.set_hash,
        keys: own.keys.into_iter().map(key).collect(),
        skipped: own.skipped.into_iter().map(skipped).collect(),
        fetched_at: own.fetched_at,
        age: own.age,
        fresh_until: own.fresh_until,
        stale_until: own.stale_until,
        next_refresh_at: own.next_refresh_at,
        last_fetch: own.last_fetch.map(|last| LastFetch { at: last.at, outcome: last.outcome.to_owned() }),
        last_error: own.last_error.map(|last| LastError { at: last.at, message: last.message }),
        fetches: fetches(own.fetches),
        kids_reused: own.kids_reused,
    }
}

/// The state of a family.
pub(super) fn family(own: FamilyStatus) -> IssuerFamily {
    IssuerFamily {
        name: own.name,
        issuer_template: own.issuer_template,
        members: own.members.into_iter().map(entry).collect(),
        fetches: fetches(own.fetches),
        turned_away: own.turned_away,
    }
}

fn fetches(own: jwks_cache::FetchCounts) -> FetchCounts {
    FetchCounts {
        replaced: own.replaced,
        unchanged: own.unchanged,
        failed: own.failed.into_iter().map(|(kind, count)| (kind.to_owned(), count)).collect(),
    }
}

pub(super) fn refreshed(report: &jwks_cache::RefreshReport) -> Refreshed {
    Refreshed {
        keys: report.keys as u64,
        skipped: report.skipped as u64,
        changed: report.changed,
        fresh_for: report.fresh_for.map(|time| time.as_secs()),
    }
}

pub(super) fn history(own: jwks_cache::KeyHistory) -> KeyHistory {
    KeyHistory {
        name: own.name,
        events: own.events.iter().map(key_set).collect(),
        lapsed_at: own.lapsed_at,
        unreadable: own.unreadable as u64,
    }
}

pub(super) fn history_at(history: &jwks_cache::KeyHistory, at: UnixTime) -> HistoryAt {
    let (state, event, lapsed_at) = match history.at(at) {
        InForce::Set(event) => (HistoryState::InForce, Some(key_set(event)), None),
        InForce::Lapsed(lapsed_at) => (HistoryState::Lapsed, None, Some(lapsed_at)),
        InForce::NotRecorded => (HistoryState::NotRecorded, None, None),
    };
    HistoryAt { name: history.name.clone(), at, state, event, lapsed_at, unreadable: history.unreadable as u64 }
}

fn key_set(own: &jwks_cache::KeySetSeen) -> KeySetSeen {
    let key = |key: &jwks_cache::KeySeen| KeySeen {
        kid: key.kid.clone(),
        algorithm: key.algorithm.name().to_owned(),
        thumbprint: key.thumbprint.clone(),
    };
    KeySetSeen {
        at: own.at,
        issuer: own.issuer.clone(),
        source: match &own.source {
            jwks_cache::SeenFrom::Discovery(url) => SeenFrom::Discovery(url.clone()),
            jwks_cache::SeenFrom::Url(url) => SeenFrom::Url(url.clone()),
            jwks_cache::SeenFrom::File(path) => SeenFrom::File(path.clone()),
            jwks_cache::SeenFrom::Inline => SeenFrom::Inline,
            jwks_cache::SeenFrom::Disk => SeenFrom::Disk,
        },
        keys: own.keys.iter().map(key).collect(),
        previous_lapsed_at: own.previous_lapsed_at,
    }
}
