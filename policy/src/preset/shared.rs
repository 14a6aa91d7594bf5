//! Shared public issuers without a preset. Their signature proves nothing about the tenant.
//!
//! Sources: the table "Identity-provider controls for shared OIDC providers" in the AWS IAM User
//! Guide (AWS), a public census of workload issuers of September 2026 (census), and the platforms'
//! own documentation (docs). A wrong entry costs an operator one subject in an identity; a missing
//! one lets strangers in. So the list includes doubtful issuers.

use super::owner::{OwnerGrammar, OwnerText, never, no_id};
use super::platform::{IssuerForm, shared};

/// A shared issuer.
pub(super) struct SharedIssuer {
    pub(super) name: &'static str,
    pub(super) form: IssuerForm,
    /// How its tokens name their owner. Without it, only an exact subject does.
    pub(super) owner: Option<&'static OwnerGrammar>,
}

const fn issuer(name: &'static str, url: &'static str) -> SharedIssuer {
    SharedIssuer { name, form: shared(url), owner: None }
}

const fn owned(name: &'static str, url: &'static str, owner: &'static OwnerGrammar) -> SharedIssuer {
    SharedIssuer { name, form: shared(url), owner: Some(owner) }
}

/// Issuers of workloads.
pub(super) const SHARED: &[SharedIssuer] = &[
    // AWS, census, docs; claims as Sigstore's Fulcio reads them.
    owned("Codefresh", "https://oidc.codefresh.io", &CODEFRESH),
    // AWS, census, docs ("OIDC client integration"). The audience names the organisation, and the
    // subject, too.
    owned("Pulumi Cloud", "https://api.pulumi.com/oidc", &PULUMI),
    owned("Pulumi Cloud", "https://api.pulumi.com/oidc/v2", &PULUMI),
    // AWS, census, docs ("AWS provider configuration").
    owned("Scalr", "https://scalr.io", &SCALR),
    // Census, docs ("Depot CI, OIDC").
    owned("Depot", "https://identity.depot.dev", &DEPOT),
    // Census, docs ("Using OIDC to authenticate with external services").
    owned("Modal", "https://oidc.modal.com", &MODAL),
    // Census, docs ("OIDC with env zero"). Its issuer ends in a slash; the census leaves that out.
    issuer("env zero", "https://login.app.env0.com/"),
    issuer("env zero", "https://login.app.env0.com"),
    // Census, docs ("Federation").
    owned("Namespace", "https://federation.namespaceapis.com", &NAMESPACE),
    // Census; the issuer of `chainctl`.
    issuer("Chainguard", "https://issuer.enforce.dev"),
    // Census.
    issuer("Cursor", "https://api.cursor.com"),
    issuer("Cursor", "https://api2.cursor.sh/cloud-agent/identity"),
    issuer("Devin", "https://app.devin.ai"),
    issuer("Warp", "https://app.warp.dev"),
    // Docs ("OIDC tokens": `iss` is always this, `sub` names the vault of an organisation).
    owned("RWX", "https://cloud.rwx.com/mint", &RWX),
    // Docs ("OIDC" of Deno Deploy: `iss` is always this, `org_id` names the organisation).
    owned("Deno Deploy", "https://oidc.deno.com", &DENO),
    // Docs ("OIDC in Gitpod"); the second is the form that environments see.
    issuer("Gitpod", "https://api.gitpod.io/idp"),
    issuer("Gitpod", "https://services.gitpod.io/idp"),
    issuer("Ona", "https://app.gitpod.io"),
    // AWS: identity pools (the audience names the pool). Anybody can sign up in a user pool that
    // does not forbid it.
    issuer("Amazon Cognito", "https://cognito-identity.amazonaws.com"),
    issuer("Amazon Cognito", "https://cognito-identity-us-gov.amazonaws.com"),
    issuer("Amazon Cognito", "https://cognito-identity.{region}.amazonaws.com.cn"),
    issuer("Amazon Cognito", "https://cognito-idp.{region}.amazonaws.com/{pool}"),
    issuer("Amazon Cognito", "https://cognito-idp-fips.{region}.amazonaws.com/{pool}"),
    issuer("Amazon Cognito", "https://cognito-idp.{region}.amazonaws.com.cn/{pool}"),
    issuer("Amazon Cognito", "https://cognito-idp.{region}.amazonaws.eu/{pool}"),
    // Docs ("Verify ID tokens"). Anybody can sign up in a project unless its settings forbid it.
    issuer("Firebase", "https://securetoken.google.com/{project}"),
    issuer("Firebase", "https://session.firebase.google.com/{project}"),
    // Docs ("Configure OAuth in identity domains"): every identity domain has this issuer unless
    // its administrator changes it.
    issuer("Oracle Cloud", "https://identity.oraclecloud.com/"),
    issuer("Oracle Cloud", "https://identity.oraclecloud.com"),
    // Docs ("IAM Identity Services"): one issuer for every account.
    issuer("IBM Cloud", "https://iam.cloud.ibm.com/identity"),
    issuer("IBM Cloud", "https://iam.cloud.ibm.com/oidc/token"),
    // Docs ("SSO with OIDC").
    issuer("JumpCloud", "https://oauth.id.jumpcloud.com/"),
    issuer("JumpCloud", "https://oauth.id.eu.jumpcloud.com/"),
    // AWS.
    owned("DVC Studio", "https://studio.datachain.ai/api", &DVC_STUDIO),
    owned("Upbound", "https://proidc.upbound.io", &UPBOUND),
    owned("Shisho Cloud", "https://tokens.cloud.shisho.dev", &SHISHO),
    issuer("sandboxes.cloud", "https://sandboxes.cloud"),
    issuer("GitHub audit log streaming", "https://oidc-configuration.audit-log.githubusercontent.com"),
    issuer("IBM Turbonomic", "https://rh-oidc.s3.us-east-1.amazonaws.com/22ejnvnnturfmt6km08idd0nt4hekbn7"),
    issuer("IBM Turbonomic", "https://rh-oidc.s3.us-east-1.amazonaws.com/23e3sd27sju1hoou6ohfs68vbno607tr"),
    issuer("IBM Turbonomic", "https://rh-oidc.s3.us-east-1.amazonaws.com/23ne21h005qjl3n33d8dui5dlrmv2tmg"),
    issuer("IBM Turbonomic", "https://rh-oidc.s3.us-east-1.amazonaws.com/24jrf12m5dj7ljlfb4ta2frhrcoadm26"),
    issuer("IBM Turbonomic", "https://oidc.op1.openshiftapps.com/2f785sojlpb85i7402pk3qogugim5nfb"),
    issuer("IBM Turbonomic", "https://oidc.op1.openshiftapps.com/2c51blsaqa9gkjt0o9rt11mle8mmropu"),
];

