//! Revocations: `/admin/v1/revocations`.

use sts_api::{Coverage, Revocation, RevocationRequest, RevocationRule, RevocationScope, Revoked};
use sts_service::{CoveredTokens, RevocationError};
use utoipa::openapi::path::Parameter;

use super::{
    Body, Caller, Documentation, Endpoint, Operation, OperationError, Request, Right, Route, logged, not_found,
    refused, store_unavailable,
};
use crate::app_state::AppState;
use crate::openapi::{Model, flag_parameter};

pub(super) const ROUTES: &[Route] = &[Route::to::<RevokeTokens>()];

/// Revokes one token, or by rule.
#[derive(Debug)]
pub(crate) struct RevokeTokens(pub(crate) Box<RevocationRequest>);

impl Operation for RevokeTokens {
    type Answer = Revoked;

    const ENDPOINT: Endpoint = Endpoint {
        method: "POST",
        path: "/revocations",
        right: Right::Admin,
        needs_rules: false,
        documentation: Documentation {
            name: "revokeTokens",
            summary: "Revoke by jti or rule: all that is given must match",
            body: Some(Body::required::<RevocationRequest>()),
            answer: Some(Model::of::<Self::Answer>()),
            failures: &[404, 503],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        const FORM: &str = "a revocation is an object of jti, account, identity, issuer, subject, api_key, issuer_kid, kid, \
                            generation and reason (strings), claim (an object of patterns, NAME=PATTERN, or a list of these), before (epoch \
                            seconds, or RFC 3339), force and dry_run (booleans); nothing was revoked";
        let mut revocation: RevocationRequest =
            serde_json::from_value(request.body.clone()).map_err(|_| FORM.to_owned())?;
        for (name, value) in url::form_urlencoded::parse(request.query.as_bytes()) {
            match (&*name, &*value) {
                ("dry_run", "true") => revocation.dry_run = true,
                ("dry_run", "false") => {}
                _ => {
                    return Err(
                        "the only query parameter here is `dry_run`, `true` or `false`; nothing was revoked".to_owned()
                    );
                }
            }
        }
        Ok(Self(Box::new(revocation)))
    }

    fn request(&self) -> Request {
        Request::post("", &self.0)
    }

    fn not_done(&self) -> &'static str {
        if self.0.dry_run { "nothing was counted, and nothing was revoked" } else { "nothing was revoked" }
    }

    async fn run(self, state: &AppState, caller: &Caller) -> Result<Revoked, OperationError> {
        let (dry_run, not_done) = (self.0.dry_run, self.not_done());
        let undone = |text: &dyn std::fmt::Display| format!("{text}; nothing was revoked");
        match state.service.revoke(&state.service.snapshot(), request(*self.0), caller.name()).await {
            Ok(done) => {
                let revoked = Revoked {
                    revocation: done.revocation.map(revocation),
                    coverage: coverage(done.coverage),
                    dry_run: done.dry_run,
                };
                if let Some(revocation) = revoked.revocation.as_ref().filter(|_| !dry_run) {
                    state.metrics.revocation(matches!(revocation.scope, RevocationScope::Rule(_)));
                    state.audit.record(&caller.actor(), act(revocation, revoked.coverage.covered, false));
                }
                if !dry_run {
                    tracing::warn!(revocation = %logged(&revoked), "revoked");
                }
                Ok(revoked)
            }
            Err(RevocationError::Unavailable(error)) => Err(store_unavailable(&error, not_done)),
            Err(error @ RevocationError::UnknownToken) => Err(not_found(&undone(&error))),
            Err(RevocationError::UnknownName(name)) => Err(not_found(&format!(
                "{}. If the name is yet to come, set `force` (`--force` on the command line)",
                undone(&name)
            ))),
            Err(error) => Err(refused(&undone(&error))),
        }
    }

    fn query_parameters() -> Vec<Parameter> {
        vec![flag_parameter(
            "dry_run",
            "Count the tokens that would be ended, and revoke nothing; the body may say it, too.",
        )]
    }
}

