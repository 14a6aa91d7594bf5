//! The forms that create and change an object.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;
use sts_api::{DryRun, NewObject, ObjectSource, Written};
use sts_types::ObjectKind;

use super::effect::EffectView;
use super::form_fields::{Control, Field, Member, Origin, Values, fields, pointers};
use super::frame::Frame;
use super::object::{load, page_path, patch, section};
use super::pieces::ProblemView;
use crate::form::Form;
use crate::page_request::{PageRequest, see_other};
use crate::{ApiError, ApiRequest, Method, PageError};

/// A kind of object that forms create and change.
pub(super) trait Editable: 'static {
    const KIND: ObjectKind;
    /// Id and label of the field with the name.
    const NAME: (&'static str, &'static str);
    /// What to type there.
    const NAME_HELP: &'static str;
    /// The members of its document that forms show.
    const MEMBERS: &'static [Member];
    /// What a new one is for.
    const INTRODUCTION: &'static str;
}

/// The form for a new object, or for a change of one.
#[derive(Debug, Template)]
#[template(path = "object_form.html")]
struct ObjectForm {
    frame: Frame,
    title: String,
    introduction: String,
    /// The button.
    verb: String,
    fields: Vec<Field>,
    etag: Option<String>,
    /// Where to go without a change.
    back: String,
    /// The name in the breadcrumb.
    name: Option<String>,
    problem: Option<ProblemView>,
    effect: Option<EffectView>,
}

impl ObjectForm {
    fn title(&self) -> &str {
        &self.title
    }
}

/// What a form shows beside its fields.
#[derive(Debug, Default)]
struct Answered {
    status: StatusCode,
    problem: Option<ProblemView>,
    effect: Option<EffectView>,
}

impl Answered {
    fn effect(dry_run: &DryRun) -> Self {
        Self { effect: Some(EffectView::new(dry_run)), ..Self::default() }
    }

    fn problem(title: &str, error: &ApiError, members: &[Member], name: &str) -> Self {
        let mut places = pointers(members);
        places.push(("/name".to_owned(), name.to_owned()));
        let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, problem: Some(ProblemView::new(title, &error.told, &places)), effect: None }
    }
}

/// `GET` of the form for a new object.
pub(super) async fn show_new<K: Editable>(request: PageRequest) -> Result<HttpResponse, PageError> {
    request.require_admin()?;
    new_form::<K>(&request, String::new(), &Values::default(), Answered::default())
}

fn new_form<K: Editable>(
    request: &PageRequest,
    name: String,
    values: &Values,
    answered: Answered,
) -> Result<HttpResponse, PageError> {
    let (id, label) = K::NAME;
    let problem = answered.problem.as_ref();
    let name = Field {
        id: id.into(),
        label: label.into(),
        value: name,
        help: K::NAME_HELP.into(),
        is_optional: false,
        control: Control::Line,
        error: problem.and_then(|problem| problem.about(id)),
        before: None,
        theirs: None,
    };
    let members = fields(K::MEMBERS, values, problem, Origin::default());
    let page = ObjectForm {
        frame: request.frame(section(K::KIND)),
        title: format!("New {}", K::KIND.noun()),
        introduction: K::INTRODUCTION.to_owned(),
        verb: format!("Create {}", K::KIND.noun()),
        fields: std::iter::once(name).chain(members).collect(),
        etag: None,
        back: section(K::KIND).path().to_owned(),
        name: None,
        problem: answered.problem,
        effect: answered.effect,
    };
    request.page_with(answered.status, &page)
}

