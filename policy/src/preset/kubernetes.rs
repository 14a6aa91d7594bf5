//! Kubernetes projected service-account tokens, on any cluster; those of EKS, GKE and AKS are known by their issuer.

use serde_json::{Map, Value};

use super::IssuerDefaults;
use super::platform::{DEFAULTS, MemberPath, Platform, ShortRule, Tenancy, is_segment, plain};
use sts_types::Algorithm::{ES256, ES384, ES512, EdDSA, RS256};

pub(super) const PLATFORM: Platform = Platform {
    defaults: IssuerDefaults { algorithms: &[RS256, ES256, EdDSA, ES384, ES512], ..DEFAULTS },
    short_rule: Some(&SHORT_RULE),
    is_text_claim,
    lent_claims: &[
        "/kubernetes.io/namespace",
        "/kubernetes.io/serviceaccount/name",
        "/kubernetes.io/serviceaccount/uid",
    ],
    subject_of,
    adopt_subject,
    ..plain("kubernetes", known, include_str!("samples/kubernetes.json"))
};

/// The clusters of EKS, GKE and AKS, each with an issuer of its own.
fn known(url: &str) -> Option<Tenancy> {
    let eks = || {
        let (region, id) = url.strip_prefix("https://oidc.eks.")?.split_once(".amazonaws.com/id/")?;
        Some(is_segment(region) && is_segment(id))
    };
    let gke = || {
        let mut parts = url.strip_prefix("https://container.googleapis.com/v1/projects/")?.split('/');
        let fits = is_segment(parts.next()?)
            && parts.next()? == "locations"
            && is_segment(parts.next()?)
            && parts.next()? == "clusters"
            && is_segment(parts.next()?);
        Some(fits && parts.next().is_none())
    };
    let aks = || {
        let (region, path) = url.strip_prefix("https://")?.split_once(".oic.prod-aks.azure.com/")?;
        let (tenant, cluster) = path.strip_suffix('/')?.split_once('/')?;
        Some(is_segment(region) && sts_types::is_uuid(tenant) && sts_types::is_uuid(cluster))
    };
    let fits = eks().or_else(gke).or_else(aks)?;
    fits.then_some(Tenancy::Sole)
}

const SHORT_RULE: ShortRule = ShortRule {
    key: "kubernetes",
    members: &[
        ("namespace", MemberPath::Path("/kubernetes.io/namespace")),
        ("service_account", MemberPath::Path("/kubernetes.io/serviceaccount/name")),
        ("uid", MemberPath::Path("/kubernetes.io/serviceaccount/uid")),
        ("service_account_uid", MemberPath::Path("/kubernetes.io/serviceaccount/uid")),
        ("pod", MemberPath::Path("/kubernetes.io/pod/name")),
        ("pod_uid", MemberPath::Path("/kubernetes.io/pod/uid")),
        ("node", MemberPath::Path("/kubernetes.io/node/name")),
        ("node_uid", MemberPath::Path("/kubernetes.io/node/uid")),
    ],
    open_prefix: None,
};

fn is_text_claim(claim: &str) -> bool {
    let member = |(_, path): &(&str, MemberPath)| matches!(path, MemberPath::Path(path) if *path == claim);
    SHORT_RULE.members.iter().any(member) || matches!(claim, "sub" | "jti")
}

/// `system:serviceaccount:NS:SA`
fn subject_of(claims: &Map<String, Value>) -> Option<String> {
    let own = claims.get("kubernetes.io")?;
    let namespace = own.get("namespace")?.as_str()?;
    let account = own.get("serviceaccount")?.get("name")?.as_str()?;
    Some(format!("system:serviceaccount:{namespace}:{account}"))
}

fn adopt_subject(subject: &str, claims: &mut Map<String, Value>) {
    let Some((namespace, account)) =
        subject.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'))
    else {
        return;
    };
    let Some(Value::Object(own)) = claims.get_mut("kubernetes.io") else { return };
    own.insert("namespace".to_owned(), namespace.into());
    if let Some(Value::Object(known)) = own.get_mut("serviceaccount") {
        known.insert("name".to_owned(), account.into());
    }
}
