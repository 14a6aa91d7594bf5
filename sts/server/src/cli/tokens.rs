//! `sts tokens`: recorded tokens, and what revokes them.

use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Write as _};

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use sts_service::{RevocationRequest, TokenQuery, TokenState};
use sts_types::UnixTime;

use super::admin_commands::{Done, ServerArgs, Session};
use super::explain::time;
use super::table::table;
use crate::operation::{Operation, OperationError};
use crate::start_error::StartError;

/// Tokens that are listed when neither `--limit` nor `--all` is given.
const DEFAULT_LIMIT: usize = 100;
/// The most that are asked for at a time.
const PAGE: usize = 1000;

// A jti, a kid and a subject may begin with a hyphen, which no option of ours does by itself.
#[derive(Subcommand)]
pub(super) enum TokensCommand {
    /// List recorded tokens, newest first
    List(ListArgs),
    /// Show one recorded token
    Show {
        /// The token's jti
        #[arg(allow_hyphen_values = true)]
        jti: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Revoke one token, or all tokens that match every given option
    Revoke(RevokeArgs),
    /// List the revocation rules in force, or undo one
    #[command(subcommand)]
    Rules(RulesCommand),
}

#[derive(Subcommand)]
pub(super) enum RulesCommand {
    /// List the rules in force, oldest first
    List(ServerArgs),
    /// Undo a rule: its tokens become active again, unless something else revokes them
    Undo {
        /// The rule's id
        id: String,
        #[command(flatten)]
        server: ServerArgs,
    },
}

#[derive(Args)]
pub(super) struct ListArgs {
    /// Only tokens of this account (username or id)
    #[arg(long)]
    account: Option<String>,
    /// Only tokens of identities with this name
    #[arg(long)]
    identity: Option<String>,
    /// Only tokens exchanged for tokens of this issuer entry
    #[arg(long, value_name = "ENTRY")]
    issuer: Option<String>,
    /// Only tokens whose subject token has a `sub` that matches this pattern
    #[arg(long, value_name = "PATTERN", allow_hyphen_values = true)]
    subject: Option<String>,
    /// Only tokens for this API
    #[arg(long, value_name = "API")]
    api: Option<String>,
    /// Only tokens issued at this time or later (RFC 3339, or seconds since the epoch)
    #[arg(long, value_name = "TIME", value_parser = time)]
    issued_after: Option<UnixTime>,
    /// Only tokens issued before this time (RFC 3339, or seconds since the epoch)
    #[arg(long, value_name = "TIME", value_parser = time)]
    issued_before: Option<UnixTime>,
    /// Only tokens in this state: active, expired, revoked or inactive
    #[arg(long, value_parser = state)]
    state: Option<TokenState>,
    /// Continue after the token with this jti
    #[arg(long, value_name = "JTI", allow_hyphen_values = true)]
    after: Option<String>,
    /// List at most this many tokens [default: 100]
    #[arg(long, value_name = "N", value_parser = limit, conflicts_with = "all")]
    limit: Option<usize>,
    /// List all tokens
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    pub(super) server: ServerArgs,
}

#[derive(Args)]
pub(super) struct RevokeArgs {
    /// The token with this jti
    #[arg(long, allow_hyphen_values = true)]
    jti: Option<String>,
    /// Tokens of this account (username or id)
    #[arg(long)]
    account: Option<String>,
    /// Tokens of identities with this name
    #[arg(long)]
    identity: Option<String>,
    /// Tokens exchanged for tokens of this issuer entry
    #[arg(long, value_name = "ENTRY")]
    issuer: Option<String>,
    /// Tokens whose subject token has a `sub` that matches this pattern
    #[arg(long, value_name = "PATTERN", allow_hyphen_values = true)]
    subject: Option<String>,
    /// Tokens minted on the API key with this id
    #[arg(long, value_name = "ID")]
    api_key: Option<String>,
    /// Tokens whose subject token was signed by the issuer's key with this kid
    #[arg(long, value_name = "KID", allow_hyphen_values = true)]
    issuer_kid: Option<String>,
    /// Tokens signed by our key with this kid
    #[arg(long, allow_hyphen_values = true)]
    kid: Option<String>,
    /// Tokens minted under this configuration generation
    #[arg(long)]
    generation: Option<String>,
    /// Tokens with a copied claim that matches this pattern (repeatable)
    #[arg(long, value_name = "NAME=PATTERN", value_parser = claim)]
    claim: Vec<(String, String)>,
    /// Tokens issued before this time (RFC 3339, or seconds since the epoch) [default: every token recorded so far]
    #[arg(long, value_name = "TIME", value_parser = time)]
    before: Option<UnixTime>,
    /// Reason to record with the revocation
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Make the rule even if it names an account, identity or issuer entry that does not exist
    #[arg(long)]
    force: bool,
    /// Count the tokens that would be revoked, and revoke nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    server: ServerArgs,
}

fn claim(text: &str) -> Result<(String, String), String> {
    let (name, pattern) = text.split_once('=').ok_or("write NAME=PATTERN")?;
    Ok((name.to_owned(), pattern.to_owned()))
}

/// How many are listed at most.
pub(super) fn limit(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|limit| *limit > 0).ok_or_else(|| "write a whole number, 1 or more".to_owned())
}

