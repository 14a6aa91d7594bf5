//! The keys that sign tokens.

use askama::Template;
use sts_api::{KeyPhase, SigningKey, SigningKeys};
use sts_types::UnixTime;

use super::frame::Frame;
use super::pieces::{Badge, Tone};

/// The keys with their phases.
#[derive(Debug, Template)]
#[template(path = "signing_keys.html")]
pub struct SigningKeysPage {
    frame: Frame,
    keys: Vec<Row>,
}

impl SigningKeysPage {
    /// The keys as the API answered them.
    #[must_use]
    pub fn new(frame: Frame, keys: &SigningKeys) -> Self {
        Self { frame, keys: keys.keys.iter().map(Row::new).collect() }
    }

    fn title(&self) -> &'static str {
        self.frame.section.heading()
    }
}

/// A key in one line.
#[derive(Debug)]
struct Row {
    kid: String,
    algorithm: String,
    phase: Badge,
    /// Created, signs from, signs until, published until.
    moments: [Option<UnixTime>; 4],
}

impl Row {
    fn new(key: &SigningKey) -> Self {
        let (tone, word) = match key.phase {
            KeyPhase::Next => (Tone::Neutral, "Next"),
            KeyPhase::Signing => (Tone::Good, "Signing"),
            KeyPhase::Retiring => (Tone::Warning, "Retiring"),
        };
        Self {
            kid: key.kid.to_string(),
            algorithm: key.algorithm.clone(),
            phase: Badge { tone, word },
            moments: [Some(key.created), Some(key.signs_from), key.signs_until, key.published_until],
        }
    }
}
