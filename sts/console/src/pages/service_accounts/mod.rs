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
use super::{deletion, editing};

const KIND: ObjectKind = ObjectKind::ServiceAccount;

pub(super) fn routes(config: &mut ServiceConfig) {
    let get = web::get;
    let post = web::post;
    config
        .service(web::resource("/service-accounts").route(get().to(list::show)))
        .service(
            web::resource("/new/service-account")
                .route(get().to(editing::show_new::<NewAccounts>))
                .route(post().to(editing::create::<NewAccounts>)),
        )
        .service(web::resource("/service-accounts/{name}").route(get().to(account::show)))
        .service(web::resource("/service-accounts/{name}/enabled").route(post().to(account::set_enabled)))
        .service(
            web::resource("/service-accounts/{name}/edit")
                .route(get().to(editing::show_edit::<Accounts>))
                .route(post().to(editing::save::<Accounts>)),
        )
        .service(
            web::resource("/service-accounts/{name}/delete")
                .route(get().to(deletion::show::<Accounts>))
                .route(post().to(deletion::delete::<Accounts>)),
        )
        .configure(parts);
}

/// The pages of what an account has.
fn parts(config: &mut ServiceConfig) {
    let (get, post) = (web::get, web::post);
    config
        .service(
            web::resource("/service-accounts/{name}/new-identity")
                .route(get().to(identity::show_new))
                .route(post().to(identity::create)),
        )
        .service(
            web::resource("/service-accounts/{name}/identities/{identity}")
                .route(get().to(identity::show))
                .route(post().to(identity::save)),
        )
        .service(
            web::resource("/service-accounts/{name}/identities/{identity}/delete")
                .route(get().to(identity::confirm))
                .route(post().to(identity::delete)),
        )
        .service(
            web::resource("/service-accounts/{name}/new-api-key")
                .route(get().to(api_key::show_new))
                .route(post().to(api_key::create)),
        )
        .service(
            web::resource("/service-accounts/{name}/api-keys/{id}/revoke")
                .route(get().to(api_key::confirm))
                .route(post().to(api_key::revoke)),
        );
}

/// The path of an account's page.
fn path(name: &str) -> String {
    page_path(KIND, name)
}
