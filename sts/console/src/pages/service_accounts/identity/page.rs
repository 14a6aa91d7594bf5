//! The pages of a new identity and of one that exists.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;
use serde_json::{Map, Value};
use sts_api::{IssuerObject, Presets, Snippet, Workload, WrittenIdentity};

use super::admissions::{WhoGetsIn, who_gets_in};
use super::fields::{
    IdentityField, Typed, before, document, entries, fields, issuers, of_form, of_identity, pointers, preset_of,
    rebased, shown,
};
use crate::page_request::PageRequest;
use crate::pages::effect::EffectView;
use crate::pages::form_fields::Field;
use crate::pages::frame::{Frame, Section};
use crate::pages::object::{api_path, load};
use crate::pages::pieces::{ProblemView, segment};
use crate::pages::service_accounts::{KIND, path};
use crate::{ApiError, ApiRequest, Method, PageError};

#[derive(Debug, Template)]
#[template(path = "identity.html")]
struct IdentityPage {
    frame: Frame,
    title: String,
    account: String,
    account_path: String,
    /// The path of the identity's page. `None` for a new one.
    path: Option<String>,
    is_editable: bool,
    issuers: Vec<String>,
    /// What the field of the issuer has. Several entries are a list in JSON.
    issuer: String,
    /// The entries as people read them.
    issuer_label: String,
    issuer_before: Option<String>,
    platform: Option<String>,
    fields: Vec<Field>,
    folded: Vec<Field>,
    etag: String,
    problem: Option<ProblemView>,
    effect: Option<EffectView>,
    who: Option<WhoGetsIn>,
    snippet: Option<Snippet>,
}

impl IdentityPage {
    fn title(&self) -> &str {
        &self.title
    }

    /// Whether the identity has an issuer that is no option. A browser would send the first option in its place.
    fn has_other_issuer(&self) -> bool {
        !self.issuer.is_empty() && !self.issuers.contains(&self.issuer)
    }
}

/// What the pages know before anything was typed.
struct Context {
    account: String,
    /// The identity of the path. `None` for a new one.
    name: Option<String>,
    presets: Presets,
}

impl Context {
    async fn of(request: &PageRequest) -> Result<Self, PageError> {
        let name = request.parameter("identity");
        let presets = request.get("/presets").await?;
        Ok(Self { account: request.parameter("name"), name: (!name.is_empty()).then_some(name), presets })
    }

    /// The fields of an identity whose field of the issuer has `issuer`.
    fn fields(&self, issuer: &str) -> Vec<IdentityField> {
        fields(preset_of(&self.presets, &first_entry(issuer)))
    }

    fn all(&self) -> String {
        format!("{}/identities", api_path(KIND, &self.account))
    }

    fn one(&self, name: &str) -> String {
        format!("{}/{}", self.all(), segment(name))
    }
}

/// What a page shows of an identity.
#[derive(Default)]
struct Shown {
    status: StatusCode,
    typed: Typed,
    /// What the identity had, and whether somebody else made it so while the form was open.
    before: Option<(Typed, bool)>,
    /// The whole document, to be tried and to be told to workloads.
    identity: Map<String, Value>,
    etag: String,
    is_editable: bool,
    problem: Option<ProblemView>,
    effect: Option<EffectView>,
    is_tried: bool,
}

/// `GET` of the form for a new identity.
pub(in super::super) async fn show_new(request: PageRequest) -> Result<HttpResponse, PageError> {
    request.require_admin()?;
    let context = Context::of(&request).await?;
    let issuers = issuers(&context.presets);
    let mut typed = Typed::new();
    if let [only] = issuers.as_slice() {
        typed.insert("issuer".to_owned(), only.clone());
    }
    render(&request, &context, Shown { typed, is_editable: true, ..Shown::default() }).await
}

/// `POST` of the form for a new identity.
pub(in super::super) async fn create(request: PageRequest) -> Result<HttpResponse, PageError> {
    let (form, context) = (request.form()?, Context::of(&request).await?);
    let fields = context.fields(form.field("issuer"));
    let typed = of_form(&fields, &form, "");
    let identity = document(&fields, &typed, &Typed::new(), Map::new());
    let shown = Shown { typed, identity: identity.clone(), is_editable: true, ..Shown::default() };
    let send = |target| ApiRequest::new(Method::Post, target).with_body(&identity);
    match form.field("action") {
        "fields" => render(&request, &context, shown).await,
        "check" => render(&request, &context, Shown { is_tried: true, ..shown }).await,
        "effect" => {
            let tried = request.send(send(format!("{}?dry_run=true", context.all()))?).await;
            answer(&request, &context, shown, tried, &fields).await
        }
        _ => {
            let done = request.send(send(context.all())?).await;
            answer(&request, &context, shown, done, &fields).await
        }
    }
}

