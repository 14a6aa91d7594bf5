//! The forms that create and change an issuer entry.

use sts_types::ObjectKind;

use crate::pages::editing::Editable;
use crate::pages::form_fields::{Member, Shape};

/// Issuer entries.
pub(super) struct IssuerEntries;

const REPLAY: &[(&str, &str)] =
    &[("", "Default"), ("allow", "Allow"), ("once", "Once"), ("once_per_account", "Once per account")];

impl Editable for IssuerEntries {
    const KIND: ObjectKind = ObjectKind::Issuer;
    const NAME: (&'static str, &'static str) = ("name", "Name");
    const NAME_HELP: &'static str = "The name that identities and records use. It cannot be changed.";
    const MEMBERS: &'static [Member] = &[
        Member::text("issuer", "Issuer", "The iss of its tokens: https://token.actions.githubusercontent.com."),
        Member::text(
            "issuer_template",
            "Issuer template",
            "In place of Issuer, for a family: https://oidc.eks.{region}.amazonaws.com/id/{cluster}.",
        ),
        Member::text(
            "variables",
            "Variables",
            "What each variable of the template may be, as JSON: {\"region\": [\"eu-central-1\"]}.",
        )
        .shape(Shape::Json),
        Member::text(
            "preset",
            "Preset",
            "The platform of a self-hosted issuer, such as gitlab. Others are known by their URL.",
        ),
        Member::text(
            "audience",
            "Audience",
            "Values of aud that are accepted, separated by spaces. Empty for this server's issuer.",
        )
        .shape(Shape::List(' ')),
        Member::text("shared", "Shared", "Whether it signs for many tenants. Then each identity must name the owner.")
            .shape(Shape::Switch),
        Member::text(
            "owner_claims",
            "Owner claims",
            "Claims that name the tenant of a shared issuer, separated by commas.",
        )
        .shape(Shape::List(',')),
        Member::text("jwks_url", "JWKS URL", "Where its keys are, if its discovery document does not say so."),
        Member::text("jwks", "JWKS", "Its keys themselves, for an issuer that cannot be reached.").shape(Shape::Json),
        Member::text("algorithms", "Algorithms", "Accepted signature algorithms, separated by spaces: RS256 ES256.")
            .shape(Shape::List(' ')),
        Member::text("replay", "Replay", "How often one token may be exchanged.").shape(Shape::Choice(REPLAY)),
        Member::text("max_token_lifetime", "Max token lifetime", "Tokens that are made for longer are refused: 1h."),
        Member::text("max_token_age", "Max token age", "Tokens that were made longer ago are refused: 10m."),
        Member::text("enabled", "Enabled", "Whether its tokens are exchanged.").shape(Shape::Switch),
    ];
    const INTRODUCTION: &'static str =
        "Whoever holds its keys decides who its tokens speak for. Identities say which of them get in.";
}