/// `POST` of the form for a new object.
pub(super) async fn create<K: Editable>(request: PageRequest) -> Result<HttpResponse, PageError> {
    let form = request.form()?;
    let name = form.trimmed(K::NAME.0).to_owned();
    let values = Values::of_form(K::MEMBERS, &form);
    let new = NewObject { name: name.clone(), spec: values.document(K::MEMBERS) };
    let target = with_dry_run(format!("/{}", K::KIND.name()), &form);
    match request.send::<Written>(ApiRequest::new(Method::Post, target).with_body(&new)?).await {
        Ok(Written::DryRun(dry_run)) => new_form::<K>(&request, name, &values, Answered::effect(&dry_run)),
        Ok(_) => Ok(request.done(&page_path(K::KIND, &name), &format!("Created the {} {name}.", K::KIND.noun()))),
        Err(error) => {
            let title = format!("The {} was not created.", K::KIND.noun());
            let answered = Answered::problem(&title, &error, K::MEMBERS, K::NAME.0);
            new_form::<K>(&request, name, &values, answered)
        }
    }
}

/// Whether the button asks what the change would do.
fn with_dry_run(target: String, form: &Form) -> String {
    if form.field("action") == "check" { format!("{target}?dry_run=true") } else { target }
}

/// `GET` of the form for a change.
pub(super) async fn show_edit<K: Editable>(request: PageRequest) -> Result<HttpResponse, PageError> {
    request.require_admin()?;
    let (object, etag) = load(&request, K::KIND, &request.parameter("name")).await?;
    if object.source == ObjectSource::File {
        // Its page says which file to change.
        return Ok(see_other(&page_path(K::KIND, &object.name)).finish());
    }
    let values = Values::of_document(K::MEMBERS, &object.spec);
    let origin = Origin { before: Some(&values), is_changed: false };
    edit_form::<K>(&request, &values, origin, etag, Answered::default())
}

fn edit_form<K: Editable>(
    request: &PageRequest,
    values: &Values,
    origin: Origin<'_>,
    etag: String,
    answered: Answered,
) -> Result<HttpResponse, PageError> {
    let name = request.parameter("name");
    let page = ObjectForm {
        frame: request.frame(section(K::KIND)),
        title: format!("Edit {}", K::KIND.noun()),
        introduction: String::new(),
        verb: format!("Save {}", K::KIND.noun()),
        fields: fields(K::MEMBERS, values, answered.problem.as_ref(), origin),
        etag: Some(etag),
        back: page_path(K::KIND, &name),
        name: Some(name),
        problem: answered.problem,
        effect: answered.effect,
    };
    request.page_with(answered.status, &page)
}

/// `POST` of the form for a change.
pub(super) async fn save<K: Editable>(request: PageRequest) -> Result<HttpResponse, PageError> {
    let (form, name) = (request.form()?, request.parameter("name"));
    let (values, before) = (Values::of_form(K::MEMBERS, &form), Values::before(K::MEMBERS, &form));
    let etag = form.field("etag").to_owned();
    let mut change = patch(K::KIND, &name, values.changes(K::MEMBERS, &before), &etag);
    change.target = with_dry_run(change.target, &form);
    let origin = Origin { before: Some(&before), is_changed: false };
    let title = format!("The {} was not changed.", K::KIND.noun());
    match request.send::<Written>(change).await {
        Ok(Written::DryRun(dry_run)) => edit_form::<K>(&request, &values, origin, etag, Answered::effect(&dry_run)),
        Ok(_) => Ok(request.done(&page_path(K::KIND, &name), &format!("Saved the {} {name}.", K::KIND.noun()))),
        Err(error) if error.status == StatusCode::PRECONDITION_FAILED.as_u16() => {
            let (object, etag) = load(&request, K::KIND, &name).await?;
            let theirs = Values::of_document(K::MEMBERS, &object.spec);
            let values = values.rebased(K::MEMBERS, &before, &theirs);
            let origin = Origin { before: Some(&theirs), is_changed: true };
            let answered = Answered::problem(&title, &error, K::MEMBERS, K::NAME.0);
            edit_form::<K>(&request, &values, origin, etag, answered)
        }
        Err(error) => {
            let answered = Answered::problem(&title, &error, K::MEMBERS, K::NAME.0);
            edit_form::<K>(&request, &values, origin, etag, answered)
        }
    }
}
