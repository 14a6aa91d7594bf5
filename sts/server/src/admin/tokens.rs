//! Recorded tokens: `/admin/v1/tokens`.

use sts_api::{Ancestry, Credential, CredentialKind, Token, TokenPage, TokenQuery, TokenState};
use sts_service::{ListError, TokenView};
use sts_types::{Jti, Proof};
use utoipa::IntoParams as _;
use utoipa::openapi::path::{Parameter, ParameterIn};

use super::revocations::revocation;
use super::{
    Caller, Documentation, Endpoint, Operation, OperationError, Request, Right, Route, not_found, refused,
    store_unavailable,
};
use crate::app_state::AppState;
use crate::openapi::Model;

pub(super) const ROUTES: &[Route] = &[Route::to::<ListTokens>(), Route::to::<ShowToken>()];

/// Recorded tokens, newest first.
#[derive(Debug, Default)]
pub(crate) struct ListTokens(pub(crate) Box<TokenQuery>);

impl Operation for ListTokens {
    type Answer = TokenPage;

    const ENDPOINT: Endpoint = Endpoint {
        method: "GET",
        path: "/tokens",
        right: Right::Read,
        needs_rules: false,
        documentation: Documentation {
            name: "listTokens",
            summary: "Recorded tokens, newest first",
            body: None,
            answer: Some(Model::of::<Self::Answer>()),
            failures: &[404, 503],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        let query = TokenQuery::from_query(&request.query).map_err(|error| error.to_string())?;
        Ok(Self(Box::new(query)))
    }

    fn request(&self) -> Request {
        Request::get("", self.0.to_query())
    }

    fn not_done(&self) -> &'static str {
        "nothing was listed"
    }

    async fn run(self, state: &AppState, _: &Caller) -> Result<TokenPage, OperationError> {
        let not_done = self.not_done();
        let listed = state.service.list_tokens(&state.service.snapshot(), query(*self.0)).await;
        let page = listed.map_err(|error| match error {
            ListError::Unavailable(error) => store_unavailable(&error, not_done),
            ListError::Field(..) => refused(&error),
        })?;
        Ok(TokenPage {
            tokens: page.tokens.into_iter().map(token).collect(),
            next: page.next,
            notes: page.notes,
            forgotten: page.forgotten,
        })
    }

    fn query_parameters() -> Vec<Parameter> {
        TokenQuery::into_params(|| Some(ParameterIn::Query))
    }
}

/// One recorded token.
#[derive(Debug)]
pub(crate) struct ShowToken {
    pub(crate) jti: String,
}

impl Operation for ShowToken {
    type Answer = Token;

    const ENDPOINT: Endpoint = Endpoint {
        method: "GET",
        path: "/tokens/{jti}",
        right: Right::Read,
        needs_rules: false,
        documentation: Documentation {
            name: "showToken",
            summary: "One recorded token",
            body: None,
            answer: Some(Model::of::<Self::Answer>()),
            failures: &[404, 503],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        request.without_parameters(Self { jti: request.parameter.clone() })
    }

    fn request(&self) -> Request {
        Request::get(&self.jti, String::new())
    }

    fn not_done(&self) -> &'static str {
        "the token was not looked up"
    }

    async fn run(self, state: &AppState, _: &Caller) -> Result<Token, OperationError> {
        let jti = Jti::new(&self.jti).map_err(|error| refused(&error))?;
        let found = state.service.show_token(&state.service.snapshot(), jti).await;
        let found = found.map_err(|error| store_unavailable(&error, self.not_done()))?;
        found.map(token).ok_or_else(|| not_found("no live token has that jti"))
    }
}

fn query(query: TokenQuery) -> sts_service::TokenQuery {
    let state = query.state.map(|state| match state {
        TokenState::Active => sts_service::TokenState::Active,
        TokenState::Expired => sts_service::TokenState::Expired,
        TokenState::Revoked => sts_service::TokenState::Revoked,
        TokenState::Inactive => sts_service::TokenState::Inactive,
    });
    sts_service::TokenQuery {
        account: query.account,
        identity: query.identity,
        issuer: query.issuer,
        subject: query.subject,
        api: query.api,
        issued_after: query.issued_after,
        issued_before: query.issued_before,
        state,
        after: query.after,
        limit: query.limit,
    }
}

/// A record, with what it goes back to beside its other members.
fn token(TokenView { record, state, revoked }: TokenView) -> Token {
    let api_key = record.proof.api_key();
    Token {
        federated: record.proof.federated().cloned(),
        credential: api_key.map(|key| Credential { kind: CredentialKind::ApiKey, id: key.id.clone() }),
        ancestry: match &record.proof {
            Proof::Own(own) => Some(Ancestry { parent: own.parent.clone(), ancestors: own.ancestors.clone() }),
            Proof::Federated(_) | Proof::ApiKey(_) => None,
        },
        jti: record.jti,
        token_digest: record.token_digest,
        account: record.account,
        api: record.api,
        audience: record.audience,
        scope: record.scope,
        claims: record.claims,
        kid: record.kid,
        generation: record.generation,
        status_index: record.status_index,
        iat: record.iat,
        iat_millis: record.iat_millis,
        exp: record.exp,
        preceding_rules: record.preceding_rules,
        request_id: record.request_id,
        state: match state {
            sts_service::TokenState::Active => TokenState::Active,
            sts_service::TokenState::Expired => TokenState::Expired,
            sts_service::TokenState::Revoked => TokenState::Revoked,
            sts_service::TokenState::Inactive => TokenState::Inactive,
        },
        revoked: revoked.map(revocation),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::is_read_again;
    use super::*;
    use sts_store::contract::{in_version_1, record};
    use sts_types::{ApiKeyId, ApiKeyProof, TokenRecord};

    #[test]
    fn each_operation_is_read_again_from_its_request() {
        is_read_again(&ListTokens::default());
        is_read_again(&ListTokens(Box::new(TokenQuery {
            subject: Some("repo:o/r:**&x=+".into()),
            state: Some(TokenState::Revoked),
            ..TokenQuery::default()
        })));
        is_read_again(&ShowToken { jti: "a/b c+%".into() });
    }

    fn shown(record: TokenRecord) -> Value {
        json!(token(TokenView { record, state: sts_service::TokenState::Active, revoked: None }))
    }

    #[test]
    fn a_token_shows_what_it_was_minted_on_beside_its_other_members() {
        let of_id_token = record("a", "octo");
        let mut wanted = in_version_1(&of_id_token);
        wanted["state"] = json!("active");
        assert_eq!(shown(of_id_token.clone()), wanted, "the members that it always had");

        let key = Proof::ApiKey(ApiKeyProof { id: ApiKeyId::new("0123456789aB").unwrap() });
        let of_key = shown(TokenRecord { proof: key.clone(), ..of_id_token.clone() });
        assert_eq!(of_key["credential"], json!({ "type": "api_key", "id": "0123456789aB" }));
        for absent in ["identity", "entry", "issuer", "subject", "subject_kid", "proof", "parent"] {
            assert_eq!(of_key.get(absent), None, "{absent}");
        }
        let parent = |text| Jti::new(text).unwrap();
        let child = of_id_token.proof.descendant(parent("x")).descendant(parent("y"));
        let child = shown(TokenRecord { proof: child, ..of_id_token });
        assert_eq!(
            (&child["parent"], &child["ancestors"], &child["identity"], child.get("credential")),
            (&json!("y"), &json!(["x"]), &json!("main branch"), None)
        );
    }
}
