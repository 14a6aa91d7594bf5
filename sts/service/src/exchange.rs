//! The exchange: a platform's token in, a token of ours out. The steps stand in the order in which the first failure names the
//! reason (DESIGN section 2).

use std::time::Duration;

use sts_policy::{Asked, RequestError, Requested, RequestedAccount};
use sts_store::Issued;
use sts_token::{Authorized, Denied, MintContext, MintError, MintedToken, StatusReference};
use sts_types::{ScopeSet, StatusListId, StatusWindow, UnixTime};

use crate::denials::RememberedRefusal;
use crate::known::Known;
use crate::parameters::Parameters;
use crate::phase::{Phase, Stopwatch};
use crate::reason::{Reason, Refused};
use crate::request::{ExchangeRequest, RequestContext};
use crate::verify::verify;
use crate::{Service, Snapshot};

/// Policy refusals leave at a multiple of this after arrival, so that their time says nothing of their cause.
const QUANTUM: Duration = Duration::from_millis(5);

/// A successful exchange, as the answer tells it.
pub struct Exchanged {
    /// The access token.
    pub access_token: String,
    /// Seconds until it expires.
    pub expires_in: u32,
    /// Its scopes.
    pub scope: ScopeSet,
}

impl Service {
    /// Exchanges a token, and writes the decision event.
    ///
    /// # Errors
    /// The first refusal, in the order of DESIGN section 2; nothing was minted then.
    pub async fn exchange(&self, parameters: &Parameters<'_>, context: &RequestContext) -> Result<Exchanged, Refused> {
        let snapshot = self.snapshot.load_full();
        let (mut known, mut stopwatch) = (Known::default(), Stopwatch::since(context.arrived, &*self.clock));
        let result = self.exchange_under(&snapshot, parameters, context, &mut known, &mut stopwatch).await;
        let refused = result.as_ref().err();
        self.events.decision(&known.into_event(&snapshot, context, &*self.clock, stopwatch.stop(), refused));
        if refused.is_some_and(|refused| refused.reason == Reason::NotAuthorized) {
            self.wait_for_quantum(context).await;
        }
        result
    }

    /// Writes the decision event of an exchange whose request could not be read.
    pub fn refused_unread(&self, context: &RequestContext, refused: &Refused) {
        let phases = Stopwatch::since(context.arrived, &*self.clock).stop();
        let event = Known::default().into_event(&self.snapshot.load(), context, &*self.clock, phases, Some(refused));
        self.events.decision(&event);
    }

    async fn exchange_under(
        &self,
        snapshot: &Snapshot,
        parameters: &Parameters<'_>,
        context: &RequestContext,
        known: &mut Known,
        stopwatch: &mut Stopwatch<'_>,
    ) -> Result<Exchanged, Refused> {
        stopwatch.enter(Phase::Parse);
        let request = ExchangeRequest::parse(parameters)?;
        known.asked(&request);
        let requested = resolve(snapshot, &request)?;
        let verified = verify(snapshot, &*self.clock, request.subject_token, &mut known.entry, stopwatch).await?;
        known.verified(&verified, snapshot.log_claims);
        stopwatch.enter(Phase::Decide);
        if !snapshot.rules.knows_audience(verified.entry(), verified.claims()) {
            return Err(Refused::audience(&snapshot.issuer));
        }
        let now = self.clock.now();
        let authorized = verified
            .authorize(&snapshot.rules, &requested, now)
            .map_err(|denied| self.deny(snapshot, &denied, &requested, context, now, known))?;
        known.account = Some(authorized.grant().account.name.to_string());
        // Only what is granted something: strangers must not take the places of those who are.
        snapshot.remembered.remember(request.subject_token, authorized.verified());
        stopwatch.enter(Phase::Mint);
        let now_millis = self.clock.now_millis();
        let status = self.status_of(snapshot, &authorized, now_millis).await?;
        let minted = self.mint(snapshot, authorized, context, now_millis, status)?;
        stopwatch.enter(Phase::Record);
        self.record(minted, known).await
    }

    /// Where the status of the token will stand that is minted next, if there are status lists.
    async fn status_of(
        &self,
        snapshot: &Snapshot,
        authorized: &Authorized,
        now_millis: u64,
    ) -> Result<Option<StatusReference>, Refused> {
        if !snapshot.status_list {
            return Ok(None);
        }
        let now = seconds(now_millis);
        let life = authorized.lifetime(now, snapshot.cap_to_subject).map_err(|_| Reason::TokenExpired)?;
        let window = StatusWindow::of(now.plus(i64::from(life.as_secs())));
        let index = self.status.next(window).await.map_err(|error| Refused::by_ledger(&error))?;
        let (list, place) = StatusListId::holding(window, index).ok_or(Reason::ServerError)?;
        Ok(Some(StatusReference { index, uri: crate::status::uri(&snapshot.issuer, list), place }))
    }

