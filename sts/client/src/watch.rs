//! `exchange --watch`: a file with a token that is always fresh.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use sts_jose::OsEntropy;
use sts_types::{Durability, replace_file, shown_path};

use crate::arguments::ExchangeArgs;
use crate::environment::Environment;
use crate::error::ClientError;
use crate::output::complain;
use crate::retry::fraction;
use crate::server::{AccessToken, Server};
use crate::signals;

/// Pause after a refresh that failed.
const PAUSE: Duration = Duration::from_secs(10);

/// Writes the file, and replaces it before the token expires, until a signal comes. Only the first
/// token is a must: a refresh that fails is told, and tried again.
pub(crate) async fn run(args: &ExchangeArgs, file: &Path, environment: &Environment) -> Result<ExitCode, ClientError> {
    args.token.require_token_beside_stdin("--watch, which needs a new ID token for each access token")?;
    let server = Server::new(&args.token, environment)?;
    let first = server.access_token().await?;
    write(file, &first)?;
    tokio::select! {
        ended = signals::ended() => ended.map(|()| ExitCode::SUCCESS),
        never = keep_fresh(&server, first, |access| write(file, access)) => match never {},
    }
}

/// Replaces the token at two thirds of its life, for ever.
pub(crate) async fn keep_fresh(
    server: &Server<'_>,
    first: AccessToken,
    mut replace: impl FnMut(&AccessToken) -> Result<(), ClientError>,
) -> std::convert::Infallible {
    let mut wait = refresh_after(first.expires_in);
    drop(first);
    loop {
        tokio::time::sleep(wait).await;
        wait = match server.access_token().await {
            Ok(access) => match replace(&access) {
                Ok(()) => refresh_after(access.expires_in),
                Err(error) => told(&error),
            },
            Err(error) => told(&error),
        };
    }
}

fn told(error: &ClientError) -> Duration {
    complain(&format!(
        "warning: the access token was not refreshed, and will be tried again in {} seconds: {error}",
        PAUSE.as_secs()
    ));
    PAUSE
}

/// Two thirds of the life, less a random tenth: jobs that started together refresh apart.
fn refresh_after(expires_in: u64) -> Duration {
    let spread = 1.0 - fraction(&OsEntropy) / 10.0;
    Duration::from_secs(expires_in).mul_f64(2.0 / 3.0 * spread).max(Duration::from_secs(1))
}

/// Replaces the file whole, readable by its owner only.
pub(crate) fn write(file: &Path, access: &AccessToken) -> Result<(), ClientError> {
    replace_file(file, access.token.as_bytes(), Durability::Volatile)
        .map_err(|error| ClientError::failed(format!("cannot write {}: {error}", shown_path(file))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_refreshed_at_two_thirds_of_its_life_or_a_little_before() {
        for _ in 0..100 {
            let seconds = refresh_after(900).as_secs_f64();
            assert!((540.0..=600.0).contains(&seconds), "{seconds}");
        }
        assert_eq!(refresh_after(0), Duration::from_secs(1));
    }
}
