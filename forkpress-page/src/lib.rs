//! The branch page: a site's branches in the browser.
//!
//! A request comes from [`forkpress_server::front`]. [`guard`] decides whether its client may see the page, [`route`] what it
//! asks for; [`views`] make HTML of what the [`backstage`] knows. An [`action`] is a form that becomes a command, which runs as a
//! job. So the page can do nothing that the command line can't, and says the same words.
#![forbid(unsafe_code)]

pub mod action;
pub mod address;
mod assets;
pub mod backstage;
mod body;
mod export;
pub mod form;
pub mod guard;
pub mod merge_form;
mod merging;
mod reply;
pub mod route;
pub mod session;
mod views;
pub mod word_diff;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use forkpress_core::token::Token;
use forkpress_engine::jobs::JobId;
use forkpress_server::front::page::{Answering, Asked, Page};
use forkpress_server::scheme::Scheme;
use hyper::header::{COOKIE, HOST, HeaderMap};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use tokio::task::spawn_blocking;

use action::Action;
use address::Address;
use backstage::{Backstage, Failed};
use body::Form;
use form::Fields;
use guard::May;
use reply::Reply;
use route::Place;
use session::{Kind, Session};
use views::frame::Visitor;
use views::{act, branch, overview, refused, sign_in};

/// The branch page of a site.
pub struct BranchPage(Arc<Inner>);

struct Inner {
    backstage: Box<dyn Backstage>,
    root_host: String,
    /// What sessions are proven with, and what a stranger signs in with.
    secret: Token,
}

impl fmt::Debug for BranchPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BranchPage").field("root_host", &self.0.root_host).finish_non_exhaustive()
    }
}

impl BranchPage {
    /// Of a site whose branch main is at a host, and which has this token.
    #[must_use]
    pub fn new(backstage: Box<dyn Backstage>, root_host: &str, secret: Token) -> Self {
        Self(Arc::new(Inner { backstage, root_host: root_host.to_owned(), secret }))
    }
}

impl Page for BranchPage {
    fn answer(&self, mut asked: Asked) -> Answering<'_> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let head = Arc::clone(&asked.head);
            let at = inner.address(&head);
            let form = match body::take(&mut asked).await {
                Ok(form) => form,
                Err(why) => return reply::refused(StatusCode::BAD_REQUEST, why, &at),
            };
            let is_head = head.method == Method::HEAD;
            // It asks the system and reads files.
            let answered = spawn_blocking(move || inner.answer(&asked, form, &at)).await;
            let mut reply = answered.unwrap_or_else(|_| {
                forkpress_server::answer::refusal(StatusCode::INTERNAL_SERVER_ERROR, "The branch page failed")
            });
            if is_head {
                *reply.body_mut() = forkpress_server::answer::AnswerBody::Empty;
            }
            reply
        })
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

    fn answer(&self, asked: &Asked, form: Form, at: &Address) -> Reply {
        let head = &asked.head;
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
        let session = self.session(&head.headers);
        let why = match guard::may(&asked.who(&self.root_host), session.as_ref()) {
            May::Nothing(why) => return reply::refused(StatusCode::FORBIDDEN, why, at),
            May::SignIn(why) => Some(why),
            May::All => None,
        };
        if place == Some(Place::SignIn) || why.is_some() {
            return self.sign_in(head, &place, &form, why.as_deref(), at);
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
            self.keep(&mut reply, &session.cookie(&self.secret), at);
        }
        reply
    }

    fn keep(&self, reply: &mut Reply, cookie: &str, at: &Address) {
        reply::set_cookie(reply, &session::cookie_name(&self.secret), cookie, at.is_https());
    }

    /// The session that a request proves. Of several cookies of the name, which anybody may have planted, the first that does.
    fn session(&self, headers: &HeaderMap) -> Option<Session> {
        let (name, now) = (session::cookie_name(&self.secret), SystemTime::now());
        let cookies = headers.get_all(COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
        let pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let mut sessions = pairs.filter(|(known, _)| *known == name);
        sessions.find_map(|(_, cookie)| Session::read(cookie, &self.secret, now))
    }

    /// Has a stranger sign in; also whoever asks to, though there is no need.
    fn sign_in(&self, head: &Parts, place: &Option<Place>, form: &Form, why: Option<&str>, at: &Address) -> Reply {
        let why = why.unwrap_or("you are known already, and need not");
        let is_form = head.method == Method::POST;
        if is_form && *place == Some(Place::SignIn) {
            let is_right = form.fields.get("secret").is_some_and(|secret| self.secret.matches(secret.as_bytes()));
            let session = is_right.then(|| Session::begin(Kind::SignedIn, SystemTime::now())).and_then(Result::ok);
            let Some(session) = session else {
                let page = sign_in::page(why, Some("This is not the site's token."));
                return reply::html(StatusCode::FORBIDDEN, page, at);
            };
            let mut reply = reply::see_other("/", at);
            self.keep(&mut reply, &session.cookie(&self.secret), at);
            return reply;
        }
        if is_form {
            return reply::refused(StatusCode::FORBIDDEN, &sign_in::in_words(why), at);
        }
        let status = if *place == Some(Place::SignIn) { StatusCode::OK } else { StatusCode::FORBIDDEN };
        reply::html(status, sign_in::page(why, None), at)
    }

    fn show(&self, place: &Place, visit: &Visit<'_>) -> Reply {
        let shown = match place {
            Place::Overview => self.backstage.names().map(|names| overview::page(&names, visit.at, &visit.visitor)),
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
            Place::Do(action) => match action.order(&form.fields, None) {
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
