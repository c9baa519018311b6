//! The branch page: a site's branches in the browser.
//!
//! A request comes from [`forkpress_server::front`]. [`guard`] decides whether its client may see the page, [`route`] what it
//! asks for; `views` make HTML of what the [`backstage`] knows. An [`action`] is a form that becomes a command, which runs as a
//! job. So the page can do nothing that the command line can't, and says the same words.
#![forbid(unsafe_code)]

pub mod action;
pub mod address;
mod assets;
pub mod backstage;
mod body;
mod export;
pub mod facts;
pub mod form;
pub mod guard;
pub mod hub;
mod live;
pub mod merge_form;
mod merging;
mod reply;
pub mod route;
pub mod session;
mod tree;
mod views;
pub mod watch;
pub mod word_diff;
mod worked;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use forkpress_core::name::BranchName;
use forkpress_core::token::Token;
use forkpress_engine::jobs::JobId;
use forkpress_server::front::page::{Answering, Asked, Asker, Broken, Page, Perhaps, Who};
use forkpress_server::scheme::Scheme;
use hyper::header::{COOKIE, HOST};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use tokio::task::spawn_blocking;

use action::Action;
use address::Address;
use backstage::{Backstage, Failed};
use body::Form;
use form::Fields;
use guard::May;
use hub::{Hub, Render, Seat};
use live::Fragment;
use reply::Reply;
use route::Place;
use session::{Kind, Session};
use views::frame::Visitor;
use views::{act, branch, log, now, overview, refused, sign_in};
use watch::Watched;
use worked::Worked;

/// The branch page of a site.
pub struct BranchPage(Arc<Inner>);

struct Inner {
    backstage: Box<dyn Backstage>,
    root_host: String,
    /// Where files wait that come with a form.
    folder: PathBuf,
    /// What sessions are proven with, and what a stranger signs in with.
    secret: Token,
    /// Those who look at the page while it changes.
    hub: Arc<Hub>,
    /// When pages of branches worked last.
    worked: Worked,
}

impl fmt::Debug for BranchPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BranchPage").field("root_host", &self.0.root_host).finish_non_exhaustive()
    }
}

impl BranchPage {
    /// Of a site whose branch main is at a host, and which has this token. A file that comes with a form waits in `folder`.
    #[must_use]
    pub fn new(backstage: Box<dyn Backstage>, root_host: &str, folder: PathBuf, secret: Token) -> Self {
        let hub = Arc::new(Hub::default());
        backstage.tell(hub.bell());
        Self(Arc::new(Inner {
            backstage,
            root_host: root_host.to_owned(),
            folder,
            secret,
            hub,
            worked: Worked::default(),
        }))
    }

    /// Ends what is told to those who look on, so that their connections end. Nobody is told anything afterwards.
    pub fn end(&self) {
        self.0.hub.end();
    }
}

impl Page for BranchPage {
    fn answer(&self, mut asked: Asked) -> Answering<'_> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let head = Arc::clone(&asked.asker.head);
            let at = inner.address(&head);
            // Who may not act leaves no file here.
            let is_awaited = match body::may_have_file(&asked.asker) {
                true => {
                    let (inner, asker, at) = (Arc::clone(&inner), asked.asker.clone(), at.clone());
                    spawn_blocking(move || inner.may_act(&asker, &at)).await.unwrap_or(false)
                }
                false => false,
            };
            let form = match body::take(&mut asked, is_awaited.then_some(&inner.folder)).await {
                Ok(form) => form,
                Err(why) => return reply::refused(StatusCode::BAD_REQUEST, why, &at),
            };
            let is_head = head.method == Method::HEAD;
            // It asks the system and reads files.
            let answered = spawn_blocking(move || inner.answer(&asked.asker, form, &at)).await;
            let mut reply = answered.unwrap_or_else(|_| {
                forkpress_server::answer::refusal(StatusCode::INTERNAL_SERVER_ERROR, "The branch page failed")
            });
            if is_head {
                *reply.body_mut() = forkpress_server::answer::AnswerBody::Empty;
            }
            reply
        })
    }

    fn worked(&self, branch: &BranchName, path: &str, began: SystemTime) {
        self.0.worked.note(branch, path, began);
    }

    fn broken(&self, broken: Broken) -> Perhaps<'_> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { spawn_blocking(move || inner.broken(&broken)).await.ok().flatten() })
    }
}

