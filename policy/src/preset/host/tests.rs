//! Hosts that are a platform's, look like one, or are somebody's own.

use super::*;
use crate::{IssuerFault, KnownIssuer, Preset};
use sts_types::Issuer;

const GITHUB: &str = "token.actions.githubusercontent.com";
const EKS: &str = "oidc.eks.{region}.amazonaws.com";

#[test]
fn a_host_is_the_same_whatever_its_case_port_and_root_dot() {
    for (host, known) in [
        (GITHUB, GITHUB),
        ("Token.Actions.GitHubUserContent.com", GITHUB),
        ("token.actions.githubusercontent.com.", GITHUB),
        ("token.actions.githubusercontent.com:443", GITHUB),
        ("{x}.actions.githubusercontent.com", GITHUB),
        ("t{x}n.actions.githubusercontent.com", GITHUB),
        ("oidc.eks.eu-west-1.amazonaws.com", EKS),
        ("oidc.eks.{r}.amazonaws.com", EKS),
        ("oidc.eks.eu-{r}.amazonaws.com", EKS),
    ] {
        assert_eq!(likeness(host, known), Some(Likeness::Same), "{host}");
    }
}

#[test]
fn fld3_a_letter_or_two_a_look_alike_or_another_ending_is_near() {
    for (host, known) in [
        ("token.action.githubusercontent.com", GITHUB),
        ("tokens.actions.githubusercontent.com", GITHUB),
        ("token.actions.githubusercontnet.com", GITHUB),
        ("token.actions.githubusecontent.com", GITHUB),
        ("token.actions.githubuserscontents.com", GITHUB),
        ("token.actoins.githubusercontent.com", GITHUB),
        ("tokenactions.githubusercontent.com", GITHUB),
        ("token-actions.githubusercontent.com", GITHUB),
        ("token.actions.github-usercontent.com", GITHUB),
        ("token.actions.githubusercontent.co", GITHUB),
        ("token.actions.githubusercontent.net", GITHUB),
        ("token.actions.githubusercontent.com.evil.example", GITHUB),
        ("token-actions-githubusercontent-com.evil.example", GITHUB),
        ("t0ken.acti0ns.github0sercontent.com", GITHUB),
        ("tоken.aсtiоns.githubusercоntent.com", GITHUB),
        ("{x}.actions.githubusercontnet.com", GITHUB),
        ("gitlab.co", "gitlab.com"),
        ("gltlab.com", "gitlab.com"),
        ("gitlap.com", "gitlab.com"),
        ("gitIab.com", "gitlab.com"),
        ("xn--gtlab-zsa.com", "gitlab.com"),
        ("xn--gtlab-n2e.com", "gitlab.com"),
        ("accounts.googIe.com", "accounts.google.com"),
        ("account.google.com", "accounts.google.com"),
        ("oidc.eks.eu-west-1.amazonaw.com", EKS),
        ("oidc.ek.eu-west-1.amazonaws.com", EKS),
        ("oidc.eks.{region}.amazonawss.com", EKS),
        ("oidc.fl.io", "oidc.fly.io"),
        ("octo.app.spacelif.io", "{account}.app.spacelift.io"),
    ] {
        assert_eq!(likeness(host, known), Some(Likeness::Near), "{host}");
    }
}

#[test]
fn what_nobody_would_take_for_it_is_left_alone() {
    for (host, known) in [
        ("gitlab.example.com", "gitlab.com"),
        ("gitlab.internal", "gitlab.com"),
        ("gitlab.corp", "gitlab.com"),
        ("gitlab.dev", "gitlab.com"),
        ("gitlap.lan", "gitlab.com"),
        ("gitea.com", "gitlab.com"),
        ("git.acme.com", "gitlab.com"),
        ("{team}.lab.com", "gitlab.com"),
        ("oidc.foo.io", "oidc.fly.io"),
        ("oidc.example.com", "oidc.fly.io"),
        ("ci.terraform.example", "app.terraform.io"),
        ("kubernetes.default.svc", GITHUB),
        ("10.0.0.1", "gitlab.com"),
        ("issuer.example", "scalr.io"),
    ] {
        assert_eq!(likeness(host, known), None, "{host}");
    }
}

