//! Projected service-account tokens of any Kubernetes cluster. Those of EKS, GKE and AKS are
//! recognised by their issuer.

use serde_json::{Map, Value};

use super::platform::{DEFAULTS, IssuerDefaults, IssuerForm, MemberPath, Platform, ShortRule, plain, sole};
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
    ..plain("kubernetes", "Kubernetes", ISSUERS, include_str!("samples/kubernetes.json"))
};

/// Clusters of EKS, GKE and AKS in the public and the sovereign clouds. Each has its own issuer.
const ISSUERS: &[IssuerForm] = &[
    sole("https://oidc.eks.{region}.amazonaws.com/id/{cluster}"),
    sole("https://oidc.eks.{region}.amazonaws.com.cn/id/{cluster}"),
    sole("https://oidc.eks.{region}.amazonaws.eu/id/{cluster}"),
    sole("https://oidc.eks.{region}.c2s.ic.gov/id/{cluster}"),
    sole("https://oidc.eks.{region}.sc2s.sgov.gov/id/{cluster}"),
    sole("https://oidc-eks.{region}.api.aws/id/{cluster}"),
    sole("https://oidc-eks.{region}.api.amazonwebservices.com.cn/id/{cluster}"),
    sole("https://oidc-eks.{region}.api.amazonwebservices.eu/id/{cluster}"),
    sole("https://container.googleapis.com/v1/projects/{project}/locations/{location}/clusters/{cluster}"),
    sole("https://{region}.oic.prod-aks.azure.com/{tenant_uuid}/{cluster_uuid}/"),
    sole("https://{region}.oic.prod-aks.azure.us/{tenant_uuid}/{cluster_uuid}/"),
    sole("https://{region}.oic.prod-aks.azure.cn/{tenant_uuid}/{cluster_uuid}/"),
];

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
    let kubernetes = claims.get("kubernetes.io")?;
    let namespace = kubernetes.get("namespace")?.as_str()?;
    let account = kubernetes.get("serviceaccount")?.get("name")?.as_str()?;
    Some(format!("system:serviceaccount:{namespace}:{account}"))
}

fn adopt_subject(subject: &str, claims: &mut Map<String, Value>) {
    let Some((namespace, account)) =
        subject.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'))
    else {
        return;
    };
    let Some(Value::Object(kubernetes)) = claims.get_mut("kubernetes.io") else { return };
    kubernetes.insert("namespace".to_owned(), namespace.into());
    if let Some(Value::Object(known)) = kubernetes.get_mut("serviceaccount") {
        known.insert("name".to_owned(), account.into());
    }
}
