//! The state of the issuers' keys, as the cache tells it when it is asked.

use std::collections::BTreeMap;

use jwks_cache::{EntryStatus, FamilyStatus};

use super::exposition::{Exposition, Kind};

/// Of a family its members are counted, not named: tokens choose which there are.
pub(super) fn render(entries: &[EntryStatus], families: &[FamilyStatus], out: &mut Exposition) {
    let name = |entry: &EntryStatus| entry.name.to_string();
    out.family(
        "sts_issuer_ready",
        Kind::Gauge,
        "Whether an issuer entry has keys that may be used (1): fetched or loaded, and not past max_stale.",
    );
    for entry in entries {
        out.sample(&[("issuer_entry", &name(entry))], u8::from(entry.ready));
    }
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
    out.family(
        "sts_issuer_keys_age_seconds",
        Kind::Gauge,
        "Time since an issuer entry's keys were fetched, or their file read; absent where they never were.",
    );
    for entry in entries {
        if let Some(age) = entry.age {
            out.sample(&[("issuer_entry", &name(entry))], age);
        }
    }
    out.family(
        "sts_issuer_keys_usable",
        Kind::Gauge,
        "Keys that tokens of an issuer entry are verified with; none past max_stale, and none that another entry holds too.",
    );
    for entry in entries {
        out.sample(&[("issuer_entry", &name(entry))], entry.usable);
    }
    out.family("sts_issuer_keys_skipped", Kind::Gauge, "Keys of an issuer entry's set that are not used, by reason.");
    for entry in entries {
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for skipped in &entry.skipped {
            *reasons.entry(skipped.reason).or_default() += 1;
        }
        for (reason, count) in reasons {
            out.sample(&[("issuer_entry", &name(entry)), ("reason", reason)], count);
        }
    }
    out.family(
        "sts_issuer_key_set_info",
        Kind::Gauge,
        "Always 1; hash tells one set of usable keys from another, in whatever order they are published.",
    );
    for entry in entries {
        if let Some(hash) = &entry.set_hash {
            out.sample(&[("issuer_entry", &name(entry)), ("hash", hash)], 1);
        }
    }
    out.family(
        "sts_issuer_kids_reused_total",
        Kind::Counter,
        "Times that an issuer entry's set had another key under a kid that named one before.",
    );
    for entry in entries {
        out.sample(&[("issuer_entry", &name(entry))], entry.kids_reused);
    }
    if families.is_empty() {
        return;
    }
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
