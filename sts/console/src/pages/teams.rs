//! Teams, which give their members grants.

use actix_web::web::{self, ServiceConfig};
use sts_types::ObjectKind;

use super::editing::Editable;
use super::form_fields::{Member, Shape};
use super::page_route::{get, post};
use super::{deletion, editing, object_pages};

struct Teams;

impl Editable for Teams {
    const KIND: ObjectKind = ObjectKind::Team;
    const NAME: (&'static str, &'static str) = ("name", "Name");
    const NAME_HELP: &'static str = "The name that configuration uses. It cannot be changed.";
    const MEMBERS: &'static [Member] = &[
        Member::text("display_name", "Display name", "The name that people see."),
        Member::text("grants", "Grants", "One API a line, with its scopes: deploy: releases:read deployments:create")
            .shape(Shape::Grants),
    ];
    const INTRODUCTION: &'static str = "Every account of the team gets its grants.";
}

impl object_pages::Listed for Teams {
    const SUMMARY: &'static str = "Grants that several service accounts share.";
    const EMPTY: &'static str = "A team gives its grants to every account in it.";
}

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(web::resource("/teams").route(get(object_pages::list::<Teams>)))
        .service(
            web::resource("/new/team").route(get(editing::show_new::<Teams>)).route(post(editing::create::<Teams>)),
        )
        .service(web::resource("/teams/{name}").route(get(object_pages::show::<Teams>)))
        .service(
            web::resource("/teams/{name}/edit")
                .route(get(editing::show_edit::<Teams>))
                .route(post(editing::save::<Teams>)),
        )
        .service(
            web::resource("/teams/{name}/delete")
                .route(get(deletion::show::<Teams>))
                .route(post(deletion::delete::<Teams>)),
        );
}
