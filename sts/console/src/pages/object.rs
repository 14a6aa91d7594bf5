//! What the pages of service accounts, teams and APIs share: an object with its state and its source.

use serde_json::{Map, Value, json};
use sts_api::{Object, ObjectSource};
use sts_types::{ObjectKind, UnixTime};

use super::frame::Section;
use super::pieces::{Badge, segment, text};
use crate::page_request::PageRequest;
use crate::{ApiError, ApiRequest, Method};

/// The section that shows objects of `kind`.
pub(super) const fn section(kind: ObjectKind) -> Section {
    match kind {
        ObjectKind::ServiceAccount => Section::ServiceAccounts,
        ObjectKind::Team => Section::Teams,
        ObjectKind::Api => Section::Apis,
        ObjectKind::Issuer => Section::Issuers,
    }
}

/// The path of an object's page.
pub(super) fn page_path(kind: ObjectKind, name: &str) -> String {
    format!("{}/{}", section(kind).path(), segment(name))
}

/// The path of an object in the admin API.
pub(super) fn api_path(kind: ObjectKind, name: &str) -> String {
    format!("/{}/{}", kind.name(), segment(name))
}

/// Reads an object with the entity tag of its state.
pub(super) async fn load(request: &PageRequest, kind: ObjectKind, name: &str) -> Result<(Object, String), ApiError> {
    let (object, etag) = request.get_tagged(api_path(kind, name)).await?;
    Ok((object, etag.unwrap_or_default()))
}

/// A change of members of an object's document. `null` removes one.
pub(super) fn patch(kind: ObjectKind, name: &str, members: Map<String, Value>, etag: &str) -> ApiRequest {
    let body = json!({ "spec": members });
    ApiRequest { body, ..ApiRequest::new(Method::Patch, api_path(kind, name)).if_match(etag) }
}

/// The head of an object's page.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) name: String,
    pub(crate) display_name: String,
    pub(crate) path: String,
    pub(crate) state: Badge,
    pub(crate) source: Source,
    pub(crate) etag: String,
    /// Whether the session may change it here.
    pub(crate) is_editable: bool,
    /// Why it is not in force.
    pub(crate) faults: Vec<String>,
}

impl Head {
    pub(super) fn new(object: &Object, etag: String, may_edit: bool) -> Self {
        Self {
            name: object.name.clone(),
            display_name: text(object.spec.get("display_name")),
            path: page_path(object.kind, &object.name),
            state: Badge::of_object(object),
            source: Source::new(object),
            etag,
            is_editable: may_edit && object.source == ObjectSource::Managed,
            faults: object.findings.iter().map(|finding| finding.message.clone()).collect(),
        }
    }
}

/// Where an object is declared.
#[derive(Debug)]
pub(crate) enum Source {
    /// In this file, at this line: `FILE:LINE`. It cannot be changed here.
    File(String),
    /// In the store.
    Managed {
        /// Its revision.
        revision: u64,
        /// Its last change, and who made it.
        updated: Option<(UnixTime, String)>,
    },
}

impl Source {
    pub(crate) fn file(&self) -> Option<&str> {
        match self {
            Self::File(file) => Some(file),
            Self::Managed { .. } => None,
        }
    }

    pub(crate) fn revision(&self) -> u64 {
        match self {
            Self::File(_) => 0,
            Self::Managed { revision, .. } => *revision,
        }
    }

    pub(crate) fn updated(&self) -> Option<(UnixTime, &str)> {
        match self {
            Self::File(_) => None,
            Self::Managed { updated, .. } => updated.as_ref().map(|(time, by)| (*time, by.as_str())),
        }
    }

    pub(super) fn new(object: &Object) -> Self {
        match object.source {
            ObjectSource::File => Self::File(object.place().unwrap_or_default()),
            ObjectSource::Managed => Self::Managed {
                revision: object.revision.unwrap_or_default(),
                updated: object.updated_at.zip(object.updated_by.clone()),
            },
        }
    }
}
