//! `sts delete`: a managed object.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};
use sts_api::{DryRun, ObjectSource, Written};
use sts_types::ObjectKind;

use super::admin_commands::{self, Done, ServerArgs, Session};
use super::apply::effect_lines;
use super::object_kind::kind;
use crate::admin::{DeleteObject, Kind, OperationError, ShowObject, with_kind};
use crate::start_error::StartError;

/// How often somebody else may change the object before it is deleted.
const ATTEMPTS: usize = 5;

#[derive(Args)]
pub(super) struct DeleteArgs {
    /// service-accounts, teams, apis or issuers
    #[arg(value_name = "KIND", value_parser = kind)]
    kind: ObjectKind,
    /// The object's name
    name: String,
    /// Show what would change, and delete nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) fn run(args: &DeleteArgs) -> ExitCode {
    with_kind!(args.kind, K => delete::<K>(args))
}

fn delete<K: Kind>(args: &DeleteArgs) -> ExitCode {
    let shown = |answer: &Value| text(args, answer);
    admin_commands::run_with(&args.server, "nothing was deleted", |session| work::<K>(session, args), shown)
}

fn work<K: Kind>(session: &mut Session<'_>, args: &DeleteArgs) -> Result<Done<Value>, StartError> {
    let mut last = OperationError::Failed("the object changes all the time; nothing was deleted".to_owned());
    for _ in 0..ATTEMPTS {
        let show = ShowObject::<K>::new(args.name.clone(), Some(ObjectSource::Managed));
        let object = match session.perform(show)? {
            Ok(object) => object,
            Err(failure) => return Ok(Err(failure)),
        };
        let delete = DeleteObject::<K>::new(args.name.clone(), object.etag(), args.dry_run);
        match session.perform(delete)? {
            Ok(Written::DryRun(dry_run)) => return Ok(Ok(json!(dry_run))),
            Ok(_) => {
                return Ok(Ok(json!({ "deleted": format!("{}/{}", args.kind.name(), args.name) })));
            }
            Err(OperationError::PreconditionFailed(text)) => last = OperationError::PreconditionFailed(text),
            Err(failure) => return Ok(Err(failure)),
        }
    }
    Ok(Err(last))
}

fn text(args: &DeleteArgs, answer: &Value) -> String {
    let what = format!("{}/{}", args.kind.name(), args.name);
    if !args.dry_run {
        return format!("{what} deleted");
    }
    let dry_run: DryRun = serde_json::from_value(answer.clone()).unwrap_or_default();
    let mut lines = effect_lines(&dry_run.effect);
    lines.push(format!("{what} would be deleted; nothing was changed (dry run)"));
    lines.join("\n")
}
