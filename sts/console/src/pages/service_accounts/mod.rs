//! Service accounts, their identities and their API keys.

mod account;
mod activity;
mod api_key;
mod form;
mod grants;
mod identity;
mod list;
#[cfg(test)]
mod tests;

use actix_web::web::{self, ServiceConfig};
use sts_types::ObjectKind;

use form::{Accounts, NewAccounts};

use super::object::page_path;
use super::page_route::{get, post};
use super::{deletion, editing};

const KIND: ObjectKind = ObjectKind::ServiceAccount;

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(web::resource("/service-accounts").route(get(list::show)))
        .service(
            web::resource("/new/service-account")
                .route(get(editing::show_new::<NewAccounts>))
                .route(post(editing::create::<NewAccounts>)),
        )
        .service(web::resource("/service-accounts/{name}").route(get(account::show)))
        .service(web::resource("/service-accounts/{name}/enabled").route(post(account::set_enabled)))
        .service(
            web::resource("/service-accounts/{name}/edit")
                .route(get(editing::show_edit::<Accounts>))
                .route(post(editing::save::<Accounts>)),
        )
        .service(
            web::resource("/service-accounts/{name}/delete")
                .route(get(deletion::show::<Accounts>))
                .route(post(deletion::delete::<Accounts>)),
        )
        .configure(parts);
}

/// The pages of what an account has.
fn parts(config: &mut ServiceConfig) {
    config
        .service(
            web::resource("/service-accounts/{name}/new-identity")
                .route(get(identity::show_new))
                .route(post(identity::create)),
        )
        .service(
            web::resource("/service-accounts/{name}/identities/{identity}")
                .route(get(identity::show))
                .route(post(identity::save)),
        )
        .service(
            web::resource("/service-accounts/{name}/identities/{identity}/delete")
                .route(get(identity::confirm))
                .route(post(identity::delete)),
        )
        .service(
            web::resource("/service-accounts/{name}/new-api-key")
                .route(get(api_key::show_new))
                .route(post(api_key::create)),
        )
        .service(
            web::resource("/service-accounts/{name}/api-keys/{id}/revoke")
                .route(get(api_key::confirm))
                .route(post(api_key::revoke)),
        );
}

/// The path of an account's page.
fn path(name: &str) -> String {
    page_path(KIND, name)
}
