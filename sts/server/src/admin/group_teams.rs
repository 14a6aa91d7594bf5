//! The teams of an account that groups give: `/admin/v1/service-accounts/{name}/group-teams`.

use sts_api::{DirectoryTeam, GroupTeams, ObjectSource, TokenTeam};
use sts_policy::{GivenTeam, TeamSource};
use sts_types::ObjectKind;

use super::{Caller, Documentation, Endpoint, Operation, OperationError, Request, Right, Route, managed};
use crate::app_state::AppState;
use crate::openapi::Model;

pub(super) const ROUTES: &[Route] = &[Route::to::<ListGroupTeams>()];

/// The teams that groups give an account.
#[derive(Debug)]
pub(crate) struct ListGroupTeams {
    account: String,
}

impl Operation for ListGroupTeams {
    type Answer = GroupTeams;

    const ENDPOINT: Endpoint = Endpoint {
        method: "GET",
        path: "/service-accounts/{name}/group-teams",
        right: Right::Read,
        needs_rules: true,
        documentation: Documentation {
            name: "listGroupTeams",
            summary: "The teams that groups of a directory or of a token give a service account",
            body: None,
            answer: Some(Model::of::<Self::Answer>()),
            failures: &[404],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        request.without_parameters(Self { account: request.parameter.clone() })
    }

    fn request(&self) -> Request {
        Request::get(&self.account, String::new())
    }

    fn not_done(&self) -> &'static str {
        "nothing was listed"
    }

    async fn run(self, state: &AppState, _: &Caller) -> Result<GroupTeams, OperationError> {
        let (service, kind) = (&state.service, ObjectKind::ServiceAccount);
        let snapshot = service.snapshot();
        match snapshot.rules.group_teams(&self.account, &*snapshot.memberships, service.clock().now()) {
            Some(teams) => Ok(answer(teams)),
            // One that is set aside has no teams.
            None => managed::show(state, kind, &self.account, None::<ObjectSource>).map(|_| GroupTeams::default()),
        }
    }
}

fn answer(teams: sts_policy::GroupTeams) -> GroupTeams {
    let mut answer = GroupTeams { fault: teams.fault, ..GroupTeams::default() };
    for GivenTeam { team, source } in teams.given.into_iter().chain(teams.by_token) {
        let team = team.to_string();
        match source {
            TeamSource::Directory { directory, group, age_seconds } => {
                let directory = directory.to_string();
                answer.directory.push(DirectoryTeam { team, directory, group, age_seconds });
            }
            TeamSource::Token { entry, claim, value } => {
                answer.token.push(TokenTeam { team, issuer: entry.to_string(), claim, value });
            }
            // Only a token of ours has an earlier one.
            TeamSource::EarlierToken { .. } => {}
        }
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::super::tests::is_read_again;
    use super::*;

    #[test]
    fn the_operation_is_read_again_from_its_request() {
        is_read_again(&ListGroupTeams { account: "octo".to_owned() });
    }
}
