//! `sts init`: from nothing to a configuration that loads, its policy tests, and what to paste into the workload.

mod answers;
mod documents;
mod platform;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use jwks_cache::is_loopback;
use sts_config::AbsentSecrets;
use sts_policy::Preset;
use sts_types::{AccountName, ApiName, Clock as _, Scope, shown_path};

use self::answers::{Answers, Asked, filled, line};
use self::documents::Answered;
use self::platform::{IssuerUrl, PLATFORMS, Platform, Presence};
use super::check::summary;
use crate::clock::SystemClock;
use crate::reload::load_to_check;
use crate::terminal::{complain, say};

/// Asked of everybody: name, what it is, an example, and the answer to take where there is none.
const COMMON: [(&str, &str, &str, Presence); 5] = [
    ("--url", "Where callers will reach the server: its `issuer`", "https://sts.example.com", Presence::Required),
    (
        "--audience",
        "The API that the tokens are for, by its audience",
        "https://deploy.example.com",
        Presence::Required,
    ),
    ("--scope", "What they may do there: scopes, separated by spaces", "deployments:create", Presence::Required),
    ("--account", "A name for the service account", "deployer", Presence::Default("deployer")),
    ("--api", "A name for the API", "deploy", Presence::Default("deploy")),
];

#[derive(Args)]
#[command(after_help = "What is required and not given is asked for. With everything given, nothing is asked:

  sts init github-actions repository=octo-org/octo-repo repository_id=1296269 environment=production \\
    --url https://sts.example.com --audience https://deploy.example.com --scope deployments:create")]
pub(super) struct InitArgs {
    /// Where the workload runs, such as `github-actions`
    platform: Option<String>,
    /// What the platform's tokens tell of the workload, such as `repository=octo-org/octo-repo`
    #[arg(value_name = "NAME=VALUE")]
    answers: Vec<String>,
    /// Where callers will reach the server: its `issuer`
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The API that the tokens are for, by its audience
    #[arg(long, value_name = "AUDIENCE")]
    audience: Option<String>,
    /// What they may do there: scopes, separated by spaces
    #[arg(long, value_name = "SCOPES")]
    scope: Option<String>,
    /// A name for the service account [default: deployer]
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// A name for the API [default: deploy]
    #[arg(long, value_name = "NAME")]
    api: Option<String>,
    /// The platform's issuer, if it is an instance of your own
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// The folder to write into
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    dir: PathBuf,
}

/// Why nothing was written.
enum Refused {
    /// The command is used wrongly, or answers are missing.
    Usage(String),
    /// Something went wrong.
    Failed(String),
}

pub(super) fn run(args: &InitArgs) -> ExitCode {
    match init(args) {
        Ok(text) => {
            say(&text);
            ExitCode::SUCCESS
        }
        Err(Refused::Usage(text)) => {
            complain(&format!("error: {text}"));
            ExitCode::from(2)
        }
        Err(Refused::Failed(text)) => {
            complain(&format!("error: {text}"));
            ExitCode::FAILURE
        }
    }
}

fn init(args: &InitArgs) -> Result<String, Refused> {
    // Before anybody answers in vain.
    refuse_existing(&args.dir, "sts.yaml")?;
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stderr().lock());
    let mut asked = Asked { input: &mut input, output: &mut output };
    let platform = match &args.platform {
        Some(name) => named(name).map_err(Refused::Usage)?,
        None => ask_for_platform(&mut asked).map_err(Refused::Usage)?,
    };
    let answered = answer(platform, args, asked).map_err(Refused::Usage)?;
    drop(output);
    let snippet = answered.snippet();
    let files = [
        ("sts.yaml".to_owned(), answered.configuration()),
        (format!("accounts/{}.yaml", answered.account), answered.accounts()),
        (format!("workload/{}", snippet.file_name), snippet.code.clone()),
    ];
    let summary = checked(&files)?;
    write_all(&args.dir, &files)?;
    // Paths as somebody would type them.
    let folder = args.dir.strip_prefix(".").unwrap_or(&args.dir);
    let config = folder.join("sts.yaml");
    let names: Vec<String> = files.iter().map(|(name, _)| format!("  {}", folder.join(name).display())).collect();
    Ok(format!(
        "{summary}\nwrote\n{}\n\nCheck it again after each change:  sts check --config {config}\nRun the server:                     \
         sts serve --config {config}\nPaste into the workload:            {} ({})",
        names.join("\n"),
        folder.join(format!("workload/{}", snippet.file_name)).display(),
        snippet.title,
        config = config.display(),
    ))
}