fn fault(url: &str) -> Option<IssuerFault> {
    IssuerFault::of(&Issuer::new(url).unwrap().into())
}

const UUID: &str = "33333333-4444-4555-8666-777777777777";

#[test]
fn fld3_other_clouds_of_a_platform_are_the_platform() {
    for (url, preset) in [
        ("https://oidc.eks.us-gov-west-1.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF", Some(Preset::Kubernetes)),
        ("https://oidc.eks.cn-north-1.amazonaws.com.cn/id/0123456789ABCDEF0123456789ABCDEF", Some(Preset::Kubernetes)),
        ("https://oidc.eks.eusc-de-east-1.amazonaws.eu/id/0123456789ABCDEF0123456789ABCDEF", Some(Preset::Kubernetes)),
        ("https://oidc.eks.us-iso-east-1.c2s.ic.gov/id/0123456789ABCDEF0123456789ABCDEF", Some(Preset::Kubernetes)),
        ("https://oidc.eks.us-isob-east-1.sc2s.sgov.gov/id/0123456789ABCDEF0123456789ABCDEF", Some(Preset::Kubernetes)),
        ("https://oidc-eks.us-gov-west-1.api.aws/id/0123456789ABCDEF0123456789ABCDEF", Some(Preset::Kubernetes)),
        (
            "https://oidc-eks.cn-north-1.api.amazonwebservices.com.cn/id/0123456789ABCDEF0123456789ABCDEF",
            Some(Preset::Kubernetes),
        ),
        ("https://usgovvirginia.oic.prod-aks.azure.us/TENANT/TENANT/", Some(Preset::Kubernetes)),
        ("https://chinaeast2.oic.prod-aks.azure.cn/TENANT/TENANT/", Some(Preset::Kubernetes)),
        ("https://login.microsoftonline.us/TENANT/v2.0", Some(Preset::Azure)),
        ("https://login.microsoftonline.us/TENANT/", Some(Preset::Azure)),
        ("https://login.partner.microsoftonline.cn/TENANT/v2.0", Some(Preset::Azure)),
        ("https://login.chinacloudapi.cn/TENANT/v2.0", Some(Preset::Azure)),
        ("https://sts.chinacloudapi.cn/TENANT/", Some(Preset::Azure)),
        ("https://login.microsoftonline.de/TENANT/v2.0", Some(Preset::Azure)),
        ("https://sts.microsoftonline.de/TENANT/", Some(Preset::Azure)),
        ("https://TENANT.tokens.sts.global.api.amazonwebservices.com.cn", Some(Preset::Aws)),
        ("https://cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_abc", None),
        ("https://cognito-idp.us-gov-west-1.amazonaws.com/us-gov-west-1_abc", None),
        ("https://cognito-idp-fips.us-gov-west-1.amazonaws.com/us-gov-west-1_abc", None),
        ("https://cognito-identity-us-gov.amazonaws.com", None),
        ("https://cognito-identity.cn-north-1.amazonaws.com.cn", None),
        ("https://app.eu.terraform.io", Some(Preset::TerraformCloud)),
        ("https://app3.harness.io/ng/api/oidc/account/acme", Some(Preset::Harness)),
        ("https://app.eu.harness.io/ng/api/oidc/account/acme", Some(Preset::Harness)),
        ("https://acme.app.us.spacelift.io", Some(Preset::Spacelift)),
        ("accounts.google.com", Some(Preset::Google)),
    ] {
        let url = url.replace("TENANT", UUID);
        assert_eq!(fault(&url), None, "{url}");
        let known = KnownIssuer::of_url(&url).unwrap_or_else(|| panic!("{url}"));
        assert_eq!(known.preset(), preset, "{url}");
    }
}