/// Issuers that people sign in at. Anybody can have an account; `sub` is the person.
pub(super) const SIGN_IN: &[(IssuerForm, &str)] = &[
    (shared("https://appleid.apple.com"), "Sign in with Apple"),
    (shared("https://www.facebook.com"), "Facebook Login"),
    (shared("https://www.linkedin.com"), "LinkedIn"),
    (shared("https://www.linkedin.com/oauth"), "LinkedIn"),
    (shared("https://id.twitch.tv/oauth2"), "Twitch"),
    (shared("https://slack.com"), "Slack"),
    (shared("https://discord.com"), "Discord"),
    (shared("https://github.com/login/oauth"), "GitHub sign-in"),
    (shared("https://vercel.com"), "Vercel sign-in"),
    (shared("https://replit.com/oidc"), "Replit"),
    (shared("https://auth.atlassian.com"), "Atlassian"),
    (shared("https://login.salesforce.com"), "Salesforce"),
    (shared("https://api.login.yahoo.com"), "Yahoo"),
    (shared("https://www.amazon.com"), "Login with Amazon"),
    (shared("https://access.line.me"), "LINE"),
    (shared("https://kauth.kakao.com"), "Kakao"),
    (shared("https://secure.login.gov"), "Login.gov"),
    (shared("https://oauth2.sigstore.dev/auth"), "Sigstore"),
    (shared("https://sso.redhat.com/auth/realms/redhat-external"), "Red Hat"),
];