fn state(text: &str) -> Result<TokenState, String> {
    let found = TokenState::ALL.iter().find(|(name, _)| *name == text);
    found.map(|(_, state)| *state).ok_or_else(|| "write active, expired, revoked or inactive".to_owned())
}

impl RevokeArgs {
    /// Which server, and what to do; the error says what is wrong with the arguments.
    pub(super) fn into_parts(self) -> Result<(ServerArgs, Operation), String> {
        let names: BTreeSet<&str> = self.claim.iter().map(|(name, _)| name.as_str()).collect();
        if names.len() < self.claim.len() {
            return Err("--claim names one claim twice; a pattern says more than one value with wildcards".to_owned());
        }
        let request = RevocationRequest {
            jti: self.jti,
            account: self.account,
            identity: self.identity,
            issuer: self.issuer,
            subject: self.subject,
            api_key: self.api_key,
            issuer_kid: self.issuer_kid,
            kid: self.kid,
            generation: self.generation,
            claim: self.claim.into_iter().collect(),
            before: self.before,
            reason: self.reason,
            force: self.force,
            dry_run: self.dry_run,
        };
        Ok((self.server, Operation::Revoke(Box::new(request))))
    }
}

impl ListArgs {
    /// Asks for page after page until there are as many as are wanted.
    pub(super) fn run(&self, session: &mut Session<'_>) -> Result<Done, StartError> {
        let wanted = if self.all { usize::MAX } else { self.limit.unwrap_or(DEFAULT_LIMIT) };
        let mut query = self.query();
        let (mut tokens, mut notes): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
        loop {
            query.limit = Some(wanted.saturating_sub(tokens.len()).min(PAGE));
            let mut page = match session.perform(Operation::ListTokens(Box::new(query.clone())))? {
                Ok(page) => page,
                Err(failure) => return Ok(Err(failure)),
            };
            let mut take = |name: &str| page.get_mut(name).map(Value::take).unwrap_or_default();
            if let Value::Array(found) = take("tokens") {
                tokens.extend(found);
            }
            if let Value::Array(found) = take("notes") {
                notes = found;
            }
            let next = take("next").as_str().map(str::to_owned);
            if take("forgotten") == Value::Bool(true) && !tokens.is_empty() {
                let text = "the records changed while they were listed; run the command again".to_owned();
                return Ok(Err(OperationError::Failed(text)));
            }
            if next.is_none() || tokens.len() >= wanted {
                show_progress(None);
                let mut answer = json!({ "tokens": tokens, "next": next });
                if let (false, Some(members)) = (notes.is_empty(), answer.as_object_mut()) {
                    members.insert("notes".to_owned(), Value::Array(notes));
                }
                return Ok(Ok(answer));
            }
            show_progress(Some(tokens.len()));
            query.after = next;
        }
    }

    fn query(&self) -> TokenQuery {
        TokenQuery {
            account: self.account.clone(),
            identity: self.identity.clone(),
            issuer: self.issuer.clone(),
            subject: self.subject.clone(),
            api: self.api.clone(),
            issued_after: self.issued_after,
            issued_before: self.issued_before,
            state: self.state,
            after: self.after.clone(),
            limit: None,
        }
    }
}