impl Inner {
    /// What the person who runs the server sees of a page that failed. Whoever has signed in at the page's host is not known at
    /// a branch's: the cookie is the page's own.
    fn broken(&self, broken: &Broken) -> Option<Reply> {
        let Broken { asker, branch, status } = broken;
        (asker.who(&self.root_host) == Who::Owner).then_some(())?;
        let detail = self.backstage.detail(branch).ok()?;
        let path = asker.head.uri.path();
        let worked = self.worked.last(branch, path);
        let suspects = self.backstage.suspects(branch, worked);
        let failure = views::broken::Failure { status: *status, path, worked, suspects: &suspects };
        let page = views::broken::page(&detail, &failure, &self.address(&asker.head));
        Some(reply::of_branch(*status, page, branch))
    }
}

/// A request that may see the page.
struct Visit<'a> {
    at: &'a Address,
    query: Fields,
    visitor: Visitor,
}

impl Inner {
    fn address(&self, head: &Parts) -> Address {
        let host = head.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        Address::of(Scheme::of(head).as_str(), host, &self.root_host)
    }

    fn answer(self: &Arc<Self>, asker: &Asker, form: Form, at: &Address) -> Reply {
        let head = &asker.head;
        let is_reading = matches!(head.method, Method::GET | Method::HEAD);
        let place = Place::of(head.uri.path());
        if let Some(Place::Asset(name)) = &place
            && is_reading
        {
            return assets::reply(name, at)
                .unwrap_or_else(|| reply::refused(StatusCode::NOT_FOUND, "There is no such file", at));
        }
        if let Some(why) = guard::foreign(&head.method, &head.headers, &at.origin()) {
            return reply::refused(StatusCode::FORBIDDEN, why, at);
        }
        let session = self.session(asker);
        let why = match guard::may(&asker.who(&self.root_host), session.as_ref()) {
            May::Nothing(why) => return reply::refused(StatusCode::FORBIDDEN, why, at),
            May::SignIn(why) => Some(why),
            May::All => None,
        };
        if place == Some(Place::SignIn) || why.is_some() {
            return self.sign_in(asker, &place, &form, why.as_deref(), at);
        }
        let (session, is_new) = match session {
            Some(session) => (session, false),
            None => match Session::begin(Kind::Visit, SystemTime::now()) {
                Ok(session) => (session, true),
                Err(_) => return reply::refused(StatusCode::INTERNAL_SERVER_ERROR, "The system has no randomness", at),
            },
        };
        let visitor = Visitor { token: session.token(&self.secret), is_signed_in: session.kind == Kind::SignedIn };
        let visit = Visit { at, query: Fields::parse(head.uri.query().unwrap_or_default().as_bytes()), visitor };
        let mut reply = match place {
            None => visit.html(StatusCode::NOT_FOUND, refused::nothing_here(&visit.visitor)),
            Some(place) if is_reading && place.is_shown() => self.show(&place, &visit),
            Some(place) if head.method == Method::POST && place.takes_forms() => {
                match guard::unproven((!is_new).then_some(&session), form.fields.get("token"), &self.secret) {
                    Some(why) => reply::refused(StatusCode::FORBIDDEN, why, at),
                    None => self.act(&place, &visit, form),
                }
            }
            Some(place) => reply::not_allowed(if place.takes_forms() { "GET, HEAD, POST" } else { "GET, HEAD" }, at),
        };
        if is_new {
            self.keep(&mut reply, &session.cookie(&self.secret, || asker.origin()), at);
        }
        reply
    }

    /// Whether a request comes from the page itself, sent by somebody who may act.
    fn may_act(&self, asker: &Asker, at: &Address) -> bool {
        let Parts { method, headers, .. } = &*asker.head;
        guard::foreign(method, headers, &at.origin()).is_none()
            && guard::may(&asker.who(&self.root_host), self.session(asker).as_ref()) == May::All
    }

