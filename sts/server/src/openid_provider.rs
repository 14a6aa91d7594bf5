//! The OpenID provider of the `console` block: reached as issuers are reached, its ID tokens verified as
//! subject tokens are verified, its people admitted by the rules in force.

use std::sync::Arc;

use jwks_cache::{EntryRef, Environment, FetchError, FetchErrorKind, Form, JwksCache, LookupError};
use serde_json::{Map, Value, json};
use sts_claims::ClaimSet;
use sts_config::{ConsoleProvider, Diagnostics};
use sts_console::{
    Admission, EndpointAnswer, EndpointRequest, FailedCondition, MissingRight, OpenIdProvider, ProviderClient,
    ProviderError, ProviderFuture, ProviderSource, Rights,
};
use sts_jose::digest_of_parts;
use sts_policy::{
    ConditionSpec, ConditionSpecs, ConsoleDecision, ConsoleRefusal, ConsoleRight, ConsoleSpec, ScalarSpec,
};
use sts_service::Service;
use sts_token::{TokenRuleError, TrustSpec, UnverifiedToken};
use sts_types::{Digest256, EntryName};

use crate::app_state::AppState;

/// Tolerated difference between the clocks, in seconds.
const LEEWAY: u32 = 60;
/// The longest lifetime of an ID token, in seconds. It signs in once, right after it was issued.
const LONGEST_LIFETIME: u64 = 7 * 86_400;

/// The provider in force. Its keys are fetched apart from those of an issuer entry with the same URL.
pub(crate) struct ConsoleSignIn {
    client: ProviderClient,
    entry: EntryName,
    trust: Arc<TrustSpec>,
    keys: JwksCache,
    service: Arc<Service>,
}

impl ConsoleSignIn {
    /// The provider that is configured. Nothing is fetched yet.
    pub(crate) fn new(
        configured: &ConsoleProvider,
        environment: Environment,
        service: Arc<Service>,
    ) -> Result<Self, Diagnostics> {
        let ConsoleProvider { rules, client_id, client_secret, scopes, keys, .. } = configured;
        let client = ProviderClient {
            issuer: rules.issuer.value.to_string(),
            client_id: client_id.as_str().to_owned(),
            client_secret: client_secret.as_ref().map(|secret| secret.expose().to_owned()),
            scopes: scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
            terms: terms(configured),
        };
        let trust = TrustSpec {
            entry: keys.name.clone(),
            issuers: keys.issuer.clone().into(),
            algorithms: keys.algorithms.clone(),
            types: Vec::new(),
            leeway: LEEWAY,
            max_token_lifetime: LONGEST_LIFETIME,
            max_token_age: None,
            require_iat: true,
            trust_domain: None,
            enabled: true,
        };
        let entry = keys.name.clone();
        let keys = JwksCache::new(vec![keys.clone()], environment).map_err(Diagnostics::of_entries)?;
        Ok(Self { client, entry, trust: Arc::new(trust), keys, service })
    }

    async fn claims(&self, id_token: &str) -> Result<ClaimSet, ProviderError> {
        let token = UnverifiedToken::parse(id_token).map_err(refused)?;
        token.check_kind(&[Arc::clone(&self.trust)]).map_err(refused)?;
        if self.trust.issuer_of(token.claimed_origin()).is_none() {
            return Err(ProviderError::Invalid("`iss` of the ID token is not the provider's issuer".to_owned()));
        }
        let found = self.keys.find(EntryRef::from(&self.entry), token.kid(), token.algorithm()).await;
        let candidates = found.map_err(|error| self.no_key(error))?;
        let candidates: Vec<_> = candidates.iter().cloned().map(|key| (Arc::clone(&self.trust), key)).collect();
        let signed = token.check_signature(&candidates);
        let signed = signed.map_err(|_| {
            ProviderError::Invalid("no key of the provider verifies the ID token's signature".to_owned())
        })?;
        let verified = signed.validate(self.service.clock().now()).map_err(refused)?;
        Ok(verified.claims().clone())
    }

    fn no_key(&self, error: LookupError) -> ProviderError {
        match error {
            LookupError::Unknown => {
                ProviderError::Invalid("the provider has no key of the ID token's `kid`".to_owned())
            }
            LookupError::Unavailable { .. } => {
                let status = self.keys.status().into_iter().next();
                let last = status.and_then(|status| status.last_error).map_or_else(String::new, |error| error.message);
                ProviderError::Unavailable(format!("the provider's keys could not be fetched: {last}"))
            }
        }
    }
}

impl OpenIdProvider for ConsoleSignIn {
    fn client(&self) -> &ProviderClient {
        &self.client
    }