/// Says on a terminal how many tokens were found so far; `None` clears the line.
fn show_progress(found: Option<usize>) {
    let mut stderr = std::io::stderr().lock();
    if stderr.is_terminal() {
        let _ = match found {
            Some(found) => write!(stderr, "\r{found} tokens so far"),
            None => write!(stderr, "\r\x1b[K"),
        };
    }
}

/// A listing for people.
pub(super) fn list(value: &Value) -> String {
    let columns = [
        ("jti", "JTI"),
        ("account", "ACCOUNT"),
        ("identity", "IDENTITY"),
        ("entry", "ISSUER"),
        ("subject", "SUBJECT"),
        ("api", "API"),
        ("state", "STATE"),
        ("iat", "ISSUED"),
        ("exp", "EXPIRES"),
    ];
    let mut text = table(value.get("tokens"), &columns, "no such tokens are recorded");
    for note in value.get("notes").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        text.push_str(&format!("\nnote: {note}"));
    }
    if let Some(next) = value.get("next").and_then(Value::as_str) {
        let shown = value.get("tokens").and_then(Value::as_array).map_or(0, Vec::len);
        text.push_str(&format!(
            "\n\nthese are the newest {shown}, and there are more: go on with `--after {next}`, or give `--limit N` or `--all`"
        ));
    }
    text
}

/// What a revocation came to, for people.
pub(super) fn revoked(value: &Value) -> String {
    let covered = covered(value);
    if value.get("dry_run") == Some(&Value::Bool(true)) {
        return format!("would end {covered}; nothing was revoked (dry run)");
    }
    let id = value.pointer("/revocation/id").and_then(Value::as_str);
    let undo = id.map(|id| format!("; take the rule back with `sts tokens rules undo {id}`")).unwrap_or_default();
    match (value.get("covered").and_then(Value::as_u64), id) {
        (Some(0), Some(_)) => format!("the rule is in force, but covers {covered}: nothing was ended{undo}"),
        (Some(0), None) => format!("revoked {covered}: the token was revoked already, or has expired"),
        _ => format!("revoked {covered}; offline verifiers accept the tokens until they expire{undo}"),
    }
}

/// The number of tokens in words.
fn covered(value: &Value) -> String {
    let at_least = value.get("at_least") == Some(&Value::Bool(true));
    match value.get("covered").and_then(Value::as_u64) {
        None => "an unknown number of tokens (the store stopped answering before they were counted)".to_owned(),
        Some(1) if !at_least => "1 live token".to_owned(),
        Some(count) => format!("{}{count} live tokens", if at_least { "at least " } else { "" }),
    }
}

/// The rules in force, for people.
pub(super) fn rules(value: &Value) -> String {
    let rules = value.get("revocation_rules").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let rows: Vec<Value> = rules
        .iter()
        .map(|rule| {
            let member = |name: &str| rule.get(name).cloned().unwrap_or_default();
            let before = member("before");
            json!({
                "id": member("id"),
                "covers": rule.pointer("/scope/rule").map(fields),
                "before": if before.is_null() { member("at") } else { before },
                "by": member("by"),
                "at": member("at"),
                "until": member("until"),
                "reason": member("reason"),
            })
        })
        .collect();
    let columns = [
        ("id", "ID"),
        ("covers", "COVERS"),
        ("before", "ISSUED BEFORE"),
        ("at", "MADE"),
        ("by", "BY"),
        ("until", "FORGOTTEN"),
        ("reason", "REASON"),
    ];
    table(Some(&Value::Array(rows)), &columns, "no revocation rule is in force")
}

/// The fields of a rule as options of the command line.
fn fields(rule: &Value) -> String {
    let mut all = Vec::new();
    for (name, value) in rule.as_object().into_iter().flatten() {
        match value {
            Value::String(text) => all.push(format!("{name}={text}")),
            Value::Object(claims) => all.extend(
                claims
                    .iter()
                    .map(|(claim, pattern)| format!("{name}:{claim}={}", pattern.as_str().unwrap_or_default())),
            ),
            other => all.push(format!("{name}={other}")),
        }
    }
    all.join(" ")
}

/// What taking a rule back came to, for people.
pub(super) fn undone(value: &Value) -> String {
    let id = value.pointer("/undone/id").and_then(Value::as_str).unwrap_or_default();
    format!("the rule {id} was taken back; it no longer ends {}", covered(value))
}
