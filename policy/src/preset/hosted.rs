//! Hosts where anybody can have an issuer: identity providers with a tenant per customer, and
//! companies that host anybody's files or programs. If a family has a variable in the place of the
//! tenant, it accepts everybody.
//!
//! The Public Suffix List covers registries, and companies that give out names below a suffix. The
//! list here has the others. A wrong entry costs an operator one listed value; a missing one lets
//! strangers in.

use sts_types::IssuerTemplate;

use super::domain::public_suffix;
use super::host::fits;

/// The reason why anybody can have a member of a family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OpenToAnybody {
    /// What anybody does to get one, as the end of a sentence: `has an account at Okta`.
    pub(crate) how: String,
}

/// The part of a URL that names the tenant.
#[derive(Clone, Copy)]
enum Tenant {
    /// A label of the host.
    Host,
    /// One of the first segments of the path, as many as this.
    Path(usize),
}

use Tenant::{Host, Path};

/// Domain (`*` is any one label), part of the URL that names the tenant, and the company.
const HOSTED: &[(&str, Tenant, &str)] = &[
    // Identity providers with a host for each tenant.
    ("okta.com", Host, "Okta"),
    ("oktapreview.com", Host, "Okta"),
    ("okta-emea.com", Host, "Okta"),
    ("okta-gov.com", Host, "Okta"),
    ("okta.mil", Host, "Okta"),
    ("auth0.com", Host, "Auth0"),
    ("auth0app.com", Host, "Auth0"),
    ("onelogin.com", Host, "OneLogin"),
    ("ciamlogin.com", Host, "Microsoft Entra External ID"),
    ("*.ciamlogin.com", Path(1), "Microsoft Entra External ID"),
    ("b2clogin.com", Host, "Azure AD B2C"),
    ("*.b2clogin.com", Path(2), "Azure AD B2C"),
    ("identity.oraclecloud.com", Host, "Oracle Cloud"),
    ("oraclecloud.com", Host, "Oracle Cloud"),
    ("ondemand.com", Host, "SAP"),
    ("cloud.sap", Host, "SAP"),
    ("clerk.accounts.dev", Host, "Clerk"),
    ("accounts.dev", Host, "Clerk"),
    ("lcl.dev", Host, "Clerk"),
    ("supabase.co", Host, "Supabase"),
    ("supabase.in", Host, "Supabase"),
    ("supabase.net", Host, "Supabase"),
    ("cloudflareaccess.com", Host, "Cloudflare Access"),
    ("verify.ibm.com", Host, "IBM Verify"),
    ("ice.ibmcloud.com", Host, "IBM Verify"),
    ("verify.ibmcloudsecurity.com", Host, "IBM Verify"),
    ("sso.duosecurity.com", Host, "Duo"),
    ("duosecurity.com", Host, "Duo"),
    ("my.salesforce.com", Host, "Salesforce"),
    ("salesforce.com", Host, "Salesforce"),
    ("force.com", Host, "Salesforce"),
    ("my.site.com", Host, "Salesforce"),
    ("service-now.com", Host, "ServiceNow"),
    ("my.idaptive.app", Host, "CyberArk"),
    ("id.cyberark.cloud", Host, "CyberArk"),
    ("cyberark.cloud", Host, "CyberArk"),
    ("secureauth.com", Host, "SecureAuth"),
    ("cloudentity.io", Host, "Cloudentity"),
    ("pingone.com", Host, "PingOne"),
    ("pingone.eu", Host, "PingOne"),
    ("pingone.asia", Host, "PingOne"),
    ("pingone.ca", Host, "PingOne"),
    ("pingone.com.au", Host, "PingOne"),
    ("pingone.sg", Host, "PingOne"),
    ("forgeblocks.com", Host, "Ping Advanced Identity Cloud"),
    ("id.forgerock.io", Host, "Ping Advanced Identity Cloud"),
    ("zitadel.cloud", Host, "ZITADEL Cloud"),
    ("zitadel.app", Host, "ZITADEL Cloud"),
    ("logto.app", Host, "Logto"),
    ("kinde.com", Host, "Kinde"),
    ("frontegg.com", Host, "Frontegg"),
    ("propelauth.com", Host, "PropelAuth"),
    ("propelauthtest.com", Host, "PropelAuth"),
    ("projects.oryapis.com", Host, "Ory Network"),
    ("oryapis.com", Host, "Ory Network"),
    ("fusionauth.io", Host, "FusionAuth Cloud"),
    ("authkit.app", Host, "WorkOS"),
    ("authing.cn", Host, "Authing"),
    ("phasetwo.io", Host, "Phase Two"),
    ("cloud-iam.com", Host, "Cloud-IAM"),
    ("skycloak.io", Host, "Skycloak"),
    ("asgardeo.io", Host, "Asgardeo"),
    ("jumpcloud.com", Host, "JumpCloud"),
    ("rippling.com", Host, "Rippling"),
    ("miniorange.com", Host, "miniOrange"),
    ("xecurify.com", Host, "miniOrange"),
    ("criipto.id", Host, "Criipto"),
    ("criipto.com", Host, "Criipto"),
    ("signicat.com", Host, "Signicat"),
    ("stytch.com", Host, "Stytch"),
    ("customers.stytch.com", Host, "Stytch"),
    ("hanko.io", Host, "Hanko Cloud"),
    ("corbado.io", Host, "Corbado"),
    ("userfront.com", Host, "Userfront"),
    ("amazoncognito.com", Host, "Amazon Cognito"),
    ("atlassian.net", Host, "Atlassian"),
    ("hashicorp.cloud", Host, "HCP Vault"),
    ("teleport.sh", Host, "Teleport Cloud"),
    ("octopus.app", Host, "Octopus Cloud"),
    ("gitpod.cloud", Host, "Gitpod"),
    ("azuredatabricks.net", Host, "Databricks"),
    ("databricks.com", Host, "Databricks"),
    ("snowflakecomputing.com", Host, "Snowflake"),
    // Identity providers with a path for each tenant.
    ("securetoken.google.com", Path(1), "Firebase"),
    ("session.firebase.google.com", Path(1), "Firebase"),
    ("api.workos.com", Path(3), "WorkOS"),
    ("api.descope.com", Path(2), "Descope"),
    ("api.*.descope.com", Path(2), "Descope"),
    ("stytch.com", Path(1), "Stytch"),
    ("test.stytch.com", Path(1), "Stytch"),
    ("api.stytch.com", Path(3), "Stytch"),
    ("api.asgardeo.io", Path(2), "Asgardeo"),
    ("*.api.asgardeo.io", Path(2), "Asgardeo"),
    ("auth.pingone.com", Path(1), "PingOne"),
    ("auth.pingone.eu", Path(1), "PingOne"),
    ("auth.pingone.asia", Path(1), "PingOne"),
    ("auth.pingone.ca", Path(1), "PingOne"),
    ("auth.pingone.com.au", Path(1), "PingOne"),
    ("auth.pingone.sg", Path(1), "PingOne"),
    ("login.pingone.com", Path(2), "PingOne"),
    ("appid.cloud.ibm.com", Path(3), "IBM App ID"),
    ("*.appid.cloud.ibm.com", Path(3), "IBM App ID"),
    ("api.authlete.com", Path(2), "Authlete"),
    ("app.phasetwo.io", Path(3), "Phase Two"),
    ("*.phasetwo.io", Path(3), "Phase Two"),
    ("*.cloud-iam.com", Path(3), "Cloud-IAM"),
    ("oauth.cloudentity.io", Path(2), "Cloudentity"),
    ("login.microsoftonline.com", Path(1), "Microsoft Entra"),
    ("login.windows.net", Path(1), "Microsoft Entra"),
    ("sts.windows.net", Path(1), "Microsoft Entra"),
    ("gkehub.googleapis.com", Path(6), "Google Cloud"),
    ("container.googleapis.com", Path(7), "Google Cloud"),
    // Files and programs of anybody.
    ("s3.amazonaws.com", Host, "Amazon S3"),
    ("s3.amazonaws.com", Path(1), "Amazon S3"),
    ("s3.*.amazonaws.com", Host, "Amazon S3"),
    ("s3.*.amazonaws.com", Path(1), "Amazon S3"),
    ("s3.dualstack.*.amazonaws.com", Host, "Amazon S3"),
    ("s3.dualstack.*.amazonaws.com", Path(1), "Amazon S3"),
    ("s3-website.*.amazonaws.com", Host, "Amazon S3"),
    ("s3.*.amazonaws.com.cn", Host, "Amazon S3"),
    ("s3.*.amazonaws.com.cn", Path(1), "Amazon S3"),
    ("s3.*.amazonaws.eu", Host, "Amazon S3"),
    ("amazonaws.com", Host, "AWS"),
    ("amazonaws.com.cn", Host, "AWS"),
    ("amazonaws.eu", Host, "AWS"),
    ("on.aws", Host, "AWS"),
    ("awsapps.com", Host, "AWS"),
    ("awsapprunner.com", Host, "AWS"),
    ("cloudfront.net", Host, "Amazon CloudFront"),
    ("storage.googleapis.com", Host, "Google Cloud Storage"),
    ("storage.googleapis.com", Path(1), "Google Cloud Storage"),
    ("storage.cloud.google.com", Path(1), "Google Cloud Storage"),
    ("core.windows.net", Host, "Azure Storage"),
    ("core.usgovcloudapi.net", Host, "Azure Storage"),
    ("core.chinacloudapi.cn", Host, "Azure Storage"),
    ("azureedge.net", Host, "Azure"),
    ("azurefd.net", Host, "Azure"),
    ("azure-api.net", Host, "Azure"),
    ("azurewebsites.net", Host, "Azure"),
    ("cloudapp.azure.com", Host, "Azure"),
    ("azurecontainerapps.io", Host, "Azure"),
    ("azmk8s.io", Host, "Azure"),
    ("objectstorage.*.oraclecloud.com", Path(4), "Oracle Cloud"),
    ("*.compat.objectstorage.*.oraclecloud.com", Path(1), "Oracle Cloud"),
    ("digitaloceanspaces.com", Host, "DigitalOcean Spaces"),
    ("*.digitaloceanspaces.com", Path(1), "DigitalOcean Spaces"),
    ("ondigitalocean.app", Host, "DigitalOcean"),
    ("linodeobjects.com", Host, "Linode Object Storage"),
    ("*.linodeobjects.com", Path(1), "Linode Object Storage"),
    ("backblazeb2.com", Host, "Backblaze B2"),
    ("*.backblazeb2.com", Path(2), "Backblaze B2"),
    ("wasabisys.com", Host, "Wasabi"),
    ("*.wasabisys.com", Path(1), "Wasabi"),
    ("s3.*.wasabisys.com", Path(1), "Wasabi"),
    ("vultrobjects.com", Host, "Vultr Object Storage"),
    ("*.vultrobjects.com", Path(1), "Vultr Object Storage"),
    ("scw.cloud", Host, "Scaleway"),
    ("s3.*.scw.cloud", Path(1), "Scaleway"),
    ("cloud.ovh.net", Host, "OVHcloud"),
    ("your-objectstorage.com", Host, "Hetzner Object Storage"),
    ("*.your-objectstorage.com", Path(1), "Hetzner Object Storage"),
    ("aliyuncs.com", Host, "Alibaba Cloud"),
    ("myqcloud.com", Host, "Tencent Cloud"),
    ("myhuaweicloud.com", Host, "Huawei Cloud"),
    ("appdomain.cloud", Host, "IBM Cloud"),
    ("*.cloud-object-storage.appdomain.cloud", Path(1), "IBM Cloud"),
    ("s3.*.cloud-object-storage.appdomain.cloud", Path(1), "IBM Cloud"),
    ("raw.githubusercontent.com", Path(2), "GitHub"),
    ("gist.githubusercontent.com", Path(2), "GitHub"),
    ("raw.github.com", Path(2), "GitHub"),
    ("cdn.jsdelivr.net", Path(3), "jsDelivr"),
    ("openshiftapps.com", Host, "Red Hat OpenShift"),
    ("oidc.*.openshiftapps.com", Path(1), "Red Hat OpenShift"),
    ("rh-oidc.s3.us-east-1.amazonaws.com", Path(1), "Red Hat OpenShift"),
    ("oidc.os1.devshift.org", Path(1), "Red Hat OpenShift"),
    ("ngrok.io", Host, "ngrok"),
    ("ngrok.app", Host, "ngrok"),
    ("ngrok.dev", Host, "ngrok"),
    ("ngrok-free.app", Host, "ngrok"),
    ("trycloudflare.com", Host, "Cloudflare"),
    ("workers.dev", Host, "Cloudflare"),
    ("pages.dev", Host, "Cloudflare"),
    ("r2.dev", Host, "Cloudflare"),
    ("r2.cloudflarestorage.com", Host, "Cloudflare"),
    ("*.r2.cloudflarestorage.com", Path(1), "Cloudflare"),
    ("nip.io", Host, "nip.io"),
    ("sslip.io", Host, "sslip.io"),
    ("ts.net", Host, "Tailscale"),
];

