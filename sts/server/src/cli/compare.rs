//! `sts check --against`: what a new configuration does to tokens that were judged under an old one, and to those of the policy
//! tests of both.

use std::collections::BTreeMap;
use std::io::BufRead as _;
use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};
use sts_claims::ClaimSet;
use sts_policy::{Case, Change, TestSpec, Verdict};
use sts_types::{EntryName, UnixTime, shown_path};

use super::explain;
use crate::compile::Loaded;

/// Longest line of a file of decision events, in bytes. The server writes no longer ones.
const MAX_LINE: usize = 256 * 1024;

/// The comparison of two configurations.
#[derive(Debug, Default, Serialize)]
pub(super) struct Comparison {
    /// Recorded decisions that were judged again.
    decisions: usize,
    /// Recorded decisions without claims. They cannot be judged.
    without_claims: usize,
    /// Lines that are not decision events.
    unread: usize,
    /// Policy tests, of either configuration, whose token was judged under both.
    tests: usize,
    /// The changes. Newly allowed ones come first, because they are the dangerous ones.
    changes: Vec<Changed>,
}

/// One verdict that changes.
#[derive(Debug, Serialize)]
struct Changed {
    change: Change,
    /// The policy test, or the first recorded request.
    #[serde(flatten)]
    source: Source,
    /// Number of recorded requests with this change.
    count: usize,
    issuer_entry: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    before: Verdict,
    after: Verdict,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
enum Source {
    RequestId(String),
    Test(String),
}

/// Compares `new` with `old` over their tests and the decision events of `replay`.
///
/// # Errors
/// When `replay` cannot be read.
pub(super) fn compare(old: &Loaded, new: &Loaded, replay: Option<&Path>, now: UnixTime) -> Result<Comparison, String> {
    let mut comparison = Comparison::default();
    let mut found: BTreeMap<(Change, String), Changed> = BTreeMap::new();
    for (loaded, side) in [(new, "new"), (old, "old")] {
        // A test that both configurations have is run once.
        let is_new = |test: &TestSpec| new.written.tests.iter().any(|other| other.is_same(test));
        let tests = loaded.written.tests.iter().filter(|test| side == "new" || !is_new(test));
        for test in tests {
            if let Ok(case) = sts_policy::test_case(&loaded.compiled.rules, &loaded.written.policy, test, now) {
                comparison.tests += 1;
                note(&mut found, (old, new), &case, Source::Test(test.name.clone()));
            }
        }
    }
    if let Some(path) = replay {
        let unreadable = |error: std::io::Error| format!("cannot read {}: {error}", shown_path(path));
        let file = std::fs::File::open(path).map_err(unreadable)?;
        for line in std::io::BufReader::new(file).split(b'\n') {
            let line = line.map_err(unreadable)?;
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            match Recorded::parse(&line) {
                None => comparison.unread += 1,
                Some(Recorded { claims: None, .. }) => comparison.without_claims += 1,
                Some(recorded) => {
                    comparison.decisions += 1;
                    if let Some(case) = recorded.case(old, now) {
                        note(&mut found, (old, new), &case, Source::RequestId(recorded.request_id.clone()));
                    }
                }
            }
        }
    }
    comparison.changes = found.into_values().collect();
    comparison.changes.sort_by_key(|changed| changed.change);
    Ok(comparison)
}

/// Judges `case` under both configurations. Requests of one subject with the same change are
/// counted together.
fn note(found: &mut BTreeMap<(Change, String), Changed>, (old, new): (&Loaded, &Loaded), case: &Case, source: Source) {
    let (before, after) = (old.compiled.rules.verdict(case), new.compiled.rules.verdict(case));
    let Some(change) = Change::between(&before, &after) else { return };
    let subject = case.claims.text("sub").map(str::to_owned);
    let test = if let Source::Test(name) = &source { name.as_str() } else { "" };
    let kind = json!([test, case.entry.as_str(), subject, before, after]).to_string();
    let entry = case.entry.to_string();
    let changed = || Changed { change, source, count: 0, issuer_entry: entry, subject, before, after };
    found.entry((change, kind)).or_insert_with(changed).count += 1;
}

/// A recorded request, read from its decision event.
pub(super) struct Recorded {
    pub(super) request_id: String,
    pub(super) granted: bool,
    pub(super) entry: Option<EntryName>,
    pub(super) account: Option<String>,
    pub(super) audience: Vec<String>,
    pub(super) scope: Option<String>,
    pub(super) claims: Option<ClaimSet>,
    pub(super) time: Option<UnixTime>,
}

impl Recorded {
    /// Parses a line of `log.format: json`. `None` if it is not a decision event.
    fn parse(line: &[u8]) -> Option<Self> {
        Self::of(serde_json::from_slice(line.get(..line.len().min(MAX_LINE))?).ok()?)
    }

