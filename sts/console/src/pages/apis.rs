//! APIs that tokens are for.

use actix_web::web::{self, ServiceConfig};
use sts_types::ObjectKind;

use super::editing::Editable;
use super::form_fields::{Member, Shape};
use super::page_route::{get, post};
use super::{deletion, editing, object_pages};

struct Apis;

impl Editable for Apis {
    const KIND: ObjectKind = ObjectKind::Api;
    const NAME: (&'static str, &'static str) = ("name", "Name");
    const NAME_HELP: &'static str = "The name that configuration and requests use. It cannot be changed.";
    const MEMBERS: &'static [Member] = &[
        Member::text("audience", "Audience", "The aud of its tokens, such as https://deploy.example.com.").required(),
        Member::text("display_name", "Display name", "The name that people see."),
        Member::text("scopes", "Scopes", "The scopes that it knows, separated by spaces.").shape(Shape::List(' ')),
        Member::text(
            "signing_algorithm",
            "Signing algorithm",
            "One of the server's, such as ES256. Empty for its first.",
        ),
    ];
    const INTRODUCTION: &'static str = "A token is for one API. The API finds its audience in the token.";
}

impl object_pages::Listed for Apis {
    const SUMMARY: &'static str = "What tokens are for: audiences and scopes.";
    const EMPTY: &'static str = "An API is a service that takes tokens of this server.";
}

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(web::resource("/apis").route(get(object_pages::list::<Apis>)))
        .service(web::resource("/new/api").route(get(editing::show_new::<Apis>)).route(post(editing::create::<Apis>)))
        .service(web::resource("/apis/{name}").route(get(object_pages::show::<Apis>)))
        .service(
            web::resource("/apis/{name}/edit")
                .route(get(editing::show_edit::<Apis>))
                .route(post(editing::save::<Apis>)),
        )
        .service(
            web::resource("/apis/{name}/delete")
                .route(get(deletion::show::<Apis>))
                .route(post(deletion::delete::<Apis>)),
        );
}
