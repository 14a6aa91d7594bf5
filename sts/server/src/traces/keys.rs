//! Look-ups of issuers' keys that a request waits for.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sts_service::{Candidates, IssuerKeys, KeyAnswer, KeyQuestion, KeysView};
use sts_types::{EntryName, Issuer};

use super::Traces;
use super::span::{Attribute, SpanKind};

/// Keys whose fetches are traced. What is cached is answered without a span.
pub(crate) struct TracedKeys {
    pub(crate) keys: Arc<dyn IssuerKeys>,
    pub(crate) traces: Arc<Traces>,
}

impl TracedKeys {
    fn call(&self, question: &KeyQuestion<'_>) -> Option<super::Call> {
        let attributes = vec![Attribute::text("sts.issuer_entry", question.entry.as_str())];
        self.traces.call("issuer.keys", SpanKind::Client, attributes)
    }
}

impl IssuerKeys for TracedKeys {
    fn cached(&self, question: KeyQuestion<'_>) -> Option<Candidates> {
        self.keys.cached(question)
    }

    fn find<'a>(&'a self, question: KeyQuestion<'a>) -> BoxFuture<'a, KeyAnswer> {
        let call = self.call(&question);
        async move {
            let answer = self.keys.find(question).await;
            if let Some(call) = call.filter(|_| !matches!(answer, KeyAnswer::Unavailable(_))) {
                call.succeeded();
            }
            answer
        }
        .boxed()
    }

    fn signature_failed<'a>(&'a self, question: KeyQuestion<'a>) -> BoxFuture<'a, Option<Candidates>> {
        let call = self.call(&question);
        async move {
            let answer = self.keys.signature_failed(question).await;
            if let Some(call) = call {
                call.succeeded();
            }
            answer
        }
        .boxed()
    }

    fn verified(&self, question: KeyQuestion<'_>) {
        self.keys.verified(question);
    }

    fn view(&self, entry: &EntryName, issuer: &Issuer) -> Option<KeysView> {
        self.keys.view(entry, issuer)
    }
}