/// `GET` of an identity that exists.
pub(in super::super) async fn show(request: PageRequest) -> Result<HttpResponse, PageError> {
    let context = Context::of(&request).await?;
    let (identity, etag) = current(&request, &context).await?;
    let (account, _) = load(&request, KIND, &context.account).await?;
    let frame = request.frame(Section::ServiceAccounts);
    let is_editable = frame.may_edit() && account.source == sts_api::ObjectSource::Managed;
    let issuer = of_identity(&fields(None), &identity).remove("issuer").unwrap_or_default();
    let typed = of_identity(&context.fields(&issuer), &identity);
    let before = Some((typed.clone(), false));
    let shown = Shown { typed, before, identity, etag, is_editable, is_tried: true, ..Shown::default() };
    render(&request, &context, shown).await
}

async fn current(request: &PageRequest, context: &Context) -> Result<(Map<String, Value>, String), ApiError> {
    let name = context.name.as_deref().unwrap_or_default();
    let (identity, etag) = request.get_tagged(context.one(name)).await?;
    Ok((identity, etag.unwrap_or_default()))
}

/// The first issuer entry that the field of the issuer names. All of an identity are of one platform.
fn first_entry(typed: &str) -> String {
    entries(typed).into_iter().next().unwrap_or_default()
}

/// `POST` of a change of an identity.
pub(in super::super) async fn save(request: PageRequest) -> Result<HttpResponse, PageError> {
    let (form, context) = (request.form()?, Context::of(&request).await?);
    let fields = context.fields(form.field("issuer"));
    let (typed, old) = (of_form(&fields, &form, ""), before(&fields, &form));
    let (now, _) = current(&request, &context).await?;
    let issuer = form.field("issuer");
    let is_same_issuer = old.get("issuer").is_some_and(|old| old == issuer);
    let base = if is_same_issuer { now } else { without_other_rules(now, &context.presets, &first_entry(issuer)) };
    let identity = document(&fields, &typed, &old, base);
    let etag = form.field("etag").to_owned();
    let shown = Shown {
        typed,
        before: Some((old, false)),
        identity: identity.clone(),
        etag: etag.clone(),
        is_editable: true,
        ..Shown::default()
    };
    let target = context.one(context.name.as_deref().unwrap_or_default());
    let send =
        |target: String| Ok::<_, ApiError>(ApiRequest::new(Method::Put, target).with_body(&identity)?.if_match(&etag));
    match form.field("action") {
        "fields" => render(&request, &context, shown).await,
        "check" => render(&request, &context, Shown { is_tried: true, ..shown }).await,
        "effect" => {
            let tried = request.send(send(format!("{target}?dry_run=true"))?).await;
            answer(&request, &context, shown, tried, &fields).await
        }
        _ => {
            let done = request.send(send(target)?).await;
            answer(&request, &context, shown, done, &fields).await
        }
    }
}

/// An identity of another issuer has no use for the short rule of the one before.
fn without_other_rules(mut identity: Map<String, Value>, presets: &Presets, issuer: &str) -> Map<String, Value> {
    let own = preset_of(presets, issuer).and_then(|preset| preset.key.as_deref());
    let others = presets.presets.iter().filter_map(|preset| preset.key.as_deref()).filter(|key| Some(*key) != own);
    for key in others {
        identity.remove(key);
    }
    identity
}