/// A grammar in which every exact subject belongs to one tenant.
const fn grammar(
    subjects: &'static [OwnerText],
    claims: &'static [(&'static str, OwnerText)],
    advice: &'static str,
) -> OwnerGrammar {
    OwnerGrammar {
        subjects,
        exact_subject: true,
        shapes: &[],
        claims,
        ids: &[],
        beside: &["pipeline_id", "repository_id", "repository_owner_id", "app_id"],
        runs_in: &[],
        subject_has_id: never,
        subject_owner_id: no_id,
        advice,
    }
}

const fn colon(prefix: &'static str) -> OwnerText {
    OwnerText::Between { prefix, ends: &[':'] }
}

const fn slash(prefix: &'static str) -> OwnerText {
    OwnerText::Between { prefix, ends: &['/'] }
}

/// `account:ID:pipeline:ID:...`
const CODEFRESH: OwnerGrammar = grammar(
    &[colon("account:")],
    &[("account_id", OwnerText::Whole), ("pipeline_id", OwnerText::Whole), ("account_name", OwnerText::Whole)],
    "begin `subject` with `account:ACCOUNT-ID:`, or add the claim `account_id`",
);

/// `pulumi:deploy:org:ORG:project:...`, `pulumi:environments:org:ORG:env:...`
const PULUMI: OwnerGrammar = grammar(
    &[colon("pulumi:deploy:org:"), colon("pulumi:environments:org:")],
    &[],
    "begin `subject` with `pulumi:deploy:org:ORGANISATION:`",
);

/// `account:NAME:environment:...:workspace:...`
const SCALR: OwnerGrammar =
    grammar(&[colon("account:")], &[], "begin `subject` with `account:NAME:`, or write an exact one");

/// `spiffe://identity.depot.dev/org/ID/ci/github/...`
const DEPOT: OwnerGrammar = grammar(
    &[slash("spiffe://identity.depot.dev/org/")],
    &[("org_id", OwnerText::Whole), ("repository_id", OwnerText::Whole), ("repository_owner_id", OwnerText::Whole)],
    "begin `subject` with `spiffe://identity.depot.dev/org/ORG-ID/`, or add the claim `org_id`",
);

/// `modal:workspace_id:ID:environment_name:...`
const MODAL: OwnerGrammar = grammar(
    &[colon("modal:workspace_id:")],
    &[("workspace_id", OwnerText::Whole)],
    "begin `subject` with `modal:workspace_id:ID:`, or add the claim `workspace_id`",
);

const NAMESPACE: OwnerGrammar =
    grammar(&[], &[("tenant_id", OwnerText::Whole)], "write an exact `subject`, or add the claim `tenant_id`");

/// `mint:ORGANISATION-UUID:VAULT`
const RWX: OwnerGrammar =
    grammar(&[colon("mint:")], &[], "begin `subject` with `mint:ORGANISATION-ID:`, or write an exact one");

const DENO: OwnerGrammar = grammar(
    &[],
    &[("org_id", OwnerText::Whole), ("app_id", OwnerText::Whole)],
    "write an exact `subject`, or add the claim `org_id`",
);

/// `credentials:TEAM/NAME`
const DVC_STUDIO: OwnerGrammar =
    grammar(&[slash("credentials:")], &[], "begin `subject` with `credentials:TEAM/`, or write an exact one");

/// `mcp:ORGANISATION/CONTROL-PLANE:provider:...`
const UPBOUND: OwnerGrammar =
    grammar(&[slash("mcp:")], &[], "begin `subject` with `mcp:ORGANISATION/`, or write an exact one");

/// `job:ORGANISATION:...`
const SHISHO: OwnerGrammar =
    grammar(&[colon("job:")], &[], "begin `subject` with `job:ORGANISATION:`, or write an exact one");