fn named(name: &str) -> Result<&'static Platform, String> {
    Platform::named(name).ok_or_else(|| {
        let all: Vec<&str> = PLATFORMS.iter().map(|platform| platform.preset.name()).collect();
        let why = match Preset::from_name(name) {
            Some(_) => {
                "its tokens need a rule that `sts check` warns of: write it by hand, see deploy/docs/platforms.md"
            }
            None => "there is no such platform",
        };
        format!("`{name}`: {why}\n  the platforms are {}", all.join(", "))
    })
}

fn ask_for_platform(asked: &mut Asked<'_>) -> Result<&'static Platform, String> {
    let _ = writeln!(asked.output, "Where does the workload run?");
    for (index, platform) in PLATFORMS.iter().enumerate() {
        let _ = writeln!(asked.output, "  {:2}  {}", index + 1, platform.preset.title());
    }
    loop {
        let _ = write!(asked.output, "Number or name: ");
        let _ = asked.output.flush();
        let Some(line) = line(asked.input) else {
            let _ = writeln!(asked.output);
            return named("").map_err(|all| all.replacen("``: there is no such platform", "no platform is given", 1));
        };
        let by_number = line.parse::<usize>().ok().and_then(|number| PLATFORMS.get(number.checked_sub(1)?));
        match by_number.map_or_else(|| named(&line), Ok) {
            Ok(platform) => return Ok(platform),
            Err(what) => drop(writeln!(asked.output, "  {what}")),
        }
    }
}

/// All answers. Nothing is asked for if everything that is required was given.
fn answer(platform: &'static Platform, args: &InitArgs, asked: Asked<'_>) -> Result<Answered, String> {
    let mut given = BTreeMap::new();
    for answer in &args.answers {
        let (name, value) =
            answer.split_once('=').ok_or_else(|| format!("`{answer}` is not of the form NAME=VALUE"))?;
        if given.insert(name.trim().to_owned(), value.trim().to_owned()).is_some() {
            return Err(format!("`{name}` is given twice"));
        }
    }
    let flags = [&args.url, &args.audience, &args.scope, &args.account, &args.api];
    let flags = COMMON.iter().map(|(name, ..)| *name).zip(flags).chain([("--issuer", &args.issuer)]);
    given.extend(flags.filter_map(|(name, value)| Some((name.to_owned(), value.as_ref()?.trim().to_owned()))));
    let required = platform.questions.iter().map(|question| (question.name, question.presence));
    let required = required.chain(COMMON.iter().map(|(name, _, _, presence)| (*name, *presence)));
    let (issuer_presence, example) = match platform.issuer {
        IssuerUrl::Known(url) => (Presence::Default(url), url),
        IssuerUrl::Asked(example) => (Presence::Required, example),
    };
    let mut required =
        required.chain([("--issuer", issuer_presence)]).filter(|(_, presence)| *presence == Presence::Required);
    let is_complete = required.all(|(name, _)| given.contains_key(name));
    let mut answers = Answers::new(given, (!is_complete).then_some(asked));

    let any = |_: &str| Ok(());
    let mut of_platform = BTreeMap::new();
    for question in platform.questions {
        let answer = answers.answer(question.name, question.text, question.example, question.presence, any)?;
        of_platform.extend(answer.map(|answer| (question.name, answer)));
    }
    let issuer = match platform.issuer {
        // Whoever runs an instance of their own gives its issuer as `--issuer`.
        IssuerUrl::Known(url) => answers.given_or("--issuer", &filled(url, &of_platform), is_issuer)?,
        IssuerUrl::Asked(_) => {
            let text = format!("The issuer: the `iss` of the tokens of {}", platform.preset.title());
            answers.answer("--issuer", &text, example, issuer_presence, is_issuer)?.unwrap_or_default()
        }
    };
    let mut common = Vec::new();
    for (name, text, example, presence) in COMMON {
        let check = |answer: &str| match name {
            "--url" => is_server(answer),
            "--scope" => answer.split_whitespace().try_for_each(|scope| name_of(Scope::new(scope))),
            "--account" => name_of(AccountName::new(answer)),
            "--api" => name_of(ApiName::new(answer)),
            _ => Ok(()),
        };
        common.push(answers.answer(name, text, example, presence, check)?.unwrap_or_default());
    }
    answers.finish()?;
    let [server, api_audience, scopes, account, api] = <[String; 5]>::try_from(common).unwrap_or_default();
    let scopes = scopes.split_whitespace().map(str::to_owned).collect();
    let server = server.trim_end_matches('/').to_owned();
    Ok(Answered { platform, answers: of_platform, issuer, server, account, api, api_audience, scopes })
}

fn name_of<T, E: ToString>(name: Result<T, E>) -> Result<(), String> {
    name.map(drop).map_err(|error| error.to_string())
}

fn is_issuer(text: &str) -> Result<(), String> {
    match url::Url::parse(text) {
        Ok(url) if url.scheme() == "https" && url.host_str().is_some() => Ok(()),
        _ => Err("it must be a URL that begins with https://".to_owned()),
    }
}

/// Our own issuer, which may be http on this machine.
fn is_server(text: &str) -> Result<(), String> {
    let url = url::Url::parse(text).ok();
    let is_local = |url: &url::Url| url.scheme() == "http" && url.host().is_some_and(|host| is_loopback(&host));
    if !url.as_ref().is_some_and(is_local) {
        is_issuer(text)?;
    }
    if text.contains(['#', '@']) { Err("it must have no fragment and no user".to_owned()) } else { Ok(()) }
}

/// Loads the files from a folder of their own, policy tests and all. The summary of the check.
fn checked(files: &[(String, String)]) -> Result<String, Refused> {
    let failed = |error: std::io::Error| Refused::Failed(format!("cannot check the files: {error}"));
    let folder = tempfile::Builder::new().prefix("sts-init-").tempdir().map_err(failed)?;
    for (name, text) in files {
        let path = folder.path().join(name);
        path.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(failed)?;
        std::fs::write(path, text).map_err(failed)?;
    }
    let config = folder.path().join("sts.yaml");
    let findings = match load_to_check(&config, SystemClock::new().now(), AbsentSecrets::Refuse) {
        Ok(loaded) if loaded.warnings.is_empty() => return Ok(summary(Path::new("sts.yaml"), &loaded)),
        Ok(loaded) => loaded.warnings,
        Err(findings) => findings,
    };
    // Without colours: `complain` shows their codes, as it does with every control character.
    let rendered = findings.render(false);
    let rendered = rendered.replace(&format!("{}/", folder.path().display()), "");
    Err(Refused::Failed(format!(
        "with these answers the files would not do, so nothing was written:\n\n{}",
        rendered.trim_end()
    )))
}

/// Writes the files, none of which may exist.
fn write_all(folder: &Path, files: &[(String, String)]) -> Result<(), Refused> {
    for (name, _) in files {
        let path = folder.join(name);
        if path.symlink_metadata().is_ok() {
            let text =
                format!("{} exists already, so nothing was written: give another folder as --dir", shown_path(&path));
            return Err(Refused::Usage(text));
        }
    }
    let mut written: Vec<PathBuf> = Vec::new();
    for (name, text) in files {
        let path = folder.join(name);
        if let Err(error) = write_new(&path, text, &mut written) {
            // Half of the files would be in the way of another attempt.
            written.iter().for_each(|path| drop(std::fs::remove_file(path)));
            let path = shown_path(&path);
            return Err(Refused::Failed(format!("cannot write {path}, so no file was left: {error}")));
        }
    }
    Ok(())
}

/// Writes a file that is not there yet. From its creation on it is one of `written`.
fn write_new(path: &Path, text: &str, written: &mut Vec<PathBuf>) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(path)?;
    written.push(path.to_owned());
    file.write_all(text.as_bytes())
}

fn refuse_existing(folder: &Path, name: &str) -> Result<(), Refused> {
    let path = folder.join(name);
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    let path = shown_path(&path);
    Err(Refused::Usage(format!("{path} exists already, so nothing was written: give another folder as --dir")))
}

#[cfg(test)]
mod tests {
    use super::platform::Target;
    use super::*;

    #[test]
    fn each_platform_but_vercel_can_be_chosen_and_each_condition_is_one_of_it() {
        for preset in Preset::ALL {
            assert_eq!(Platform::named(preset.name()).is_some(), preset != Preset::Vercel, "{preset:?}");
        }
        for platform in PLATFORMS {
            for question in platform.questions {
                let has_claim = platform.claim_of(question.name, question.target).is_some();
                assert_eq!(has_claim, question.target != Target::Text, "{:?} {}", platform.preset, question.name);
            }
        }
    }
}
