//! What is known about platforms, for those who write identities: `/admin/v1/presets`.

use sts_api::{PresetInfo, PresetMember, Presets};
use sts_policy::{IssuerSpec, Preset};

use super::{Caller, Documentation, Endpoint, Operation, OperationError, Request, Right, Route};
use crate::app_state::AppState;
use crate::openapi::Model;

pub(super) const ROUTES: &[Route] = &[Route::to::<ListPresets>()];

/// Every preset, with the issuer entries that have it.
#[derive(Debug)]
pub(crate) struct ListPresets;

impl Operation for ListPresets {
    type Answer = Presets;

    const ENDPOINT: Endpoint = Endpoint {
        method: "GET",
        path: "/presets",
        right: Right::Read,
        needs_rules: true,
        documentation: Documentation {
            name: "listPresets",
            summary: "The platforms with a preset: the members of their short rules, a typical token, and their issuer entries",
            body: None,
            answer: Some(Model::of::<Presets>()),
            failures: &[],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        request.without_parameters(Self)
    }

    fn request(&self) -> Request {
        Request::default()
    }

    fn not_done(&self) -> &'static str {
        "nothing was listed"
    }

    async fn run(self, state: &AppState, _: &Caller) -> Result<Presets, OperationError> {
        let snapshot = state.service.snapshot();
        let issuers = &snapshot.rules.frame().issuers;
        let presets = Preset::ALL.into_iter().map(|preset| info(preset, issuers)).collect();
        Ok(Presets { presets, without: entries(None, issuers) })
    }
}

fn info(preset: Preset, issuers: &[IssuerSpec]) -> PresetInfo {
    let member = |(name, claim): (&str, &str)| PresetMember { name: name.to_owned(), claim: claim.to_owned() };
    PresetInfo {
        name: preset.name().to_owned(),
        title: preset.title().to_owned(),
        key: preset.short_rule_key().map(str::to_owned),
        members: preset.short_rule_members().map(member).collect(),
        sample: preset.sample(),
        issuers: entries(Some(preset), issuers),
    }
}

fn entries(preset: Option<Preset>, issuers: &[IssuerSpec]) -> Vec<String> {
    issuers.iter().filter(|issuer| issuer.preset == preset).map(|issuer| issuer.name.value.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::is_read_again;
    use super::*;

    #[test]
    fn the_operation_is_read_again_from_its_request() {
        is_read_again(&ListPresets);
    }

    #[test]
    fn each_preset_tells_its_members_and_a_typical_token() {
        let github = info(Preset::GithubActions, &[]);
        assert_eq!(github.key.as_deref(), Some("github"));
        assert!(github.members.iter().any(|member| member.name == "repository" && member.claim == "repository"));
        assert!(github.sample.contains_key("repository"));
    }
}