#[test]
fn fld3_nobodys_own_host_is_taken_for_a_platforms() {
    let mut wrong = Vec::new();
    for url in [
        // Short names: another letter makes another word.
        "https://scale.io",
        "https://scaler.io",
        "https://oidc.demo.com",
        "https://oidc.dino.com",
        "https://oidc.denso.com",
        "https://oidc.model.com",
        "https://oidc.modular.com",
        "https://oidc.foo.io",
        "https://oidc.sky.io",
        "https://oidc.flow.io",
        "https://app.wrap.ai",
        "https://app.devon.ai",
        "https://app.kevin.ai",
        "https://app.wasp.dev",
        "https://cloud.rex.com/mint",
        "https://identity.depot.com",
        "https://identity.despot.io",
        "https://app.warp.com",
        "https://accounts.noodle.com",
        "https://accounts.goodie.com",
        "https://login.app.env2.com/",
        "https://api.cursors.acme.com",
        "https://api.pulsar.com/oidc",
        // A platform's name in a domain of one's own.
        "https://gitlab.example.com",
        "https://gitlab.acme.io",
        "https://gitlab.dev",
        "https://gitlab.acme.gitlab-dedicated.com",
        "https://acme.gitlab-dedicated.com",
        "https://vercel.acme.com",
        "https://terraform.acme.com",
        "https://app.terraform.acme.com",
        "https://app.tfe.acme.io",
        "https://bitbucket.acme.com",
        "https://buildkite.acme.com",
        "https://harness.acme.com/ng/api/oidc/account/acme",
        "https://spacelift.acme.com",
        "https://codeberg.acme.org",
        "https://forgejo.acme.org/api/actions",
        "https://token.actions.acme.com",
        "https://oidc.eks.acme.com/id/1",
        "https://accounts.acme.com",
        "https://login.acme.com",
        "https://sts.acme.net",
        "https://agent.acme.com",
        "https://git.acme.com",
        "https://github.acme.com/_services/token",
        // Other hosts of the platforms' companies.
        "https://app3.terraform.io.acme.corp",
        "https://acme.s3.eu-west-1.amazonaws.com",
        "https://acme.s3.cn-north-1.amazonaws.com.cn",
        "https://login.windows.net/x",
        "https://sts.windows-ppe.net/33333333-4444-4555-8666-777777777777/",
        "https://acme.b2clogin.com/33333333-4444-4555-8666-777777777777/v2.0/",
        "https://acme.ciamlogin.com/33333333-4444-4555-8666-777777777777/v2.0",
        "https://westeurope.oic.aks.azure.us/x",
        "https://oidc.prod-aks.azure.com/33333333-4444-4555-8666-777777777777/",
        "https://eastus.oic.prod-arc.azure.com/33333333-4444-4555-8666-777777777777/x/",
        "https://login-us.microsoftonline.com/33333333-4444-4555-8666-777777777777/v2.0",
        "https://sts.amazonaws.com.cn",
        "https://iam.googleapis.com/x",
        "https://acme.okta.com/oauth2/default",
        "https://acme.okta-gov.com/oauth2/default",
        "https://acme.eu.auth0.com/",
        "https://keycloak.acme.cloud/realms/x",
        "https://kubernetes.default.svc",
        "https://10.0.0.1:6443",
        "https://gitea.com",
        "https://gitlap.lan",
    ] {
        wrong.extend(fault(url).map(|found| format!("{url}: {}", found.message)));
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn fld3_whoever_imitates_a_platform_is_told() {
    for url in [
        // A letter or two.
        "https://token.action.githubusercontent.com",
        "https://tokens.actions.githubusercontent.com",
        "https://token.actions.githubusercontet.com",
        "https://token.actions.githubuserconten.com",
        "https://token.actions.githubbusercontent.com",
        "https://token.actions.gihtubusercontent.com",
        "https://tokne.actions.githubusercontent.com",
        "https://gitlap.com",
        "https://gitlabs.com",
        "https://gitlb.com",
        "https://giltab.com",
        "https://accounts.gooogle.com",
        "https://accounts.gogle.com",
        "https://acounts.google.com",
        "https://account.gogle.com",
        "https://agent.buildkit.com",
        "https://agent.buildkyte.com",
        "https://app.terrafrom.io",
        "https://app.teraform.io",
        "https://oidc.circlec.com",
        "https://oidc.circle-ci.com",
        "https://oidc.vercell.com",
        "https://oidc.verce.com",
        "https://oidc.codefrseh.io",
        "https://acme.app.spacelif.io",
        "https://api.bitbuckett.org/2.0/workspaces/x/pipelines-config/identity/oidc",
        "https://oidc.eks.eu-west-1.amazonaw.com/id/0123456789ABCDEF0123456789ABCDEF",
        "https://oidc.eks.eu-west-1.amazonawss.com/id/0123456789ABCDEF0123456789ABCDEF",
        "https://login.microsoftonlin.com/33333333-4444-4555-8666-777777777777/v2.0",
        "https://login.microsoft-online.com/33333333-4444-4555-8666-777777777777/v2.0",
        "https://app.harnes.io/ng/api/oidc/account/acme",
        "https://oidc.fl.io/acme",
        "https://scallr.io",
        "https://sclar.io",
        // Look-alikes.
        "https://token.actions.githubusercontеnt.com",
        "https://t0ken.actions.githubusercontent.com",
        "https://token.actions.qithubusercontent.com",
        "https://gitIab.com",
        "https://g1tlab.com",
        "https://xn--gtlab-n2e.com",
        "https://accounts.googIe.com",
        "https://oidc.fIy.io/acme",
        "https://scaIr.io",
        "https://oidc.dеno.com",
        "https://app.terraforrn.io",
        // Dots, hyphens and endings.
        "https://tokenactions.githubusercontent.com",
        "https://token-actions.githubusercontent.com",
        "https://token.actions.github-usercontent.com",
        "https://token.actions.githubusercontent.co",
        "https://token.actions.githubusercontent.net",
        "https://git-lab.com",
        "https://gitlab.co",
        "https://gitlab.cm",
        "https://oidcfly.io/acme",
        "https://app.terraform.com",
        "https://agent.buildkite.co",
        // The platform's host in somebody's domain.
        "https://token.actions.githubusercontent.com.evil.io",
        "https://token.actions.githubusercontent.com-login.io",
        "https://token-actions-githubusercontent-com.evil.io",
        "https://login-token-actions-githubusercontent-com.evil.io",
        "https://sso.token.actions.githubusercontent.com.evil.io",
        "https://gitlab.com.evil.io",
        "https://accounts.google.com.evil.io",
        "https://accounts.google.com.s3.amazonaws.com",
        "https://accounts.google.com.github.io",
        "https://oidc.eks.eu-west-1.amazonaws.com.evil.io/id/0123456789ABCDEF0123456789ABCDEF",
        "https://oidc.eks.eu-west-1.amazonaws.com-eks.io/id/0123456789ABCDEF0123456789ABCDEF",
        "https://cognito-idp.eu-west-1.amazonaws.com.co/pool",
        "https://acme.app.spacelift.io.evil.io",
        // The registered domain, below any other labels.
        "https://vstoken.action.githubusercontnet.com",
        "https://idp.githubuserconten.com",
        "https://identity.buildkit.com",
        "https://acme.terrafrom.io",
        "https://sts.microsoftonlin.com/33333333-4444-4555-8666-777777777777/",
    ] {
        let found = fault(url).unwrap_or_else(|| panic!("{url}"));
        assert!(found.look_alike, "{url}: {found:?}");
        assert!(!found.help.contains("preset"), "{url}: {found:?}");
    }
}
