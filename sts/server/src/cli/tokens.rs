//! `sts tokens`: recorded tokens, and what revokes them.

use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use sts_api::{
    Coverage, Revocation, RevocationRequest, RevocationRule, RevocationRules, RevocationScope, Revoked, Token,
    TokenPage, TokenQuery, TokenState, UndoneRule,
};
use sts_types::UnixTime;

use super::admin_commands::{self, Done, ServerArgs, Session, document};
use super::explain::{rfc3339, time};
use super::table::{or_dash, table};
use crate::admin::{
    ListRevocationRules, ListTokens, Operation as _, OperationError, RevokeTokens, ShowToken, UndoRevocationRule,
};
use crate::start_error::StartError;

/// Tokens that are listed when neither `--limit` nor `--all` is given.
const DEFAULT_LIMIT: usize = 100;
/// Page size of the requests to the server.
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
    TokenState::of(text).ok_or_else(|| "write active, expired, revoked or inactive".to_owned())
}

pub(super) fn run(command: TokensCommand) -> ExitCode {
    match command {
        TokensCommand::List(args) => {
            let not_done = ListTokens::default().not_done();
            admin_commands::run_with(&args.server, not_done, |session| args.run(session), list)
        }
        TokensCommand::Show { jti, server } => admin_commands::run(&server, ShowToken { jti }, document),
        TokensCommand::Revoke(args) => {
            let json = args.server.json;
            match args.into_parts() {
                Ok((server, operation)) => admin_commands::run(&server, operation, revoked),
                Err(message) => {
                    admin_commands::refuse(json, &message);
                    ExitCode::from(2)
                }
            }
        }
        TokensCommand::Rules(RulesCommand::List(server)) => admin_commands::run(&server, ListRevocationRules, rules),
        TokensCommand::Rules(RulesCommand::Undo { id, server }) => {
            admin_commands::run(&server, UndoRevocationRule { id }, undone)
        }
    }
}