    fn mint(
        &self,
        snapshot: &Snapshot,
        authorized: Authorized,
        context: &RequestContext,
        now_millis: u64,
        status: Option<StatusReference>,
    ) -> Result<MintedToken, Refused> {
        let algorithm =
            snapshot.signing.get(&authorized.grant().api).copied().unwrap_or_else(|| self.keyring.default_algorithm());
        let failed = |error: &dyn std::fmt::Display| {
            tracing::error!(%error, "no token could be signed");
            Refused::from(Reason::ServerError)
        };
        let signer = self.keyring.signer(algorithm, seconds(now_millis)).map_err(|error| failed(&error))?;
        authorized
            .mint(&MintContext {
                issuer: &snapshot.issuer,
                signer: &*signer,
                entropy: &*self.entropy,
                now_millis,
                cap_to_subject: snapshot.cap_to_subject,
                status,
                generation: &snapshot.generation,
                request_id: &context.request_id,
            })
            .map_err(|error| match error {
                MintError::NoLifeLeft => Reason::TokenExpired.into(),
                MintError::TooLarge => Refused::because(
                    Reason::TokenMalformed,
                    "the claims that are copied make the access token larger than 32 KiB",
                ),
                MintError::Sign(error) => failed(&error),
            })
    }

    /// Records the token; only a recorded one is answered.
    async fn record(&self, minted: MintedToken, known: &mut Known) -> Result<Exchanged, Refused> {
        let MintedToken { jwt, lifetime, record, claim } = minted;
        let told = record.clone();
        match self.ledger.issue(record, claim).await {
            Ok(Issued::Recorded) => {
                known.recorded(&told);
                Ok(Exchanged { access_token: jwt, expires_in: lifetime.as_secs(), scope: told.scope })
            }
            Ok(Issued::Replayed) => Err(Reason::TokenReplayed.into()),
            Err(error) => Err(Refused::by_ledger(&error)),
        }
    }

    /// Explains a policy refusal to its owner, and names it to the caller.
    fn deny(
        &self,
        snapshot: &Snapshot,
        denied: &Denied,
        requested: &Requested,
        context: &RequestContext,
        now: UnixTime,
        known: &mut Known,
    ) -> Refused {
        let reason = Reason::from(denied.refusal);
        let decision = snapshot.rules.explain(denied.verified.facts(now), requested);
        known.account = requested_account(snapshot, requested);
        known.refused_by(&decision);
        self.denials.remember(RememberedRefusal {
            request_id: context.request_id.clone(),
            time: now,
            reason: reason.name(),
            issuer_entry: denied.verified.entry().clone(),
            subject: denied.verified.subject().clone(),
            summary: sts_policy::summary(&snapshot.rules, requested, &decision),
            decision,
        });
        reason.into()
    }

    async fn wait_for_quantum(&self, context: &RequestContext) {
        let elapsed = self.clock.monotonic().saturating_sub(context.arrived).as_nanos();
        let quantum = QUANTUM.as_nanos();
        let left = quantum - elapsed % quantum;
        self.alarm.after(Duration::from_nanos(u64::try_from(left).unwrap_or(0))).await;
    }
}

fn seconds(millis: u64) -> UnixTime {
    UnixTime::from_secs(i64::try_from(millis / 1000).unwrap_or(i64::MAX))
}

fn resolve(snapshot: &Snapshot, request: &ExchangeRequest<'_>) -> Result<Requested, Refused> {
    let asked = Asked {
        audience: &request.audience,
        resource: &request.resource,
        scope: request.scope,
        client_id: request.client_id,
        lifetime: request.lifetime,
    };
    snapshot.rules.resolve(&asked).map_err(|error| match error {
        RequestError::TwoAccounts => {
            Refused::because(Reason::RequestMalformed, "`audience` names more than one service account")
        }
    })
}

fn requested_account(snapshot: &Snapshot, requested: &Requested) -> Option<String> {
    match requested.account {
        RequestedAccount::Known(at) => snapshot.rules.account_name(at).map(ToString::to_string),
        RequestedAccount::Any | RequestedAccount::Nobody => None,
    }
}
