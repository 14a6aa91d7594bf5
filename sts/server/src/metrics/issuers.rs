//! The state of the issuers' keys, as the cache tells it when it is asked.

use std::collections::BTreeMap;

use jwks_cache::{EntryStatus, FamilyStatus};

use super::exposition::Exposition;
use super::families;

/// Of a family its members are counted, not named: tokens choose which there are.
pub(super) fn render(entries: &[EntryStatus], of_families: &[FamilyStatus], out: &mut Exposition) {
    readiness(entries, out);
    fetches(entries, of_families, out);
    key_sets(entries, out);
    skipped_keys(entries, out);
    reused_kids(entries, out);
    if !of_families.is_empty() {
        members(of_families, out);
    }
}

fn readiness(entries: &[EntryStatus], out: &mut Exposition) {
    out.family(families::ISSUER_READY);
    for entry in entries {
        out.sample(&[("issuer_entry", entry.name.as_str())], u8::from(entry.ready));
    }
}

fn fetches(entries: &[EntryStatus], of_families: &[FamilyStatus], out: &mut Exposition) {
    out.family(families::ISSUER_FETCHES);
    let of_entries = entries.iter().map(|entry| (entry.name.as_str(), &entry.fetches));
    for (name, fetches) in of_entries.chain(of_families.iter().map(|family| (family.name.as_str(), &family.fetches))) {
        let failed = fetches.failed.iter().map(|(kind, count)| (*kind, *count));
        for (outcome, count) in
            [("replaced", fetches.replaced), ("unchanged", fetches.unchanged)].into_iter().chain(failed)
        {
            out.sample(&[("issuer_entry", name), ("outcome", outcome)], count);
        }
    }
}

fn key_sets(entries: &[EntryStatus], out: &mut Exposition) {
    out.family(families::ISSUER_KEYS_AGE);
    for entry in entries {
        if let Some(age) = entry.age {
            out.sample(&[("issuer_entry", entry.name.as_str())], age);
        }
    }
    out.family(families::ISSUER_KEYS_USABLE);
    for entry in entries {
        out.sample(&[("issuer_entry", entry.name.as_str())], entry.usable);
    }
    out.family(families::ISSUER_KEY_SET);
    for entry in entries {
        if let Some(hash) = &entry.set_hash {
            out.sample(&[("issuer_entry", entry.name.as_str()), ("hash", hash)], 1);
        }
    }
}

fn skipped_keys(entries: &[EntryStatus], out: &mut Exposition) {
    out.family(families::ISSUER_KEYS_SKIPPED);
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
    out.family(families::ISSUER_KIDS_REUSED);
    for entry in entries {
        out.sample(&[("issuer_entry", entry.name.as_str())], entry.kids_reused);
    }
}

fn members(of_families: &[FamilyStatus], out: &mut Exposition) {
    out.family(families::FAMILY_MEMBERS);
    for family in of_families {
        let ready = family.members.iter().filter(|member| member.ready).count();
        let states = [("true", ready), ("false", family.members.len() - ready)];
        for (state, count) in states {
            out.sample(&[("issuer_entry", family.name.as_str()), ("ready", state)], count);
        }
    }
    out.family(families::FAMILY_TURNED_AWAY);
    for family in of_families {
        out.sample(&[("issuer_entry", family.name.as_str())], family.turned_away);
    }
}
