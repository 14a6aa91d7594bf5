//! The routes of the pages.

use std::pin::Pin;
use std::rc::Rc;

use actix_web::{HttpResponse, Route, web};

use crate::PageError;
use crate::page_request::PageRequest;

/// The answer of a page, under way.
type Answering = Pin<Box<dyn Future<Output = Result<HttpResponse, PageError>>>>;
/// A page's handler without its type.
type PageHandler = Rc<dyn Fn(PageRequest) -> Answering>;

/// A route that shows a page.
pub(super) fn get<F, A>(handler: F) -> Route
where
    F: Fn(PageRequest) -> A + 'static,
    A: Future<Output = Result<HttpResponse, PageError>> + 'static,
{
    lead(web::get(), Rc::new(move |request| Box::pin(handler(request))))
}

/// A route that takes a form.
pub(super) fn post<F, A>(handler: F) -> Route
where
    F: Fn(PageRequest) -> A + 'static,
    A: Future<Output = Result<HttpResponse, PageError>> + 'static,
{
    lead(web::post(), Rc::new(move |request| Box::pin(handler(request))))
}

/// Leads the requests of `route` to `handler`. The library's code around a handler is compiled once for each
/// type of handler. All pages have one type, so that the binary holds that code once.
fn lead(route: Route, handler: PageHandler) -> Route {
    route.to(move |request: PageRequest| handler(request))
}
