//! `sts enable` and `sts disable`: whether an account gets tokens.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use sts_api::{Object, ObjectSource, Written};

use super::admin_commands::{self, Done, ServerArgs, Session};
use crate::admin::{ChangeObject, OperationError, ServiceAccounts, ShowObject};
use crate::start_error::StartError;

/// How often somebody else may change the account meanwhile.
const ATTEMPTS: usize = 5;

#[derive(Args)]
pub(super) struct EnableArgs {
    /// The service account
    account: String,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) fn run(args: &EnableArgs, enabled: bool) -> ExitCode {
    let mut was_so = false;
    let not_done = if enabled { "the account was not enabled" } else { "the account was not disabled" };
    let session = Session::open(&args.server);
    let done = session.and_then(|mut session| work(&mut session, &args.account, enabled, &mut was_so));
    admin_commands::finish(&args.server, not_done, done, |object: &Object| {
        let word = if enabled { "enabled" } else { "disabled" };
        let already = if was_so { "already " } else { "" };
        let consequence = if enabled || was_so { "" } else { "; its tokens and API keys are inactive" };
        format!("{}/{} {already}{word}{consequence}", object.kind.name(), object.name)
    })
}

fn work(
    session: &mut Session<'_>,
    account: &str,
    enabled: bool,
    was_so: &mut bool,
) -> Result<Done<Object>, StartError> {
    let mut last = OperationError::Failed("the account changes all the time".to_owned());
    for _ in 0..ATTEMPTS {
        let object = match session.perform(ShowObject::<ServiceAccounts>::new(account.to_owned(), None))? {
            Ok(object) => object,
            Err(failure) => return Ok(Err(failure)),
        };
        if object.is_enabled() == enabled {
            *was_so = true;
            return Ok(Ok(object));
        }
        if object.source == ObjectSource::File {
            let file = object.place().map_or_else(|| "a file".to_owned(), |file| format!("`{}`", file.escape_debug()));
            let text = format!("`{account}` is declared by {file} of the server: set `enabled: {enabled}` there");
            return Ok(Err(OperationError::Conflict(text)));
        }
        let patch = json!({ "spec": { "enabled": enabled } });
        let change = ChangeObject::<ServiceAccounts>::new(account.to_owned(), patch, object.etag());
        match session.perform(change)? {
            Ok(Written::Object(object)) => return Ok(Ok(*object)),
            Ok(_) => return Ok(Err(OperationError::Failed("the server answered something else".to_owned()))),
            Err(OperationError::PreconditionFailed(text)) => last = OperationError::PreconditionFailed(text),
            Err(failure) => return Ok(Err(failure)),
        }
    }
    Ok(Err(last))
}
