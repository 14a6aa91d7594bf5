//! The forms that create and change an account.

use sts_types::ObjectKind;

use crate::pages::editing::Editable;
use crate::pages::form_fields::{Member, Shape};

/// Service accounts.
pub(super) struct Accounts;

const DISPLAY_NAME: Member = Member::text("display_name", "Display name", "The name that people see.");
const DESCRIPTION: Member = Member::text("description", "Description", "What the account is for.");
const TEAMS: Member = Member::text("teams", "Teams", "Names of teams, separated by commas. Each gives its grants.")
    .shape(Shape::List(','));

impl Editable for Accounts {
    const KIND: ObjectKind = ObjectKind::ServiceAccount;
    const NAME: (&'static str, &'static str) = ("username", "Username");
    const NAME_HELP: &'static str = "The name that configuration and tokens use. It cannot be changed.";
    const MEMBERS: &'static [Member] = &[
        DISPLAY_NAME,
        DESCRIPTION,
        TEAMS,
        Member::text(
            "grants",
            "Grants",
            "Scopes beside those of the teams. One API a line: deploy: releases:read deployments:create",
        )
        .shape(Shape::Grants),
        Member::text("default_api", "Default API", "The API of a request that names none."),
        Member::text("ttl", "TTL", "Lifetime of its tokens: 15m, 1h. Empty for the server's."),
        Member::text("not_before", "Not before", "It gets tokens from then on: 2026-12-01T00:00:00Z."),
        Member::text("not_after", "Not after", "It gets tokens until then."),
    ];
    const INTRODUCTION: &'static str = "It gets no tokens until it has an identity or an API key.";
}

/// What a new account starts with. The rest is for its page.
pub(super) struct NewAccounts;

impl Editable for NewAccounts {
    const KIND: ObjectKind = Accounts::KIND;
    const NAME: (&'static str, &'static str) = Accounts::NAME;
    const NAME_HELP: &'static str = Accounts::NAME_HELP;
    const MEMBERS: &'static [Member] = &[DISPLAY_NAME, DESCRIPTION, TEAMS];
    const INTRODUCTION: &'static str = Accounts::INTRODUCTION;
}
