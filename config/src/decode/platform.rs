//! The platform of an issuer entry and its tenancy: `preset`, `shared`, `owner_claims`,
//! `trust_domain`.

use sts_policy::{IdentitySpec, IssuerFault, KnownIssuer, Preset, PresetSource};
use sts_types::{CheckCode, EntryName, Issuers, Located};

use super::owner_claims::owner_claims;
use super::reader::{Fields, Reader, listed};
use super::url;
use crate::diagnostic::{Place, Severity};
use crate::quote::quoted;
use crate::yaml::Node;

/// The platform settings of an entry.
pub(super) struct PlatformOf {
    pub(super) preset: Option<Preset>,
    pub(super) source: PresetSource,
    pub(super) known: Option<KnownIssuer>,
    pub(super) shared: bool,
    pub(super) shared_written: bool,
    pub(super) owner_claims: Vec<Located<String>>,
    pub(super) trust_domain: Option<String>,
    /// Whether this is a known shared issuer without the checks of its platform.
    pub(super) unprotected: bool,
}

/// Reads the platform settings. `is_read` tells whether the issuer could be read.
pub(super) fn platform(reader: &mut Reader<'_>, fields: &Fields<'_>, issuers: &Issuers, is_read: bool) -> PlatformOf {
    let fault = if is_read { IssuerFault::of(issuers) } else { None };
    let known = if is_read { KnownIssuer::of(issuers) } else { None };
    if let (Some(fault), Some(node)) = (&fault, fields.node("issuer").or_else(|| fields.node("issuer_template")))
        && !reader.report.has_finding_at_span(node.span)
    {
        reader.error(fault.code, node.span, fault.message.clone(), fault.help.clone());
    }
    let by_url = known.and_then(KnownIssuer::preset);
    let is_shared = known.is_some_and(|known| known.shared);
    let mut settings = PlatformOf {
        preset: by_url,
        source: if by_url.is_some() { PresetSource::Url } else { PresetSource::Unsaid },
        known,
        shared: is_shared,
        shared_written: false,
        owner_claims: Vec::new(),
        trust_domain: None,
        unprotected: false,
    };
    // An unknown key may be a misspelt `preset` or `shared`.
    if !is_read || fault.is_some() || fields.has_unknown_key() {
        // The other settings describe an issuer that does not exist, so they are read for their own
        // faults only. The preset keeps the identities of this entry from being reported as well.
        if !fault.as_ref().is_some_and(|fault| fault.look_alike)
            && let Some(node) = fields.node("preset")
        {
            preset(reader, node, &mut settings, None);
        }
        settings.source = PresetSource::Faulty;
        settings.preset = fault.and_then(|fault| fault.preset).or(settings.preset);
        reader.optional(fields, "shared", Reader::flag);
        reader.optional(fields, "owner_claims", owner_claims);
        return settings;
    }
    let before = reader.report.errors();
    if let Some(node) = fields.node("preset") {
        preset(reader, node, &mut settings, by_url);
    }
    sharing(reader, fields, &mut settings);
    if reader.report.errors() > before {
        settings.source = PresetSource::Faulty;
    }
    settings.trust_domain = fields.node("trust_domain").and_then(|node| trust_domain(reader, fields, node, &settings));
    settings
}

/// Reads `preset:`.
fn preset(reader: &mut Reader<'_>, node: &Node, platform: &mut PlatformOf, by_url: Option<Preset>) {
    let Some(text) = reader.text(node) else { return };
    if text.value == "none" {
        platform.preset = None;
        platform.source = PresetSource::WrittenNone;
        platform.unprotected = platform.shared && platform.known.is_some();
        return;
    }
    let Some(written) = Preset::from_name(&text.value) else {
        // The suggested preset keeps the identities of this entry from being reported as well.
        let suggested = by_url.or_else(|| Preset::suggested_for(&text.value));
        let help = match suggested {
            Some(_) if by_url.is_some() => "remove `preset`: it is known by the URL".to_owned(),
            Some(preset) => format!("did you mean `{}`?", preset.name()),
            None => format!("the presets are {}, and `none`", listed(Preset::ALL.iter().map(|preset| preset.name()))),
        };
        reader.error(CheckCode::UnknownPreset, text.span, format!("there is no preset {}", text.shown()), help);
        platform.preset = suggested;
        platform.source = PresetSource::Faulty;
        return;
    };
    match (by_url, platform.known.map(KnownIssuer::name)) {
        (Some(known), _) if known != written => {
            let message =
                format!("the preset of this issuer is `{}`, by its URL, and not {}", known.name(), text.shown());
            reader.error(CheckCode::PresetMismatch, text.span, message, "remove `preset`");
        }
        (Some(_), _) => {}
        // The grammar of another platform would name the owner by claims that this issuer does not
        // vouch for.
        (None, Some(name)) => {
            reader.error(
                CheckCode::PresetMismatch,
                text.span,
                format!("this is the issuer of {name}, which has no preset"),
                "remove `preset`",
            );
        }
        (None, None) => (platform.preset, platform.source) = (Some(written), PresetSource::Written),
    }
}

