//! `sts api-keys`: keys of callers that have no ID token.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use sts_api::{ApiKeyCreated, ApiKeyInfo, ApiKeyPage, NewApiKey, PageQuery};

use super::admin_commands::{self, Done, ServerArgs, Session};
use super::explain::rfc3339;
use super::table::{moment, or_dash, table};
use crate::admin::{CreateApiKey, ListAllApiKeys, ListApiKeys, Operation as _, OperationError, RevokeApiKey};
use crate::start_error::StartError;
use crate::terminal::complain;

#[derive(Subcommand)]
pub(super) enum ApiKeysCommand {
    /// Create a key and print it; it is shown this once
    Create(CreateArgs),
    /// List the keys of an account, or of all
    List {
        /// Only keys of this account
        account: Option<String>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Revoke a key: it gets no more tokens, and those made with it are inactive
    Revoke {
        /// The key's id, after the account if you want it checked
        #[arg(value_name = "[ACCOUNT] ID", num_args = 1..=2, required = true)]
        id: Vec<String>,
        #[command(flatten)]
        server: ServerArgs,
    },
}

#[derive(Args)]
pub(super) struct CreateArgs {
    /// The service account
    account: String,
    /// What to call the key
    #[arg(long)]
    name: String,
    /// How long it is valid, such as `30d` [default: `api_keys.default_ttl`]
    #[arg(long, value_name = "DURATION")]
    ttl: Option<String>,
    /// Narrow its tokens to this scope (repeatable) [default: all of the account's]
    #[arg(long)]
    scope: Vec<String>,
    /// Allow it from this address or network only (repeatable) [default: from everywhere]
    #[arg(long, value_name = "CIDR")]
    allow_from: Vec<String>,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) fn run(command: ApiKeysCommand) -> ExitCode {
    match command {
        ApiKeysCommand::Create(args) => create(args),
        ApiKeysCommand::List { account: Some(account), server } => {
            admin_commands::run(&server, ListApiKeys { account, query: whole() }, |page| list(&page.items))
        }
        ApiKeysCommand::List { account: None, server } => {
            admin_commands::run(&server, ListAllApiKeys { query: whole() }, |page| list(&page.items))
        }
        ApiKeysCommand::Revoke { id, server } => revoke(&id, &server),
    }
}

/// As many keys as one page may have.
fn whole() -> PageQuery {
    PageQuery { after: None, limit: Some(1000) }
}

fn create(args: CreateArgs) -> ExitCode {
    let CreateArgs { account, name, ttl, scope, allow_from, server } = args;
    let scopes: Vec<String> = scope.iter().flat_map(|scope| scope.split_whitespace()).map(str::to_owned).collect();
    let key = NewApiKey { name, ttl, scopes: (!scopes.is_empty()).then_some(scopes), allow_from };
    let is_json = server.json;
    admin_commands::run(&server, CreateApiKey { account, key }, |created: &ApiKeyCreated| {
        if !is_json {
            let ApiKeyInfo { id, account, name, expires_at, .. } = &created.info;
            // A script takes standard output for the key.
            complain(&format!(
                "the key `{name}` of {account} (id {id}) is valid until {}; it is shown this once",
                rfc3339(*expires_at)
            ));
        }
        created.key.clone()
    })
}

fn list(keys: &[ApiKeyInfo]) -> String {
    let row = |key: &ApiKeyInfo| {
        let scopes = key.scopes.as_ref().map_or_else(|| "all".to_owned(), |scopes| scopes.join(" "));
        let from = if key.allow_from.is_empty() { "everywhere".to_owned() } else { key.allow_from.join(" ") };
        vec![
            key.id.to_string(),
            key.account.clone(),
            key.name.escape_debug().to_string(),
            key.state.to_string(),
            scopes,
            from,
            rfc3339(key.expires_at),
            moment(key.last_used_at),
            or_dash(key.last_used_from.as_ref()),
            key.created_by.escape_debug().to_string(),
        ]
    };
    let titles =
        ["ID", "ACCOUNT", "NAME", "STATE", "SCOPES", "ALLOWED FROM", "EXPIRES", "LAST USED", "FROM", "CREATED BY"];
    table(&titles, keys.iter().map(row).collect(), "there are no API keys")
}

fn revoke(id: &[String], server: &ServerArgs) -> ExitCode {
    let (account, id) = match id {
        [account, id] => (Some(account.clone()), id.clone()),
        [id] => (None, id.clone()),
        _ => return ExitCode::from(2),
    };
    let not_done = RevokeApiKey { account: String::new(), id: String::new() }.not_done();
    admin_commands::run_with(
        server,
        not_done,
        |session| revoke_in(session, account, id),
        |answer: &Value| {
            let id = answer.get("revoked").and_then(Value::as_str).unwrap_or_default();
            format!("the API key {id} is revoked; the tokens made with it are inactive")
        },
    )
}

fn revoke_in(session: &mut Session<'_>, account: Option<String>, id: String) -> Result<Done<Value>, StartError> {
    let account = match account {
        Some(account) => account,
        None => match session.perform(ListAllApiKeys { query: whole() })? {
            Ok(page) => match owner(&page, &id) {
                Ok(account) => account,
                Err(failure) => return Ok(Err(failure)),
            },
            Err(failure) => return Ok(Err(failure)),
        },
    };
    let revoked = session.perform(RevokeApiKey { account, id: id.clone() })?;
    Ok(revoked.map(|()| json!({ "revoked": id })))
}

/// The account of a key. The id may be mistyped, or a whole key that must not be shown.
fn owner(page: &ApiKeyPage, id: &str) -> Result<String, OperationError> {
    if let Some(key) = page.items.iter().find(|key| key.id.as_str() == id) {
        return Ok(key.account.clone());
    }
    let Ok(id) = sts_types::ApiKeyId::new(id) else {
        return Err(OperationError::Refused(
            "an API key's id is the 12 letters and digits after `sts_`; no key was revoked".to_owned(),
        ));
    };
    let near = sts_types::nearest(id.as_str(), page.items.iter().map(|key| key.id.as_str()));
    let near = near.map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default();
    Err(OperationError::NotFound(format!("there is no API key `{id}`{near}; no key was revoked")))
}