    fn keep(&self, reply: &mut Reply, cookie: &str, at: &Address) {
        reply::set_cookie(reply, &session::cookie_name(&self.secret), cookie, at.is_https());
    }

    /// The session that a request proves. Of several cookies of the name, which anybody may have planted, the first that does.
    fn session(&self, asker: &Asker) -> Option<Session> {
        let headers = &asker.head.headers;
        let (name, now) = (session::cookie_name(&self.secret), SystemTime::now());
        let cookies = headers.get_all(COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
        let pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let mut sessions = pairs.filter(|(known, _)| *known == name);
        sessions.find_map(|(_, cookie)| Session::read(cookie, &self.secret, now, || asker.origin()))
    }

    /// Has a stranger sign in; also whoever asks to, though there is no need.
    fn sign_in(&self, asker: &Asker, place: &Option<Place>, form: &Form, why: Option<&str>, at: &Address) -> Reply {
        let why = why.unwrap_or("you are known already, and need not");
        let is_form = asker.head.method == Method::POST;
        if is_form && *place == Some(Place::SignIn) {
            let is_right = form.fields.get("secret").is_some_and(|secret| self.secret.matches(secret.as_bytes()));
            let session = is_right.then(|| Session::begin(Kind::SignedIn, SystemTime::now())).and_then(Result::ok);
            let Some(session) = session else {
                let page = sign_in::page(why, Some("This is not the site's token."));
                return reply::html(StatusCode::FORBIDDEN, page, at);
            };
            let mut reply = reply::see_other("/", at);
            self.keep(&mut reply, &session.cookie(&self.secret, || asker.origin()), at);
            return reply;
        }
        if is_form {
            return reply::refused(StatusCode::FORBIDDEN, &sign_in::in_words(why), at);
        }
        let status = if *place == Some(Place::SignIn) { StatusCode::OK } else { StatusCode::FORBIDDEN };
        reply::html(status, sign_in::page(why, None), at)
    }

    fn show(self: &Arc<Self>, place: &Place, visit: &Visit<'_>) -> Reply {
        let shown = match place {
            Place::Overview => self.overview(&visit.query, visit.at).map(|shown| overview::page(shown, &visit.visitor)),
            Place::Log => self.backstage.operations().map(|log| log::page(&log, &visit.query, &visit.visitor)),
            Place::Now => self.backstage.sample().map(|sample| now::page(&sample, visit.at, &visit.visitor)),
            Place::Live => return self.live(visit),
            Place::Branch(name) => {
                self.backstage.detail(name).map(|detail| branch::page(&detail, visit.at, &visit.visitor))
            }
            Place::Mail(name, id) => {
                self.backstage.mail(name, *id).map(|mail| branch::mail(name, &mail, &visit.visitor))
            }
            Place::Jobs => self.backstage.jobs().map(|jobs| views::jobs::list(&jobs, &visit.visitor)),
            Place::Job(id) => self.backstage.job(*id).map(|told| views::jobs::page(&told, &visit.visitor)),
            Place::JobFile(id) => {
                return self.file(*id, visit.at).unwrap_or_else(|failed| self.failed(&failed, visit));
            }
            Place::Do(action) => return self.form(*action, &visit.query, visit, &[], None),
            Place::Changes(name) => {
                return self.changes(name, visit).unwrap_or_else(|failed| self.failed(&failed, visit));
            }
            Place::Merge => return self.show_merge(visit).unwrap_or_else(|failed| self.failed(&failed, visit)),
            _ => return visit.html(StatusCode::NOT_FOUND, refused::nothing_here(&visit.visitor)),
        };
        match shown {
            Ok(page) => visit.html(StatusCode::OK, page),
            Err(failed) => self.failed(&failed, visit),
        }
    }

    fn overview(&self, query: &Fields, at: &Address) -> Result<overview::Shown, Failed> {
        let shown = overview::Shown::of(&self.backstage.overview()?, query, at);
        self.backstage.find_out(shown.names.clone());
        Ok(shown)
    }

    /// Tells what changes at a place, until the browser has enough of it or the server ends.
    fn live(self: &Arc<Self>, visit: &Visit<'_>) -> Reply {
        match hub::seat(&visit.query, visit.at) {
            Some(seat) => {
                let render: Weak<dyn Render> = Arc::downgrade(&(Arc::clone(self) as Arc<dyn Render>));
                live::reply(self.hub.look(seat, render), visit.at)
            }
            None => reply::refused(StatusCode::BAD_REQUEST, "There is no such place to tell of", visit.at),
        }
    }

    fn failed(&self, failed: &Failed, visit: &Visit<'_>) -> Reply {
        match failed.is_missing {
            true => visit.html(StatusCode::NOT_FOUND, refused::nothing_here(&visit.visitor)),
            false => visit.html(StatusCode::INTERNAL_SERVER_ERROR, refused::failed(failed, &visit.visitor)),
        }
    }

    /// The file that a job has made.
    fn file(&self, id: JobId, at: &Address) -> Result<Reply, Failed> {
        let job = self.backstage.job(id)?.job;
        let missing = || Failed { is_missing: true, ..Failed::default() };
        let name = export::file_name(&job).ok_or_else(missing)?;
        reply::download(self.backstage.made(id)?, &name, at).map_err(|_| missing())
    }

    fn act(&self, place: &Place, visit: &Visit<'_>, form: Form) -> Reply {
        match place {
            Place::SignOut => {
                let mut reply = reply::see_other("/", visit.at);
                self.keep(&mut reply, "", visit.at);
                reply
            }
            Place::Do(action) => match action.order(&form.fields, form.file) {
                Err(problems) => self.form(*action, &form.fields, visit, &problems, None),
                Ok(order) => match self.backstage.start(order) {
                    Ok(job) => reply::see_other(&format!("/jobs/{job}"), visit.at),
                    Err(failed) => self.form(*action, &form.fields, visit, &[], Some(&failed)),
                },
            },
            Place::Job(id) => match self.backstage.cancel(*id) {
                Ok(()) => reply::see_other(&format!("/jobs/{id}"), visit.at),
                Err(failed) => self.failed(&failed, visit),
            },
            Place::Merge => self.merge(&form.fields, visit).unwrap_or_else(|failed| self.failed(&failed, visit)),
            _ => reply::not_allowed("GET, HEAD", visit.at),
        }
    }

    fn form(
        &self,
        action: Action,
        fields: &Fields,
        visit: &Visit<'_>,
        problems: &[action::Problem],
        failed: Option<&Failed>,
    ) -> Reply {
        let names = match self.backstage.names() {
            Ok(names) => names,
            Err(failed) => return self.failed(&failed, visit),
        };
        let is_refused = !problems.is_empty() || failed.is_some();
        let status = if is_refused { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        let form = act::Form { action, fields, names: &names, problems, failed };
        visit.html(status, form.page(&visit.visitor))
    }
}

impl Render for Inner {
    fn fragments(&self, seat: &Seat) -> Vec<Fragment> {
        let rendered = match &seat.place {
            Place::Overview => self.overview(&seat.query, &seat.at).map(|shown| shown.regions),
            Place::Log => self.backstage.operations().map(|log| vec![log::region(&log, &seat.query)]),
            Place::Now => self.backstage.sample().map(|sample| vec![now::region(&sample, &seat.at)]),
            Place::Branch(name) => self.backstage.detail(name).map(|detail| vec![branch::region(&detail)]),
            Place::Jobs => self.backstage.jobs().map(|jobs| vec![views::jobs::list_region(&jobs)]),
            Place::Job(id) => self.backstage.job(*id).map(|told| vec![views::jobs::region(&told)]),
            _ => Ok(Vec::new()),
        };
        rendered.unwrap_or_else(|failed| {
            tracing::debug!("a place can't be told: {failed:?}");
            Vec::new()
        })
    }

    fn watched(&self) -> Vec<Watched> {
        self.backstage.watched()
    }
}

impl Visit<'_> {
    fn html(&self, status: StatusCode, page: maud::Markup) -> Reply {
        reply::html(status, page, self.at)
    }
}

/// The secret of a site's branch page, made where there is none.
///
/// # Errors
/// Where its file can be neither read nor made.
pub fn secret(cow: &forkpress_core::layout::CowLayout) -> io::Result<Token> {
    Token::load_or_create(&cow.page_token())
}
