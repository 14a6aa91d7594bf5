//! The state of the issuers' keys, as the cache tells it when it is asked.

use std::collections::BTreeMap;

use jwks_cache::{EntryStatus, FamilyStatus};

use super::exposition::{Exposition, Kind};

/// Of a family its members are counted, not named: tokens choose which there are.
pub(super) fn render(entries: &[EntryStatus], families: &[FamilyStatus], out: &mut Exposition) {
    readiness(entries, out);
    fetches(entries, families, out);
    key_sets(entries, out);
    skipped_keys(entries, out);
    reused_kids(entries, out);
    if !families.is_empty() {
        members(families, out);
    }
}

fn readiness(entries: &[EntryStatus], out: &mut Exposition) {
    out.family(
        "sts_issuer_ready",
        Kind::Gauge,
        "Whether an issuer entry has keys that may be used (1): fetched or loaded, and not past max_stale.",
    );
    for entry in entries {
        out.sample(&[("issuer_entry", entry.name.as_str())], u8::from(entry.ready));
    }
}

fn fetches(entries: &[EntryStatus], families: &[FamilyStatus], out: &mut Exposition) {
    out.family(
        "sts_issuer_fetches_total",
        Kind::Counter,
        "Fetches and reads of an issuer entry's keys by outcome: replaced, unchanged, or what went wrong.",
    );
    let of_entries = entries.iter().map(|entry| (entry.name.as_str(), &entry.fetches));
    for (name, fetches) in of_entries.chain(families.iter().map(|family| (family.name.as_str(), &family.fetches))) {
        let failed = fetches.failed.iter().map(|(kind, count)| (*kind, *count));
        for (outcome, count) in
            [("replaced", fetches.replaced), ("unchanged", fetches.unchanged)].into_iter().chain(failed)
        {
            out.sample(&[("issuer_entry", name), ("outcome", outcome)], count);
        }
    }
}

fn key_sets(entries: &[EntryStatus], out: &mut Exposition) {
    out.family(
        "sts_issuer_keys_age_seconds",
        Kind::Gauge,
        "Time since an issuer entry's keys were fetched, or their file read; absent where they never were.",
    );
    for entry in entries {
        if let Some(age) = entry.age {
            out.sample(&[("issuer_entry", entry.name.as_str())], age);
        }
    }
    out.family(
        "sts_issuer_keys_usable",
        Kind::Gauge,
        "Keys that tokens of an issuer entry are verified with; none past max_stale, and none that another entry holds too.",
    );
    for entry in entries {
        out.sample(&[("issuer_entry", entry.name.as_str())], entry.usable);
    }
    out.family(
        "sts_issuer_key_set_info",
        Kind::Gauge,
        "Always 1; hash tells one set of usable keys from another, in whatever order they are published.",
    );
    for entry in entries {
        if let Some(hash) = &entry.set_hash {
            out.sample(&[("issuer_entry", entry.name.as_str()), ("hash", hash)], 1);
        }
    }
}

fn skipped_keys(entries: &[EntryStatus], out: &mut Exposition) {
    out.family("sts_issuer_keys_skipped", Kind::Gauge, "Keys of an issuer entry's set that are not used, by reason.");
    for entry in entries {
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for skipped in &entry.skipped {
            *reasons.entry(skipped.reason).or_default() += 1;
        }
        for (reason, count) in reasons {
            out.sample(&[("issuer_entry", entry.name.as_str()), ("reason", reason)], count);
        }
    }
}

fn reused_kids(entries: &[EntryStatus], out: &mut Exposition) {
    out.family(
        "sts_issuer_kids_reused_total",
        Kind::Counter,
        "Times that an issuer entry's set had another key under a kid that named one before.",
    );
    for entry in entries {
        out.sample(&[("issuer_entry", entry.name.as_str())], entry.kids_reused);
    }
}

fn members(families: &[FamilyStatus], out: &mut Exposition) {
    out.family(
        "sts_issuer_family_members",
        Kind::Gauge,
        "Members of a family of issuers that were asked for lately, by whether they have keys that may be used.",
    );
    for family in families {
        let ready = family.members.iter().filter(|member| member.ready).count();
        let states = [("true", ready), ("false", family.members.len() - ready)];
        for (state, count) in states {
            out.sample(&[("issuer_entry", family.name.as_str()), ("ready", state)], count);
        }
    }
    out.family(
        "sts_issuer_family_turned_away_total",
        Kind::Counter,
        "Times that a new member of a family of issuers found no room.",
    );
    for family in families {
        out.sample(&[("issuer_entry", family.name.as_str())], family.turned_away);
    }
}
