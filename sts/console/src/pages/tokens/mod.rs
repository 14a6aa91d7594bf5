//! Recorded tokens: the list, one of them, and revocations alone or by rule.

mod list;
mod revocation;
mod rules;
#[cfg(test)]
mod tests;
mod token;

use actix_web::web::{self, ServiceConfig};
use sts_api::{Coverage, Token, TokenState};

use super::frame::Section;
use super::page_route::{get, post};
use super::pieces::{Badge, Tone, segment};

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(web::resource("/tokens").route(get(list::show)))
        .service(web::resource("/tokens/{jti}").route(get(token::show)))
        .service(web::resource("/tokens/{jti}/revoke").route(post(token::revoke)))
        .service(web::resource("/revoke-tokens").route(get(revocation::show)).route(post(revocation::revoke)))
        .service(web::resource("/revocation-rules").route(get(rules::show)))
        .service(web::resource("/revocation-rules/{id}/undo").route(post(rules::undo)));
}

/// The path of a token's page.
fn path(jti: &str) -> String {
    format!("{}/{}", Section::Tokens.path(), segment(jti))
}

/// What a token is now.
fn state(token: &Token) -> Badge {
    let (tone, word) = match token.state {
        TokenState::Active => (Tone::Good, "Active"),
        TokenState::Expired => (Tone::Neutral, "Expired"),
        TokenState::Revoked => (Tone::Bad, "Revoked"),
        TokenState::Inactive => (Tone::Warning, "Inactive"),
    };
    Badge { tone, word }
}

/// A number of live tokens in words.
pub(super) fn counted(coverage: Coverage) -> String {
    match (coverage.covered, coverage.at_least) {
        (None, _) => "an unknown number of live tokens".to_owned(),
        (Some(count), true) => format!("at least {count} live tokens"),
        (Some(1), false) => "1 live token".to_owned(),
        (Some(count), false) => format!("{count} live tokens"),
    }
}
