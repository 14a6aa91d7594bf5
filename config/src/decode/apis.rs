//! `apis:`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sts_policy::ApiSpec;
use sts_types::{Algorithm, ApiName, Audience, CheckCode, Located, Scope};

use super::reader::{Fields, Reader, listed};
use crate::objects::ApiObject;
use crate::settings::Secret;
use crate::source::Span;
use crate::yaml::Node;

/// The contents of `apis:`.
#[derive(Default)]
pub(crate) struct Apis {
    pub(crate) specs: Vec<ApiSpec>,
    pub(crate) signing: BTreeMap<ApiName, Algorithm>,
    /// Files with introspection secrets, not read yet.
    pub(crate) secret_files: Vec<(ApiName, PathBuf, Span)>,
}

impl Apis {
    /// The APIs, with the secrets that were read from their files.
    pub(crate) fn into_objects(self, mut secrets: BTreeMap<ApiName, Secret>) -> Vec<ApiObject> {
        let Self { specs, mut signing, .. } = self;
        let object = |policy: ApiSpec| ApiObject {
            signing_algorithm: signing.remove(&policy.name.value),
            introspection_secret: secrets.remove(&policy.name.value),
            policy,
        };
        specs.into_iter().map(object).collect()
    }
}

/// Reads `apis:`. `signing` lists the server's signing algorithms, `ignored` the scopes of
/// `tokens.ignore_scopes`.
pub(crate) fn apis(reader: &mut Reader<'_>, fields: &Fields<'_>, signing: &[Algorithm], ignored: &[Scope]) -> Apis {
    let mut apis = Apis::default();
    for (entry, members) in reader.named(fields, "apis") {
        let before = reader.report.errors();
        if let Some(name) = reader.declared("apis", entry, ApiName::new) {
            api(reader, name, &members, signing, &mut apis);
            warn_of_ignored(reader, &members, ignored, apis.specs.last());
        }
        reader.note_faults_since(before, "apis", &entry.key);
    }
    apis
}

fn api(reader: &mut Reader<'_>, name: Located<ApiName>, fields: &Fields<'_>, signing: &[Algorithm], apis: &mut Apis) {
    let audience = reader.required(fields, "audience", audience_uri);
    let display_name = reader.optional(fields, "display_name", Reader::text).map(|text| text.value);
    let scopes = reader.optional(fields, "scopes", scopes).unwrap_or_default();
    let algorithm =
        reader.optional(fields, "signing_algorithm", |reader, node| signing_algorithm(reader, node, signing));
    if let Some(algorithm) = algorithm {
        apis.signing.insert(name.value.clone(), algorithm);
    }
    if let Some(node) = fields.node("introspection_secret_file")
        && let Some(path) = reader.secret_path(node)
    {
        apis.secret_files.push((name.value.clone(), path, node.span));
    }
    // Keep an API with a wrong audience, so that references to it are not reported as well.
    let stand_in = || Audience::new(&format!("urn:invalid:{}", name.value)).ok().map(Located::nowhere);
    if let Some(audience) = audience.or_else(stand_in) {
        apis.specs.push(ApiSpec { name, audience, display_name, scopes });
    }
}

/// Reads an algorithm, which must be one of the server's.
fn signing_algorithm(reader: &mut Reader<'_>, node: &Node, signing: &[Algorithm]) -> Option<Algorithm> {
    let all = Algorithm::ALL.map(|algorithm| (algorithm.name(), algorithm));
    let algorithm = reader.one_of(node, &all)?;
    if !signing.contains(&algorithm) {
        let kept = listed(signing.iter().map(|algorithm| algorithm.name()));
        let message =
            format!("the server has no `{algorithm}` keys to sign with: `signing.algorithms` does not list it");
        reader.error(CheckCode::UnknownValue, node.span, message, format!("write one of {kept}, or add it there"));
        return None;
    }
    Some(algorithm)
}

/// Warns about a scope that is also in `tokens.ignore_scopes`. A request for it alone counts as a
/// request without scopes, and gets the whole grant.
fn warn_of_ignored(reader: &mut Reader<'_>, fields: &Fields<'_>, ignored: &[Scope], api: Option<&ApiSpec>) {
    let (Some(node), Some(api)) = (fields.node("scopes"), api) else { return };
    for scope in api.scopes.iter().filter(|scope| ignored.contains(&scope.value)) {
        let message = format!(
            "the scope `{}` is in `tokens.ignore_scopes`, so a request for it counts as one without a scope",
            scope.value
        );
        reader.warning(
            CheckCode::IgnoredScope,
            node.span,
            message,
            "give the scope another name, or set `tokens.ignore_scopes` without it",
        );
    }
}

/// Reads the audience of an API. It must be a URI, so that a request never confuses it with the
/// name of an account or API.
fn audience_uri(reader: &mut Reader<'_>, node: &Node) -> Option<Located<Audience>> {
    let audience = reader.name(node, Audience::new)?;
    let text = audience.value.as_str();
    if !text.contains([':', '/']) || text.contains('#') {
        reader.error(
            CheckCode::InvalidAudience,
            node.span,
            "an API's audience must be a URI without a fragment",
            "write `https://...`, or another URI with `:` or `/` in it",
        );
        return None;
    }
    Some(audience)
}

/// Reads a list of scopes. Reports duplicates.
pub(super) fn scopes(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<Located<Scope>>> {
    let mut found: Vec<Located<Scope>> = Vec::new();
    reader.list_of(node, "scopes", |reader, item| {
        let scope = reader.name(item, Scope::new)?;
        if found.contains(&scope) {
            reader.error(
                CheckCode::DuplicateValue,
                item.span,
                format!("the scope `{}` is listed twice", scope.value),
                "remove one of them",
            );
            return None;
        }
        found.push(scope);
        Some(())
    })?;
    Some(found)
}