/// A revocation, for the audit trail.
pub(super) fn act(own: &Revocation, covered: Option<u64>, undone: bool) -> sts_audit::Revocation {
    let (jti, rule) = match &own.scope {
        RevocationScope::Token(jti) => (Some(jti.to_string()), None),
        RevocationScope::Rule(rule) => (None, serde_json::to_value(rule).ok()),
    };
    let object = match (&jti, &own.id) {
        (Some(jti), _) => Some(format!("tokens/{jti}")),
        (None, Some(id)) => Some(format!("revocation-rules/{id}")),
        (None, None) => None,
    };
    let before = own.before.map(sts_types::UnixTime::as_secs);
    sts_audit::Revocation { object, jti, rule, before, reason: own.reason.clone(), covered, undone }
}

fn request(request: RevocationRequest) -> sts_service::RevocationRequest {
    sts_service::RevocationRequest {
        jti: request.jti,
        account: request.account,
        identity: request.identity,
        issuer: request.issuer,
        subject: request.subject,
        api_key: request.api_key,
        issuer_kid: request.issuer_kid,
        kid: request.kid,
        generation: request.generation,
        claim: request.claim,
        before: request.before,
        reason: request.reason,
        force: request.force,
        dry_run: request.dry_run,
    }
}

pub(super) fn revocation(own: sts_store::Revocation) -> Revocation {
    Revocation {
        id: own.id.map(|id| id.to_string()),
        scope: match own.scope {
            sts_store::RevocationScope::Token(jti) => RevocationScope::Token(jti),
            sts_store::RevocationScope::Rule(rule) => RevocationScope::Rule(RevocationRule {
                account: rule.account,
                identity: rule.identity,
                issuer: rule.issuer,
                subject: rule.subject,
                api_key: rule.api_key,
                issuer_kid: rule.issuer_kid,
                kid: rule.kid,
                generation: rule.generation,
                claim: rule.claim,
            }),
        },
        before: own.before,
        before_millis: own.before_millis,
        order: own.order,
        at: own.at,
        by: own.by,
        reason: own.reason,
        until: own.until,
    }
}

pub(super) fn coverage(own: CoveredTokens) -> Coverage {
    Coverage { covered: own.covered.map(|covered| covered as u64), at_least: own.at_least }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::is_read_again;
    use super::*;
    use sts_types::UnixTime;

    /// A request with every member.
    fn full() -> RevocationRequest {
        let text = || Some("x".to_owned());
        RevocationRequest {
            jti: text(),
            account: text(),
            identity: text(),
            issuer: text(),
            subject: text(),
            api_key: text(),
            issuer_kid: text(),
            kid: text(),
            generation: text(),
            claim: [("name".to_owned(), "pattern".to_owned())].into(),
            before: Some(UnixTime::from_secs(1)),
            reason: text(),
            force: true,
            dry_run: true,
        }
    }

    #[test]
    fn each_operation_is_read_again_from_its_request() {
        is_read_again(&RevokeTokens(Box::default()));
        is_read_again(&RevokeTokens(Box::new(full())));
    }

    #[test]
    fn a_dry_run_may_stand_in_the_query_and_nothing_else() {
        let read = |query: &str| {
            let request = Request { query: query.to_owned(), ..Request::post("", json!({ "account": "octo" })) };
            RevokeTokens::read(&request).map(|revocation| revocation.0.dry_run)
        };
        assert_eq!((read(""), read("dry_run=true"), read("dry_run=false")), (Ok(false), Ok(true), Ok(false)));
        for wrong in ["dry_run=1", "dry-run=true", "account=x"] {
            assert!(read(wrong).unwrap_err().ends_with("nothing was revoked"), "{wrong}");
        }
    }

    #[test]
    fn a_revocation_with_an_unknown_field_is_refused() {
        assert!(RevokeTokens::read(&Request::post("", json!({ "accuont": "octo" }))).is_err());
    }

    #[test]
    fn a_documented_revocation_has_the_members_that_are_read() {
        let read = json!(full());
        let mut read: Vec<&String> = read.as_object().unwrap().keys().collect();
        let schema = json!(<RevocationRequest as utoipa::PartialSchema>::schema());
        let mut documented: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
        read.sort();
        documented.sort();
        assert_eq!(documented, read);
    }
}