    fn discovery_document(&self) -> ProviderFuture<'_, Vec<u8>> {
        Box::pin(async { self.keys.discovery_document(&self.entry).await.map_err(fetch_failed) })
    }

    fn check_page(&self, url: &str) -> Result<(), ProviderError> {
        self.keys.check_page(&self.entry, url).map_err(fetch_failed)
    }

    fn post(&self, request: EndpointRequest) -> ProviderFuture<'_, EndpointAnswer> {
        Box::pin(async move {
            let authorization = request.authorization.as_deref();
            let form = Form { url: &request.url, authorization, body: &request.body };
            let answer = self.keys.post_form(&self.entry, form).await.map_err(fetch_failed)?;
            Ok(EndpointAnswer { status: answer.status, body: answer.body })
        })
    }

    fn verify<'a>(&'a self, id_token: &'a str) -> ProviderFuture<'a, ClaimSet> {
        Box::pin(self.claims(id_token))
    }

    fn admit(&self, claims: &ClaimSet) -> Admission {
        match self.service.snapshot().rules.decide_console(claims) {
            ConsoleDecision::Admitted(right) => Admission::Granted(rights(right)),
            ConsoleDecision::Refused(refused) => Admission::Refused(refused.into_iter().map(missing).collect()),
        }
    }
}

/// The provider that the server has in force.
pub(crate) struct ProviderInForce(pub(crate) Arc<AppState>);

impl ProviderSource for ProviderInForce {
    fn provider(&self) -> Option<Arc<dyn OpenIdProvider>> {
        let provider = self.0.openid.load_full()?;
        Some(provider)
    }
}

const fn rights(right: ConsoleRight) -> Rights {
    match right {
        ConsoleRight::Read => Rights::Read,
        ConsoleRight::Admin => Rights::Admin,
    }
}

fn missing(refusal: ConsoleRefusal) -> MissingRight {
    let failed = refusal.conditions.into_iter().filter(|condition| !condition.holds);
    let failed = failed.map(|condition| FailedCondition {
        claim: condition.on,
        expected: condition.expected,
        actual: condition.actual,
    });
    MissingRight { rights: rights(refusal.right), failed: failed.collect() }
}

fn fetch_failed(error: FetchError) -> ProviderError {
    let text = error.to_string();
    match error.fault {
        FetchErrorKind::Timeout(_)
        | FetchErrorKind::TimedOut { .. }
        | FetchErrorKind::Connect(_)
        | FetchErrorKind::Transfer(_)
        | FetchErrorKind::Stopped
        | FetchErrorKind::Status { status: 429 | 500..=599, .. } => ProviderError::Unavailable(text),
        _ => ProviderError::Invalid(text),
    }
}

fn refused(error: TokenRuleError) -> ProviderError {
    ProviderError::Invalid(match error {
        TokenRuleError::Malformed(rule) => format!("the ID token is malformed: {rule}"),
        TokenRuleError::Algorithm => "the ID token's algorithm is not accepted".to_owned(),
        TokenRuleError::TypeRefused => "`typ` or `cnf` say that this is no ID token".to_owned(),
        TokenRuleError::Expired => {
            "the ID token has expired; compare the clocks of this server and the provider".to_owned()
        }
        TokenRuleError::NotYetValid => {
            "the ID token is not valid yet; compare the clocks of this server and the provider".to_owned()
        }
        TokenRuleError::TooOld => "the ID token lives longer than a week".to_owned(),
    })
}

/// Digest over all that decides who a session is for. Another secret or other scopes end no session.
fn terms(configured: &ConsoleProvider) -> Digest256 {
    let ConsoleSpec { issuer, admin, read } = &configured.rules;
    let block = |conditions: &Option<ConditionSpecs>| conditions.as_ref().map(conditions_json).unwrap_or_default();
    let (admin, read) = (block(admin).to_string(), block(read).to_string());
    digest_of_parts(&[
        b"sts console",
        issuer.value.as_str().as_bytes(),
        configured.client_id.as_str().as_bytes(),
        admin.as_bytes(),
        read.as_bytes(),
    ])
}

/// Conditions in the form of the configuration.
pub(crate) fn conditions_json(conditions: &ConditionSpecs) -> Value {
    conditions
        .iter()
        .map(|(claim, condition)| (claim.value.clone(), condition_json(condition)))
        .collect::<Map<_, _>>()
        .into()
}

fn condition_json(condition: &ConditionSpec) -> Value {
    let scalar = |scalar: &ScalarSpec| match scalar {
        ScalarSpec::Text(text) => json!(text),
        ScalarSpec::Number(number) => json!(number),
        ScalarSpec::Bool(value) => json!(value),
    };
    let object = match condition {
        ConditionSpec::Scalar(one) => return scalar(&one.value),
        ConditionSpec::AnyOf(any) => return any.iter().map(|one| scalar(&one.value)).collect(),
        ConditionSpec::Object(object) => object,
    };
    let mut members = Map::new();
    for (name, list) in [("any_of", &object.any_of), ("all_of", &object.all_of), ("none_of", &object.none_of)] {
        if let Some(list) = list {
            members.insert(name.to_owned(), list.iter().map(|one| scalar(&one.value)).collect());
        }
    }
    members.extend(object.regex.as_ref().map(|regex| ("regex".to_owned(), json!(regex.value))));
    members.extend(object.present.as_ref().map(|present| ("present".to_owned(), json!(present.value))));
    if object.or_absent {
        members.insert("or_absent".to_owned(), json!(true));
    }
    members.into()
}
