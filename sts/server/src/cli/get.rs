//! `sts get`: the objects that are in force, from files and from the store.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use sts_api::{Object, ObjectPage, ObjectQuery, ObjectSource};
use sts_config::object_text;
use sts_types::ObjectKind;

use super::admin_commands::{self, Done, ServerArgs, Session};
use super::explain::rfc3339;
use super::object_kind::kind;
use super::table::{or_dash, table};
use crate::admin::{Kind, ListObjects, Operation as _, ShowObject, with_kind};
use crate::start_error::StartError;

/// The most objects that are asked for at a time.
const PAGE: usize = 1000;

#[derive(Args)]
pub(super) struct GetArgs {
    /// service-accounts, teams, apis or issuers
    #[arg(value_name = "KIND", value_parser = kind)]
    kind: ObjectKind,
    /// Only the object of this name
    name: Option<String>,
    /// table, yaml (which `sts apply` takes back) or json [default: table; yaml for one object]
    #[arg(short, long, value_name = "FORM", value_enum)]
    output: Option<Output>,
    /// Only objects that are declared there: file or managed
    #[arg(long, value_parser = source, conflicts_with = "name")]
    source: Option<ObjectSource>,
    /// Only objects that are enabled, or are not: true or false
    #[arg(long, value_name = "BOOL", conflicts_with = "name")]
    enabled: Option<bool>,
    /// Only accounts of this team
    #[arg(long, conflicts_with = "name")]
    team: Option<String>,
    /// Only accounts with an identity of this issuer entry
    #[arg(long, value_name = "ENTRY", conflicts_with = "name")]
    issuer: Option<String>,
    /// Only objects with this text in their name, display name or description
    #[arg(short, long, value_name = "TEXT", conflicts_with = "name")]
    query: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Yaml,
    Json,
}

fn source(text: &str) -> Result<ObjectSource, String> {
    ObjectSource::of(text).ok_or_else(|| "write file or managed".to_owned())
}

pub(super) fn run(args: GetArgs) -> ExitCode {
    with_kind!(args.kind, K => get::<K>(args))
}

fn get<K: Kind>(mut args: GetArgs) -> ExitCode {
    let output = match (args.server.json, args.output, &args.name) {
        (true, None | Some(Output::Json), _) => Output::Json,
        (true, Some(_), _) => {
            admin_commands::refuse(true, &"--json and --output ask for different forms");
            return ExitCode::from(2);
        }
        (false, Some(output), _) => output,
        (false, None, Some(_)) => Output::Yaml,
        (false, None, None) => Output::Table,
    };
    args.server.json = output == Output::Json;
    match args.name.take() {
        Some(name) => {
            let show = ShowObject::<K>::new(name, None).with_last_use(true);
            admin_commands::run(&args.server, show, |object| shown(output, std::slice::from_ref(object)))
        }
        None => {
            let not_done = ListObjects::<K>::new(ObjectQuery::default()).not_done();
            admin_commands::run_with(
                &args.server,
                not_done,
                |session| all::<K>(session, &args),
                |page: &ObjectPage| shown(output, &page.items),
            )
        }
    }
}

/// Every object that fits, page by page.
fn all<K: Kind>(session: &mut Session<'_>, args: &GetArgs) -> Result<Done<ObjectPage>, StartError> {
    let mut query = ObjectQuery {
        source: args.source,
        enabled: args.enabled,
        team: args.team.clone(),
        account: None,
        issuer: args.issuer.clone(),
        q: args.query.clone(),
        after: None,
        limit: Some(PAGE),
        last_use: Some(true),
    };
    let mut all = ObjectPage::default();
    loop {
        let page = match session.perform(ListObjects::<K>::new(query.clone()))? {
            Ok(page) => page,
            Err(failure) => return Ok(Err(failure)),
        };
        all.items.extend(page.items);
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(Ok(all)),
        }
    }
}

fn shown(output: Output, objects: &[Object]) -> String {
    match output {
        Output::Yaml => yaml(objects),
        Output::Table | Output::Json => rows(objects),
    }
}

/// What is in force as a file that `sts apply` takes. What is not in force is named in a comment.
fn yaml(objects: &[Object]) -> String {
    let (in_force, out): (Vec<&Object>, Vec<&Object>) =
        objects.iter().partition(|object| object.not_in_force.is_none());
    let mut text = object_text(
        in_force.iter().map(|object| (object.kind, object.name.as_str(), &object.spec, Some(origin(object)))),
    );
    for object in objects {
        text.push_str(&uses(object));
    }
    for object in out {
        text.push_str(&format!("# not in force: {}/{} ({})\n", object.kind.name(), object.name, origin(object)));
    }
    if objects.is_empty() {
        text.push_str("# there are none\n");
    }
    text.trim_end().to_owned()
}

/// The last uses of an account, as comments.
fn uses(object: &Object) -> String {
    let Some(last) = &object.last_use else { return String::new() };
    let account = object.name.escape_debug();
    let Some(at) = last.at else { return format!("# last used: {account} never, as far as is known\n") };
    let mut text = format!("# last used: {account} {}\n", rfc3339(at));
    for (identity, at) in &last.identities {
        text.push_str(&format!("# last used: {account}, identity {} {}\n", identity.escape_debug(), rfc3339(*at)));
    }
    text
}

/// Where an object is declared, in words.
fn origin(object: &Object) -> String {
    match object.source {
        ObjectSource::File => match object.place() {
            Some(file) => format!("from a file of the server: {}", file.escape_debug()),
            None => "from a file of the server".to_owned(),
        },
        ObjectSource::Managed => {
            let mut text = "managed".to_owned();
            if let Some(state) = object.not_in_force {
                text.push_str(&format!(", {state}"));
            }
            if let (Some(at), Some(by)) = (object.updated_at, &object.updated_by) {
                text.push_str(&format!(", changed {} by {}", rfc3339(at), by.escape_debug()));
            }
            text
        }
    }
}

