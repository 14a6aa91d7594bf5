//! What an operator does with recorded tokens: list, show, revoke by jti or by rule.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sts_policy::Pattern;
use sts_store::{Entry, Listing, Revocation, RevocationRule, RevocationScope};
use sts_types::{AccountId, Jti, TokenRecord, UnixTime};

use crate::reason::Refused;
use crate::{Service, Snapshot, rules_in_force};

/// The most records in one page.
const MAX_PAGE: usize = 1000;
/// The longest reason that is kept, in bytes.
const MAX_REASON: usize = 1024;

/// A recorded token, as operators see it.
#[derive(Serialize)]
pub struct TokenView {
    #[serde(flatten)]
    record: TokenRecord,
    /// `active`, `expired`, `revoked`, or `inactive` where its account, identity or issuer entry is gone or disabled.
    state: &'static str,
    /// Who revoked it, when and why: it alone, or by a rule that covers it.
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<Revocation>,
}

/// `POST /admin/v1/revocations`: all the fields that are given must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RevocationRequest {
    /// One token.
    pub jti: Option<String>,
    /// An account's id or username.
    pub account: Option<String>,
    /// An identity's name.
    pub identity: Option<String>,
    /// An issuer entry's name.
    pub issuer: Option<String>,
    /// A pattern on the subject token's `sub`.
    pub subject: Option<String>,
    /// The `kid` that verified the subject token.
    pub issuer_kid: Option<String>,
    /// Our `kid`.
    pub kid: Option<String>,
    /// A snapshot generation.
    pub generation: Option<String>,
    /// Patterns on copied claims, by name; also read as `"NAME=PATTERN"` or a list of them.
    #[serde(deserialize_with = "claim_patterns")]
    pub claim: BTreeMap<String, String>,
    /// Tokens issued before this moment: epoch seconds, or RFC 3339. When it is left out, every token recorded by now.
    #[serde(deserialize_with = "moment", skip_serializing_if = "Option::is_none")]
    pub before: Option<UnixTime>,
    /// Why; kept with the revocation.
    pub reason: Option<String>,
}

/// A revocation that is refused: it says what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WrongRevocation {
    /// It would cover every token.
    #[error("name what to revoke: jti, account, identity, issuer, subject, issuer_kid, kid, generation or claim")]
    NoField,
    /// The token of that `jti` does not fit the other fields.
    #[error("the token of that jti does not fit the other fields; nothing was revoked")]
    OtherToken,
    /// A field that cannot be.
    #[error("`{0}` is not usable: {1}")]
    Field(&'static str, String),
    /// No such token.
    #[error("no live token has that jti")]
    UnknownToken,
    /// No such account.
    #[error("no service account has that name or id")]
    UnknownAccount,
    /// The ledger did not answer.
    #[error("the store is unavailable; nothing was revoked")]
    Unavailable(Refused),
}

/// An object, one `NAME=PATTERN`, or a list of them; a name stands once.
fn claim_patterns<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    use serde::de::Error as _;
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Claims {
        Object(BTreeMap<String, String>),
        One(String),
        List(Vec<String>),
    }
    let pairs = match Claims::deserialize(deserializer)? {
        Claims::Object(claims) => return Ok(claims),
        Claims::One(pair) => vec![pair],
        Claims::List(pairs) => pairs,
    };
    let mut claims = BTreeMap::new();
    for pair in &pairs {
        let (name, pattern) = pair.split_once('=').ok_or_else(|| D::Error::custom("a claim is NAME=PATTERN"))?;
        if claims.insert(name.to_owned(), pattern.to_owned()).is_some() {
            return Err(D::Error::custom("a claim is given twice"));
        }
    }
    Ok(claims)
}

/// Epoch seconds as a number, or RFC 3339 as a string.
fn moment<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<UnixTime>, D::Error> {
    use serde::de::Error as _;
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Moment {
        Seconds(i64),
        Text(String),
    }
    match Option::<Moment>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Moment::Seconds(seconds)) => Ok(Some(UnixTime::from_secs(seconds))),
        Some(Moment::Text(text)) => chrono::DateTime::parse_from_rfc3339(&text)
            .map(|time| Some(UnixTime::from_secs(time.timestamp())))
            .map_err(|_| D::Error::custom("`before` is epoch seconds or RFC 3339")),
    }
}

impl Service {
    /// Recorded tokens, newest first.
    ///
    /// # Errors
    /// `store_unavailable`.
    pub async fn list_tokens(
        &self,
        snapshot: &Snapshot,
        account: Option<&str>,
        after: Option<Jti>,
        limit: usize,
    ) -> Result<Vec<TokenView>, Refused> {
        let account = match account {
            None => None,
            // An account that is gone from the configuration may still have records under its id.
            Some(name) => match self.account_id(snapshot, name) {
                Some(id) => Some(id),
                None => return Ok(Vec::new()),
            },
        };
        let listing = Listing { account, after, limit: limit.clamp(1, MAX_PAGE) };
        let failed = |error| Refused::by_ledger(&error);
        let entries = self.ledger.list(listing).await.map_err(failed)?;
        let rules = self.ledger.rules().await.map_err(failed)?;
        Ok(entries.into_iter().map(|entry| self.view(snapshot, &rules, entry)).collect())
    }

