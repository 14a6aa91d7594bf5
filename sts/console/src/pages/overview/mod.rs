//! The first page: what was exchanged lately, how the server does, and what wants attention.

mod chart;
mod health;
#[cfg(test)]
mod tests;

use actix_web::HttpResponse;
use actix_web::web::{self, ServiceConfig};
use askama::Template;
use sts_api::{Activity, ActivityPeriod, ActivityQuery, ApiKeyPage, Readiness};
use sts_types::UnixTime;

use super::frame::{Frame, Section};
use super::page_route::get;
use crate::page_request::PageRequest;
use crate::{ApiError, PageError};
use chart::{Chart, Series};
use health::{Concern, Part};

/// API keys to look at.
const MOST_KEYS: usize = 1000;

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(web::resource("").route(get(show)));
}

#[derive(Debug, Template)]
#[template(path = "overview.html")]
struct Overview {
    frame: Frame,
    is_ready: bool,
    concerns: Vec<Concern>,
    charts: [Chart; 3],
    counted_since: UnixTime,
    parts: Vec<Part>,
    generation: String,
}

impl Overview {
    fn title(&self) -> &'static str {
        self.frame.section.heading()
    }
}

/// `GET /console/`.
async fn show(request: PageRequest) -> Result<HttpResponse, PageError> {
    let readiness: Readiness = request.get("/health").await?;
    let week = activity(&request, ActivityPeriod::Week).await?;
    let day = activity(&request, ActivityPeriod::Day).await?;
    let hour = activity(&request, ActivityPeriod::Hour).await?;
    let now = hour.intervals.last().map_or(hour.counted_since, |interval| interval.start.plus(hour.interval));
    let keys: ApiKeyPage = request.get(format!("/api-keys?limit={MOST_KEYS}")).await?;
    // One reason has one look in all three.
    let series = Series::of(&week);
    let page = Overview {
        frame: request.frame(Section::Overview),
        is_ready: readiness.ready,
        concerns: health::concerns(&readiness, &keys, now),
        charts: [
            Chart::new("hour", "Last hour", &hour, &series, 1),
            Chart::new("day", "Last day", &day, &series, 1),
            Chart::new("week", "Last week", &week, &series, 6),
        ],
        counted_since: hour.counted_since,
        parts: health::parts(&readiness),
        generation: readiness.generation,
    };
    request.page(&page)
}

async fn activity(request: &PageRequest, period: ActivityPeriod) -> Result<Activity, ApiError> {
    request.get(format!("/activity?{}", ActivityQuery { period: Some(period) }.to_query())).await
}