    /// Reads an event. `None` if it is not a decision event.
    pub(super) fn of(mut event: Value) -> Option<Self> {
        if event.get("event")? != "decision" {
            return None;
        }
        let claims = match event.get_mut("claims").map(Value::take) {
            Some(Value::Object(claims)) => Some(claims.into()),
            _ => None,
        };
        let text = |name: &str| event.get(name).and_then(Value::as_str);
        Some(Self {
            request_id: text("request_id")?.to_owned(),
            granted: text("outcome")? == "granted",
            entry: text("issuer_entry").and_then(|name| EntryName::new(name).ok()),
            account: text("account").map(str::to_owned),
            audience: text("audience").unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
            scope: text("scope").map(str::to_owned),
            claims,
            time: text("time").and_then(|time| explain::time(time).ok()),
        })
    }

    /// Rebuilds the request. The event does not tell whether the request named the account, the API and
    /// the scopes. The account and the API count as named. If the old rules grant the same scopes to a
    /// request without `scope`, the request had none.
    fn case(&self, old: &Loaded, now: UnixTime) -> Option<Case> {
        let claims = self.claims.clone()?;
        let of_issuer = || {
            let iss = claims.text("iss")?;
            let entry = old.written.policy.issuers.iter().find(|entry| entry.issuer.value.as_str() == iss)?;
            Some(entry.name.value.clone())
        };
        let entry = self.entry.clone().or_else(of_issuer)?;
        let audience = self.account.iter().chain(&self.audience).cloned().collect();
        let asked = Case {
            entry,
            claims,
            audience,
            resource: Vec::new(),
            scope: self.scope.clone(),
            // An event does not tell what a directory said.
            groups: Vec::new(),
            now: self.time.unwrap_or(now),
        };
        let whole = Case { scope: None, ..asked.clone() };
        let same = self.granted
            && matches!(old.compiled.rules.verdict(&whole), Verdict::Granted { scope, .. } if Some(&scope) == self.scope.as_ref());
        Some(if same { whole } else { asked })
    }
}

impl Comparison {
    /// Whether no verdict changes.
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// For people: the count, then a line for each change.
    pub(super) fn text(&self) -> String {
        let count = |change: Change| {
            self.changes.iter().filter(|changed| changed.change == change).map(|changed| changed.count).sum::<usize>()
        };
        let mut text = format!(
            "{} newly allowed, {} newly denied, {} changed, of {} recorded decisions and {} policy tests",
            count(Change::NewlyAllowed),
            count(Change::NewlyDenied),
            count(Change::Changed),
            self.decisions,
            self.tests
        );
        if self.without_claims > 0 {
            let skipped = self.without_claims;
            text.push_str(&format!(
                "\nnot judged, because they have no claims: {skipped}; `log: {{ claims: true }}` records claims"
            ));
        }
        if self.unread > 0 {
            text.push_str(&format!("\nlines that are not decision events: {}", self.unread));
        }
        for changed in &self.changes {
            text.push('\n');
            text.push_str(&changed.text());
        }
        text
    }
}

impl Changed {
    fn text(&self) -> String {
        let source = match &self.source {
            Source::Test(name) => format!("policy test {}", shown(name)),
            Source::RequestId(first) if self.count == 1 => format!("request {}", shown(first)),
            Source::RequestId(first) => format!("{} requests, the first {}", self.count, shown(first)),
        };
        format!(
            "{}: subject {} of `{}` ({source}): {}, was {}",
            self.change.name(),
            self.subject.as_deref().map_or("absent".to_owned(), shown),
            self.issuer_entry,
            verdict(&self.after),
            verdict(&self.before)
        )
    }
}

fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Refused { reason } => format!("refused ({reason})"),
        Verdict::Granted { account, identity, audience, scope, expires_in } => {
            format!(
                "granted to {} by {} for {}: {}, {expires_in}s",
                shown(account),
                shown(identity),
                shown(audience),
                shown(scope)
            )
        }
    }
}

/// Text of a record, on one line and bounded.
fn shown(text: &str) -> String {
    let cut: String = text.chars().take(200).flat_map(char::escape_debug).collect();
    format!("`{cut}`")
}