/// The titles of a table, and what makes a row of an object.
type Columns = (&'static [&'static str], fn(&Object) -> Vec<String>);

fn rows(objects: &[Object]) -> String {
    let kind = objects.first().map(|object| object.kind);
    let (titles, cells): Columns = match kind {
        Some(ObjectKind::ServiceAccount) => (
            &["NAME", "DISPLAY NAME", "ENABLED", "TEAMS", "IDENTITIES", "LAST USED", "SOURCE", "CHANGED", "BY"],
            account,
        ),
        Some(ObjectKind::Issuer) => (&["NAME", "ISSUER", "ENABLED", "SOURCE", "CHANGED", "BY"], issuer),
        Some(ObjectKind::Api) => (&["NAME", "AUDIENCE", "SCOPES", "SOURCE", "CHANGED", "BY"], api),
        Some(ObjectKind::Team) | None => (&["NAME", "DISPLAY NAME", "GRANTS", "SOURCE", "CHANGED", "BY"], team),
    };
    table(titles, objects.iter().map(|object| [cells(object), provenance(object)].concat()).collect(), "there are none")
}

fn account(object: &Object) -> Vec<String> {
    let enabled = if object.is_enabled() { "yes" } else { "no" };
    let identities = object.spec.get("identities").and_then(serde_json::Value::as_array).map_or(0, Vec::len);
    vec![
        name(object),
        text_of(object, "display_name"),
        enabled.to_owned(),
        words(object, "teams"),
        identities.to_string(),
        or_dash(object.last_use.as_ref().and_then(|last| last.at).map(rfc3339)),
    ]
}

fn issuer(object: &Object) -> Vec<String> {
    let enabled = if object.is_enabled() { "yes" } else { "no" };
    let key = if object.spec.contains_key("issuer") { "issuer" } else { "issuer_template" };
    vec![name(object), text_of(object, key), enabled.to_owned()]
}

fn api(object: &Object) -> Vec<String> {
    vec![name(object), text_of(object, "audience"), words(object, "scopes")]
}

fn team(object: &Object) -> Vec<String> {
    let grants = object.spec.get("grants").and_then(serde_json::Value::as_object);
    let apis = grants.map(|grants| grants.keys().map(String::as_str).collect::<Vec<_>>().join(", "));
    vec![name(object), text_of(object, "display_name"), or_dash(apis.filter(|apis| !apis.is_empty()))]
}

fn name(object: &Object) -> String {
    object.name.clone()
}

/// A text of the document. What people wrote must not reach the terminal as it is.
fn text_of(object: &Object, key: &str) -> String {
    or_dash(object.spec.get(key).and_then(serde_json::Value::as_str).map(str::escape_debug))
}

fn words(object: &Object, key: &str) -> String {
    let words = object.spec.get(key).and_then(serde_json::Value::as_array);
    let words = words.map(|words| words.iter().filter_map(serde_json::Value::as_str).collect::<Vec<_>>().join(", "));
    or_dash(words.filter(|words| !words.is_empty()))
}

fn provenance(object: &Object) -> Vec<String> {
    let source = match (object.source, object.not_in_force) {
        (ObjectSource::File, _) => or_dash(object.place()),
        (source, None) => source.to_string(),
        (source, Some(state)) => format!("{source} ({state}, not in force)"),
    };
    vec![source, or_dash(object.updated_at.map(rfc3339)), or_dash(object.updated_by.as_ref())]
}

#[cfg(test)]
mod tests {
    use sts_api::NotInForce;
    use sts_types::UnixTime;

    use super::*;

    fn object(name: &str, source: ObjectSource, not_in_force: Option<NotInForce>) -> Object {
        let spec = serde_json::json!({ "display_name": "Bot\u{1b}[2J", "teams": ["t"], "identities": [{}, {}] });
        Object {
            kind: ObjectKind::ServiceAccount,
            name: name.to_owned(),
            spec: serde_json::from_value(spec).unwrap(),
            source,
            file: (source == ObjectSource::File).then(|| "accounts/octo.yaml".to_owned()),
            line: (source == ObjectSource::File).then_some(12),
            revision: (source == ObjectSource::Managed).then_some(7),
            created_at: None,
            created_by: None,
            updated_at: (source == ObjectSource::Managed).then(|| UnixTime::from_secs(0)),
            updated_by: (source == ObjectSource::Managed).then(|| "admin token".to_owned()),
            not_in_force,
            last_use: None,
            findings: Vec::new(),
        }
    }

    #[test]
    fn what_is_not_in_force_is_no_part_of_the_file() {
        let objects = [
            object("octo", ObjectSource::File, None),
            object("bot", ObjectSource::Managed, None),
            object("octo", ObjectSource::Managed, Some(NotInForce::Shadowed)),
        ];
        let text = yaml(&objects);
        let files = [sts_config::ObjectFile::Text("x.yaml".into(), text.clone())];
        let read = sts_config::object_files(&files, &|_| None).unwrap();
        let names: Vec<&str> = read.objects.iter().map(|object| object.name.as_str()).collect();
        assert_eq!(names, ["octo", "bot"], "{text}");
        assert!(text.contains("# not in force: service-accounts/octo (managed, shadowed,"), "{text}");
        let table = rows(&objects);
        assert!(table.contains("managed (shadowed, not in force)") && !table.contains('\u{1b}'), "{table}");
    }
}
