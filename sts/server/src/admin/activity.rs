//! Exchanges by time: `/admin/v1/activity`.

use sts_api::{Activity, ActivityPeriod, ActivityQuery};
use utoipa::IntoParams as _;
use utoipa::openapi::path::{Parameter, ParameterIn};

use super::{Caller, Documentation, Endpoint, Operation, OperationError, Request, Right, Route};
use crate::app_state::AppState;
use crate::openapi::Model;

pub(super) const ROUTES: &[Route] = &[Route::to::<ShowActivity>()];

/// The exchanges of this server by time and outcome.
#[derive(Debug)]
pub(crate) struct ShowActivity(ActivityQuery);

impl Operation for ShowActivity {
    type Answer = Activity;

    const ENDPOINT: Endpoint = Endpoint {
        method: "GET",
        path: "/activity",
        right: Right::Read,
        needs_rules: false,
        documentation: Documentation {
            name: "showActivity",
            summary: "The exchanges of this server over the last hour, day or week",
            body: None,
            answer: Some(Model::of::<Self::Answer>()),
            failures: &[],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        let query = ActivityQuery::from_query(&request.query).map_err(|error| error.to_string())?;
        request.without_members(Self(query))
    }

    fn request(&self) -> Request {
        Request::get("", self.0.to_query())
    }

    fn not_done(&self) -> &'static str {
        "nothing was shown"
    }

    async fn run(self, state: &AppState, _: &Caller) -> Result<Activity, OperationError> {
        // What was answered before is counted.
        state.service.told_of_exchanges().await;
        let (period, now) = (self.0.period.unwrap_or(ActivityPeriod::Hour), state.service.clock().now());
        let activity = state.metrics.activity();
        Ok(Activity {
            period,
            counted_since: activity.started().unwrap_or(now),
            interval: period.interval(),
            intervals: activity.intervals(period, now),
        })
    }

    fn query_parameters() -> Vec<Parameter> {
        ActivityQuery::into_params(|| Some(ParameterIn::Query))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::is_read_again;
    use super::*;

    #[test]
    fn the_operation_is_read_again_from_its_request() {
        is_read_again(&ShowActivity(ActivityQuery::default()));
        is_read_again(&ShowActivity(ActivityQuery { period: Some(ActivityPeriod::Week) }));
    }
}