/// Reads `shared:` and `owner_claims:`.
fn sharing(reader: &mut Reader<'_>, fields: &Fields<'_>, platform: &mut PlatformOf) {
    let written = reader.optional(fields, "shared", Reader::flag);
    let is_known = platform.known.is_some_and(|known| known.shared);
    if let (Some(false), true, Some(node)) = (written, is_known, fields.node("shared")) {
        reader.error(
            CheckCode::SharedContradicted,
            node.span,
            "`shared: false` is wrong: this issuer signs tokens for many tenants",
            "remove `shared`",
        );
    }
    let by_preset = platform.preset.is_some_and(|preset| preset.defaults().shared);
    platform.shared = is_known || written.unwrap_or(by_preset);
    platform.shared_written = written.is_some();
    let Some(entry) = fields.entry("owner_claims") else { return };
    if let Some(preset) = platform.preset.filter(|preset| preset.names_owner()) {
        let message = format!("the preset `{}` knows which claims name the owner", preset.name());
        reader.error(CheckCode::KeyWithoutEffect, entry.key_span, message, "remove `owner_claims`");
        return;
    }
    let before = reader.report.errors();
    let claims = owner_claims(reader, &entry.node).unwrap_or_default();
    if reader.report.errors() > before {
        // That no identity fixes the owner would only follow from it.
        platform.source = PresetSource::Faulty;
        return;
    }
    if !platform.shared && (written.is_some() || !fields.mentions("shared")) {
        let message = "`owner_claims` has no effect on an issuer that is not shared";
        reader.error(
            CheckCode::KeyWithoutEffect,
            entry.key_span,
            message,
            "add `shared: true`, or remove `owner_claims`",
        );
    }
    platform.owner_claims = claims;
}

/// Reads `trust_domain:`, for tokens without `iss` (SPIFFE JWT-SVID section 3).
fn trust_domain(reader: &mut Reader<'_>, fields: &Fields<'_>, node: &Node, platform: &PlatformOf) -> Option<String> {
    let text = reader.text(node)?;
    if let (Some(entry), true) = (fields.entry("trust_domain"), platform.source != PresetSource::Faulty) {
        if fields.node("issuer_template").is_some() {
            let help = "write an entry with `issuer` for each trust domain";
            reader.error(
                CheckCode::ConflictingKeys,
                entry.key_span,
                "`trust_domain` cannot be used with `issuer_template`",
                help,
            );
            return None;
        }
        if platform.preset != Some(Preset::Spiffe) {
            let help = "add `preset: spiffe`, or remove it";
            reader.error(
                CheckCode::KeyWithoutEffect,
                entry.key_span,
                "`trust_domain` has no effect without `preset: spiffe`",
                help,
            );
            return None;
        }
    }
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
    if !text.value.is_empty() && text.value.len() <= 255 && text.value.bytes().all(fits) {
        return Some(text.value);
    }
    let lower = text.value.to_lowercase();
    let bare = lower.strip_prefix("spiffe://").unwrap_or(&lower);
    let bare = bare.split('/').next().unwrap_or_default();
    let help = if !bare.is_empty() && bare.bytes().all(fits) {
        format!("write {}", quoted(bare))
    } else {
        "write the name alone, in lower case: `example.org` of `spiffe://example.org/workload`".to_owned()
    };
    reader.error(CheckCode::InvalidTrustDomain, text.span, format!("{} is not a trust domain", text.shown()), help);
    None
}

/// Whether the issuer is a public https URL, judging by its text alone.
pub(super) fn is_public(checked: Option<&url::Checked>, allow_private_network: bool) -> bool {
    checked.is_some_and(|checked| !checked.http && checked.public) && !allow_private_network
}

/// Reports identities without `allow_broad` on a shared issuer with `preset: none`. That setting
/// removes the protection, so each identity must give a reason.
pub(crate) fn refuse_bare_preset_none(
    reader: &mut Reader<'_>,
    unprotected: &[EntryName],
    identities: &[&IdentitySpec],
) {
    for identity in identities.iter().filter(|identity| identity.allow_broad.is_none()) {
        let used =
            identity.issuers.iter().find(|issuer| unprotected.iter().any(|entry| entry.as_str() == issuer.value));
        if let Some(issuer) = used
            && let Some(span) = reader.report.sources.span(issuer.origin)
        {
            let message = format!(
                "{} is a shared issuer with `preset: none`, so nothing keeps other tenants out",
                quoted(&issuer.value)
            );
            let help =
                "remove `preset: none` from the issuer entry, or say why with `allow_broad: \"...\"` in this identity";
            let place = Place::of_span(&reader.report.sources, span);
            reader.report.at(
                CheckCode::UnprotectedSharedIssuer,
                Severity::Unsafe,
                Some(place),
                message,
                Some(help.to_owned()),
            );
        }
    }
}