impl RevokeArgs {
    /// Splits the arguments into the server and the revocation.
    ///
    /// # Errors
    /// A text about the arguments.
    fn into_parts(self) -> Result<(ServerArgs, RevokeTokens), String> {
        let names: BTreeSet<&str> = self.claim.iter().map(|(name, _)| name.as_str()).collect();
        if names.len() < self.claim.len() {
            return Err(
                "--claim names one claim twice; to match several values, write one pattern with wildcards".to_owned()
            );
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
        Ok((self.server, RevokeTokens(Box::new(request))))
    }
}

impl ListArgs {
    /// Requests pages until there are enough tokens.
    fn run(&self, session: &mut Session<'_>) -> Result<Done<TokenPage>, StartError> {
        let wanted = if self.all { usize::MAX } else { self.limit.unwrap_or(DEFAULT_LIMIT) };
        let mut query = self.query();
        let mut all = TokenPage::default();
        loop {
            query.limit = Some(wanted.saturating_sub(all.tokens.len()).min(PAGE));
            let page = match session.perform(ListTokens(Box::new(query.clone())))? {
                Ok(page) => page,
                Err(failure) => return Ok(Err(failure)),
            };
            all.tokens.extend(page.tokens);
            if !page.notes.is_empty() {
                all.notes = page.notes;
            }
            if page.forgotten && !all.tokens.is_empty() {
                let text = "the records changed while they were listed; run the command again".to_owned();
                return Ok(Err(OperationError::Failed(text)));
            }
            all.next = page.next;
            if all.next.is_none() || all.tokens.len() >= wanted {
                show_progress(None);
                return Ok(Ok(all));
            }
            show_progress(Some(all.tokens.len()));
            query.after = all.next.as_ref().map(ToString::to_string);
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

/// Shows the number of tokens found so far, if standard error is a terminal. `None` clears the line.
fn show_progress(found: Option<usize>) {
    let mut stderr = std::io::stderr().lock();
    if stderr.is_terminal() {
        let _ = match found {
            Some(found) => write!(stderr, "\r{found} tokens so far"),
            None => write!(stderr, "\r\x1b[K"),
        };
    }
}

fn list(page: &TokenPage) -> String {
    let row = |token: &Token| {
        let federated = token.federated.as_ref();
        vec![
            token.jti.to_string(),
            token.account.to_string(),
            or_dash(federated.map(|proof| &proof.identity)),
            or_dash(federated.map(|proof| &proof.entry)),
            or_dash(federated.map(|proof| &proof.subject)),
            token.api.to_string(),
            token.state.to_string(),
            rfc3339(token.iat),
            rfc3339(token.exp),
        ]
    };
    let titles = ["JTI", "ACCOUNT", "IDENTITY", "ISSUER", "SUBJECT", "API", "STATE", "ISSUED", "EXPIRES"];
    let mut text = table(&titles, page.tokens.iter().map(row).collect(), "no such tokens are recorded");
    for note in &page.notes {
        text.push_str(&format!("\nnote: {note}"));
    }
    if let Some(next) = &page.next {
        text.push_str(&format!(
            "\n\nthese are the newest {}, and there are more: go on with `--after {next}`, or give `--limit N` or `--all`",
            page.tokens.len()
        ));
    }
    text
}

/// The result of a revocation, in words.
fn revoked(answer: &Revoked) -> String {
    let covered = covered(answer.coverage);
    if answer.dry_run {
        return format!("would end {covered}; nothing was revoked (dry run)");
    }
    let id = answer.revocation.as_ref().and_then(|revocation| revocation.id.as_deref());
    let undo = id.map(|id| format!("; take the rule back with `sts tokens rules undo {id}`")).unwrap_or_default();
    match (answer.coverage.covered, id) {
        (Some(0), Some(_)) if !answer.coverage.at_least => {
            format!("the rule is in force, but covers {covered}: nothing was ended{undo}")
        }
        (Some(0), None) if !answer.coverage.at_least => {
            format!("revoked {covered}: the token was revoked already, or has expired")
        }
        _ => format!("revoked {covered}; offline verifiers accept the tokens until they expire{undo}"),
    }
}

/// The number of tokens in words.
pub(super) fn covered(coverage: Coverage) -> String {
    match coverage.covered {
        None => "an unknown number of tokens (the store stopped answering before they were counted)".to_owned(),
        Some(0) if coverage.at_least => {
            "an unknown number of live tokens (there was no time to look at every record)".to_owned()
        }
        Some(1) if !coverage.at_least => "1 live token".to_owned(),
        Some(count) => format!("{}{count} live tokens", if coverage.at_least { "at least " } else { "" }),
    }
}

fn rules(answer: &RevocationRules) -> String {
    let row = |rule: &Revocation| {
        let covers = match &rule.scope {
            RevocationScope::Rule(fields) => Some(options(fields)),
            RevocationScope::Token(_) => None,
        };
        vec![
            or_dash(rule.id.as_ref()),
            or_dash(covers),
            rfc3339(rule.before.unwrap_or(rule.at)),
            rfc3339(rule.at),
            rule.by.clone(),
            rfc3339(rule.until),
            or_dash(rule.reason.as_ref()),
        ]
    };
    let titles = ["ID", "COVERS", "ISSUED BEFORE", "MADE", "BY", "FORGOTTEN", "REASON"];
    table(&titles, answer.revocation_rules.iter().map(row).collect(), "no revocation rule is in force")
}

/// The fields of a rule as options of the command line.
fn options(rule: &RevocationRule) -> String {
    let option = |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("{name}={value}"));
    let claims = rule.claim.iter().map(|(name, pattern)| format!("claim:{name}={pattern}"));
    let before_claims = [option("account", &rule.account), option("api_key", &rule.api_key)];
    let after_claims = [
        option("generation", &rule.generation),
        option("identity", &rule.identity),
        option("issuer", &rule.issuer),
        option("issuer_kid", &rule.issuer_kid),
        option("kid", &rule.kid),
        option("subject", &rule.subject),
    ];
    let all = before_claims.into_iter().flatten().chain(claims).chain(after_claims.into_iter().flatten());
    all.collect::<Vec<_>>().join(" ")
}

/// The result of undoing a rule, in words.
fn undone(answer: &UndoneRule) -> String {
    let id = answer.undone.id.as_deref().unwrap_or_default();
    format!("the rule {id} was taken back; it no longer ends {}", covered(answer.coverage))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fld41_a_count_that_ran_out_of_time_never_says_that_nothing_was_ended() {
        let partial = Coverage { covered: Some(0), at_least: true };
        assert!(covered(partial).starts_with("an unknown number of live tokens"));
        assert_eq!(covered(Coverage { covered: Some(0), at_least: false }), "0 live tokens");
        assert_eq!(covered(Coverage { covered: Some(1), at_least: true }), "at least 1 live tokens");
        let answer = serde_json::json!({ "dry_run": false, "covered": 0, "at_least": true });
        let answer: Revoked = serde_json::from_value(answer).unwrap_or_else(|error| panic!("{error}"));
        assert!(!revoked(&answer).contains("nothing was ended"), "{}", revoked(&answer));
    }
}