/// The page after the API answered.
async fn answer(
    request: &PageRequest,
    context: &Context,
    shown: Shown,
    answered: Result<WrittenIdentity, ApiError>,
    fields: &[IdentityField],
) -> Result<HttpResponse, PageError> {
    let title = if context.name.is_some() { "The identity was not changed." } else { "The identity was not created." };
    match answered {
        Ok(WrittenIdentity::DryRun(dry_run)) => {
            let shown = Shown { effect: Some(EffectView::new(&dry_run)), is_tried: true, ..shown };
            render(request, context, shown).await
        }
        Ok(WrittenIdentity::Identity(_) | WrittenIdentity::Deleted(())) => {
            let name = shown.typed.get("name").map_or("", |name| name.trim());
            let page = format!("{}/identities/{}", path(&context.account), segment(name));
            let done = if context.name.is_some() { "Saved" } else { "Created" };
            Ok(request.done(&page, &format!("{done} the identity {name}.")))
        }
        Err(error) => {
            let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let problem = Some(ProblemView::new(title, &error.told, &pointers(fields, "")));
            let shown = Shown { status, problem, is_tried: error.status != 422, ..shown };
            if status != StatusCode::PRECONDITION_FAILED || context.name.is_none() {
                return render(request, context, shown).await;
            }
            let (identity, etag) = current(request, context).await?;
            let theirs = of_identity(fields, &identity);
            let old = shown.before.map(|(old, _)| old).unwrap_or_default();
            let typed = rebased(&shown.typed, &old, &theirs);
            let before = Some((theirs, true));
            render(request, context, Shown { typed, before, identity, etag, ..shown_rest(status, shown.problem) }).await
        }
    }
}

fn shown_rest(status: StatusCode, problem: Option<ProblemView>) -> Shown {
    Shown { status, problem, is_editable: true, is_tried: true, ..Shown::default() }
}

async fn render(request: &PageRequest, context: &Context, shown: Shown) -> Result<HttpResponse, PageError> {
    let issuer = shown.typed.get("issuer").cloned().unwrap_or_default();
    let first = first_entry(&issuer);
    let preset = preset_of(&context.presets, &first);
    let own = fields(preset);
    let places = pointers(&own, "/identity");
    let who = match shown.is_tried && !issuer.is_empty() {
        true => Some(who_gets_in(request, &context.account, &shown.identity, &places).await?),
        false => None,
    };
    let refused = who.as_ref().and_then(|who| who.problem.as_ref());
    let before = shown.before.as_ref().map(|(before, is_changed)| (before, *is_changed));
    let (fields, folded) = self::shown(&own, &shown.typed, before, shown.problem.as_ref().or(refused));
    let account_path = path(&context.account);
    let page = IdentityPage {
        title: context.name.clone().unwrap_or_else(|| "New identity".to_owned()),
        path: context.name.as_ref().map(|name| format!("{account_path}/identities/{}", segment(name))),
        is_editable: shown.is_editable,
        issuers: issuers(&context.presets),
        issuer_before: before.map(|(before, _)| before.get("issuer").cloned().unwrap_or_default()),
        platform: preset.map(|preset| preset.title.clone()),
        snippet: told(request, context, &shown.identity, &first).await?,
        frame: request.frame(Section::ServiceAccounts),
        account: context.account.clone(),
        account_path,
        issuer_label: entries(&issuer).join(", "),
        issuer,
        fields,
        folded,
        etag: shown.etag,
        problem: shown.problem,
        effect: shown.effect,
        who,
    };
    request.page_with(shown.status, &page)
}

/// The snippet for workloads, once there is an issuer.
async fn told(
    request: &PageRequest,
    context: &Context,
    identity: &Map<String, Value>,
    issuer: &str,
) -> Result<Option<Snippet>, ApiError> {
    if issuer.is_empty() || identity.is_empty() {
        return Ok(None);
    }
    let config: Map<String, Value> = request.get("/config").await?;
    let server = config.get("issuer").and_then(Value::as_str).unwrap_or_default().trim_end_matches('/');
    let entry = request.get::<IssuerObject>(format!("/issuers/{}", segment(issuer))).await;
    let entry = entry.ok().and_then(|entry| entry.object).map(|object| object.spec).unwrap_or_default();
    let first = |document: &Map<String, Value>| {
        let audience = document.get("audience")?;
        audience.as_str().or_else(|| audience.as_array()?.first()?.as_str()).map(str::to_owned)
    };
    let audience = first(identity).or_else(|| first(&entry)).unwrap_or_else(|| server.to_owned());
    let preset = preset_of(&context.presets, issuer);
    Ok(Some(Snippet::of(&Workload {
        preset: preset.map(|preset| preset.name.as_str()),
        server,
        account: &context.account,
        audience: &audience,
        environment: environment(identity),
        branch: None,
    })))
}

/// The environment that a job must run in, if the identity wants one.
fn environment(identity: &Map<String, Value>) -> Option<&str> {
    let environment = identity.get("github")?.get("environment")?.as_str()?;
    (!environment.contains(['*', '?', '\\'])).then_some(environment)
}