impl OpenToAnybody {
    /// How anybody can get a member of the family, if one of its `free` variables names the tenant.
    pub(crate) fn of(template: &IssuerTemplate, free: &[&str]) -> Option<Self> {
        let rest = template.as_str().split_once("://")?.1;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = authority.split_once(':').map_or(authority, |(host, _)| host).to_lowercase();
        let open: Vec<String> = free.iter().map(|name| format!("{{{name}}}")).collect();
        let is_open = |text: &str| open.iter().any(|variable| text.contains(variable.as_str()));
        let stands_for_tenant = |tenant: Tenant| match tenant {
            Host => is_open(&host),
            Path(segments) => is_open(&host) || path.split('/').take(segments).any(is_open),
        };
        let found =
            HOSTED.iter().find(|(domain, tenant, _)| is_within(&host, domain, *tenant) && stands_for_tenant(*tenant));
        if let Some((_, _, vendor)) = found {
            return Some(Self { how: format!("has an account at {vendor}") });
        }
        let suffix = public_suffix(&host)?;
        let name = suffix.name_in(&host).unwrap_or(&host);
        is_open(name).then(|| Self { how: format!("gets a name below `{}`", suffix.text) })
    }
}

/// Whether `host` belongs to `domain`: below it if the host names the tenant, otherwise the domain
/// itself.
fn is_within(host: &str, domain: &str, tenant: Tenant) -> bool {
    let mut labels = host.rsplit('.');
    let is_below = domain
        .rsplit('.')
        .all(|label| labels.next().is_some_and(|found| label == "*" || found == label || fits(found, label)));
    let more = labels.next().is_some();
    is_below && (matches!(tenant, Host) == more)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use sts_types::VariableSpec;

    fn how(text: &str, listed: &[&str]) -> Option<String> {
        let names = text.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0));
        let rule = |name: &str| match listed.contains(&name) {
            true => VariableSpec::OneOf(vec!["acme".to_owned()]),
            false => VariableSpec::Pattern("acme-[a-z]+".to_owned()),
        };
        let rules: BTreeMap<String, VariableSpec> = names.map(|name| (name.to_owned(), rule(name))).collect();
        let template = IssuerTemplate::new(text, &rules).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
        OpenToAnybody::of(&template, &template.open_variables().collect::<Vec<_>>()).map(|open| open.how)
    }

    #[test]
    fn f1_a_variable_that_stands_for_a_vendors_customer_stands_for_everybody() {
        for (text, vendor) in [
            ("https://{org}.okta.com", "an account at Okta"),
            ("https://{org}.okta.com/oauth2/default", "an account at Okta"),
            ("https://acme-{org}.oktapreview.com/oauth2/{server}", "an account at Okta"),
            ("https://{tenant}.auth0.com/", "an account at Auth0"),
            ("https://{tenant}.eu.auth0.com/", "an account at Auth0"),
            ("https://acme.{region}.auth0.com/", "an account at Auth0"),
            ("https://{bucket}.s3.amazonaws.com", "Amazon S3"),
            ("https://{bucket}.s3.eu-west-1.amazonaws.com/x", "Amazon S3"),
            ("https://{bucket}.s3.{region}.amazonaws.com", "Amazon S3"),
            ("https://s3.eu-west-1.amazonaws.com/{bucket}/oidc", "Amazon S3"),
            ("https://{bucket}.s3-eu-west-1.amazonaws.com", "Amazon S3"),
            ("https://{id}.cloudfront.net", "CloudFront"),
            ("https://{project}.supabase.co/auth/v1", "Supabase"),
            ("https://idcs-{id}.identity.oraclecloud.com", "Oracle Cloud"),
            ("https://{tenant}.ciamlogin.com/{id}/v2.0", "Entra External ID"),
            ("https://{tenant}.b2clogin.com/{id}/v2.0/", "Azure AD B2C"),
            ("https://{org}.onelogin.com/oidc/2", "OneLogin"),
            ("https://api.workos.com/user_management/client_{id}", "WorkOS"),
            ("https://api.workos.com/sso/jwks/{id}", "WorkOS"),
            ("https://{app}.clerk.accounts.dev", "Clerk"),
            ("https://securetoken.google.com/{project}", "Firebase"),
            ("https://{team}.cloudflareaccess.com", "Cloudflare Access"),
            ("https://auth.pingone.eu/{environment}/as", "PingOne"),
            ("https://{instance}.zitadel.cloud", "ZITADEL"),
            ("https://{name}.kinde.com", "Kinde"),
            ("https://api.descope.com/{project}", "Descope"),
            ("https://{slug}.projects.oryapis.com", "Ory"),
            ("https://storage.googleapis.com/{bucket}", "Google Cloud Storage"),
            ("https://{account}.blob.core.windows.net/oidc/", "Azure Storage"),
            ("https://{account}.z13.web.core.windows.net", "Azure Storage"),
            ("https://raw.githubusercontent.com/{owner}/oidc/main", "GitHub"),
            ("https://oidc.op1.openshiftapps.com/{cluster}", "OpenShift"),
            ("https://{org}.github.io", "`github.io`"),
            ("https://{org}.gitlab.io/oidc", "`gitlab.io`"),
            ("https://{site}.netlify.app", "`netlify.app`"),
            ("https://{app}.herokuapp.com", "`herokuapp.com`"),
            ("https://{app}.web.app", "`web.app`"),
            ("https://{app}.vercel.app", "`vercel.app`"),
            ("https://{app}.onrender.com", "`onrender.com`"),
            ("https://acme-{x}.co.uk", "`co.uk`"),
            ("https://{x}.com.au/oidc", "`com.au`"),
        ] {
            let found = how(text, &[]).unwrap_or_default();
            assert!(found.contains(vendor), "{text}: {found}");
        }
    }

    #[test]
    fn f1_a_family_within_ones_own_domain_or_tenant_is_ones_own() {
        for (text, listed) in [
            ("https://{cluster}.oidc.acme.com", &[][..]),
            ("https://oidc.acme.com/{cluster}", &[]),
            ("https://{cluster}.acme.co.uk", &[]),
            ("https://{cluster}.acme.github.io", &[]),
            ("https://{cluster}.acme.example", &[]),
            ("https://{cluster}.clusters.internal", &[]),
            ("https://acme.okta.com/oauth2/{server}", &[]),
            ("https://acme.supabase.co/{x}/v1", &[]),
            ("https://acme.s3.eu-west-1.amazonaws.com/{cluster}", &[]),
            ("https://s3.eu-west-1.amazonaws.com/acme/{cluster}", &[]),
            ("https://storage.googleapis.com/acme/{cluster}", &[]),
            ("https://acme.blob.core.windows.net/oidc/{cluster}/", &[]),
            ("https://{org}.okta.com", &["org"]),
            ("https://{org}.okta.com/oauth2/{server}", &["org"]),
            ("https://{bucket}.s3.{region}.amazonaws.com", &["bucket", "region"]),
        ] {
            assert_eq!(how(text, listed), None, "{text}");
        }
    }
}