    /// One recorded token.
    ///
    /// # Errors
    /// `store_unavailable`.
    pub async fn show_token(&self, snapshot: &Snapshot, jti: Jti) -> Result<Option<TokenView>, Refused> {
        let failed = |error| Refused::by_ledger(&error);
        let Some(entry) = self.ledger.look_up(jti).await.map_err(failed)? else { return Ok(None) };
        let rules = self.ledger.rules().await.map_err(failed)?;
        Ok(Some(self.view(snapshot, &rules, entry)))
    }

    /// The revocation rules in force, oldest first, each with who made it, when and why.
    ///
    /// # Errors
    /// `store_unavailable`.
    pub async fn revocation_rules(&self) -> Result<Arc<[Revocation]>, Refused> {
        self.ledger.rules().await.map_err(|error| Refused::by_ledger(&error))
    }

    /// Records a revocation for `by`.
    ///
    /// # Errors
    /// See [`WrongRevocation`].
    pub async fn revoke(
        &self,
        snapshot: &Snapshot,
        request: RevocationRequest,
        by: &str,
    ) -> Result<Revocation, WrongRevocation> {
        if request.reason.as_ref().is_some_and(|reason| reason.len() > MAX_REASON) {
            return Err(WrongRevocation::Field("reason", "it is over 1,024 bytes".to_owned()));
        }
        let failed = |error| WrongRevocation::Unavailable(Refused::by_ledger(&error));
        let jti = request.jti.as_deref().map(Jti::new).transpose();
        let jti = jti.map_err(|error| WrongRevocation::Field("jti", error.to_string()))?;
        let mut revocation = self.rule_revocation(snapshot, request, by)?;
        let mut revoked = None;
        if let Some(jti) = jti {
            let token = self.ledger.look_up(jti.clone()).await.map_err(failed)?.ok_or(WrongRevocation::UnknownToken)?;
            if !rules_in_force::covers_alone(&revocation, &token.record) {
                return Err(WrongRevocation::OtherToken);
            }
            revocation.scope = RevocationScope::Token(jti);
            revocation.until = token.record.exp;
            revoked = Some(token.record);
        } else {
            // What was minted under a longer `max_ttl` than today's is covered to its end, too.
            let last = self.ledger.last_end().await.map_err(failed)?;
            revocation.until = last.map_or(revocation.until, |last| last.max(revocation.until));
        }
        let revocation = self.ledger.revoke(revocation).await.map_err(failed)?;
        match revoked {
            Some(record) => self.board.revoked(&record),
            None => self.board.rule_made(),
        }
        Ok(revocation)
    }

    fn rule_revocation(
        &self,
        snapshot: &Snapshot,
        request: RevocationRequest,
        by: &str,
    ) -> Result<Revocation, WrongRevocation> {
        let check = |field: &'static str, pattern: &str| {
            Pattern::parse(pattern).map(|_| ()).map_err(|error| WrongRevocation::Field(field, error.to_string()))
        };
        if let Some(subject) = &request.subject {
            check("subject", subject)?;
        }
        request.claim.values().try_for_each(|pattern| check("claim", pattern))?;
        let account = match &request.account {
            None => None,
            Some(name) => Some(self.account_id(snapshot, name).ok_or(WrongRevocation::UnknownAccount)?.to_string()),
        };
        let rule = RevocationRule {
            account,
            identity: request.identity,
            issuer: request.issuer,
            subject: request.subject,
            issuer_kid: request.issuer_kid,
            kid: request.kid,
            generation: request.generation,
            claim: request.claim,
        };
        if rule == RevocationRule::default() && request.jti.is_none() {
            return Err(WrongRevocation::NoField);
        }
        let at = self.clock.now();
        Ok(Revocation {
            id: None,
            scope: RevocationScope::Rule(rule),
            before: request.before,
            before_millis: 0,
            order: None,
            at,
            by: by.to_owned(),
            reason: request.reason,
            until: request.before.map_or(at, |before| before.max(at)).plus(i64::from(snapshot.max_ttl)),
        })
    }

    fn account_id(&self, snapshot: &Snapshot, name: &str) -> Option<AccountId> {
        snapshot.rules.account(name).map(|account| account.id.clone()).or_else(|| AccountId::new(name).ok())
    }

    fn view(&self, snapshot: &Snapshot, rules: &Arc<[Revocation]>, entry: Entry) -> TokenView {
        let Entry { record, revoked } = entry;
        let revoked = revoked.or_else(|| self.rules.covering(rules, &record));
        let now = self.clock.now();
        let state = if record.exp <= now {
            "expired"
        } else if revoked.is_some() {
            "revoked"
        } else if snapshot.supports(&record, now) {
            "active"
        } else {
            "inactive"
        };
        TokenView { record, state, revoked }
    }
}
