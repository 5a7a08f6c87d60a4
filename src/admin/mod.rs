//! The admin listener: health and metrics for machines, pages for people.
//!
//! Pages are HTML made here, one stylesheet, one script, all compiled in; they work without network, without the
//! script (but for what is live), and on paper. Who wants to see one needs a session or a bearer token; what changes
//! something needs an operator, a POST and the session's form token. No page, log line or record holds what an
//! operator pastes into "Try it" beyond the answer to that very request.

mod alerts;
pub mod answer;
mod audit;
mod doors;
mod flow;
mod form;
mod health;
mod persons;
mod policy;
mod runtime;
mod shell;
mod treatment;
mod try_it;
mod why;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::ACCEPT;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::engine::event::{Control, Event, Kind};
use crate::observe::trail::{self, Trail};
use crate::proxy::carrier::Carrier;

use answer::Answer;
use doors::{Closed, Doors, Visitor};
use form::Form;
use shell::Frame;

/// Most connections at a time.
const CONNECTIONS_MAX: usize = 256;
/// Largest form, bytes.
const FORM_BYTES_MAX: usize = 1 << 20;
/// Longest wait for a form.
const FORM_WAIT: Duration = Duration::from_secs(10);
/// How often the audit folder is looked at.
const FOLLOW: Duration = Duration::from_millis(250);

/// What the pages stand on.
#[derive(Debug)]
struct Pages {
    carrier: Arc<Carrier>,
    doors: Doors,
    trail: Arc<Trail>,
    began: Instant,
    /// What was worked out of a policy.
    shelf: policy::Shelf,
    /// Live tails that may still be opened.
    tails: Arc<Semaphore>,
}

/// Serves until dropped. Without a token in `admin` there are health and metrics, and no pages.
pub async fn serve(listener: TcpListener, carrier: Arc<Carrier>) {
    let port = listener.local_addr().map_or(0, |a| a.port());
    let pages = Doors::new(&carrier.settings.admin, port).map(|doors| {
        Arc::new(Pages {
            carrier: Arc::clone(&carrier),
            doors,
            trail: Arc::default(),
            began: Instant::now(),
            shelf: policy::Shelf::default(),
            tails: Arc::new(Semaphore::new(audit::TAILS_MAX)),
        })
    });
    let follower = pages
        .as_ref()
        .map(|pages| tokio::spawn(follow(Arc::clone(pages))));
    // Ends with this function's future.
    let _follower = follower.map(AbortOnDrop);
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        let Ok((tcp, peer)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (carrier, pages) = (Arc::clone(&carrier), pages.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let (carrier, pages) = (Arc::clone(&carrier), pages.clone());
                async move { Ok::<_, Infallible>(handle(&carrier, pages, peer, request).await) }
            });
            // An operator's tool that breaks off is no event.
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(30))
                .max_buf_size(16 << 10)
                .serve_connection(TokioIo::new(tcp), service)
                .await;
            drop(place);
        });
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Fills the trail and keeps it filled; works out the matrix of a new policy before somebody asks for it.
async fn follow(pages: Arc<Pages>) {
    let mut follower = None;
    let mut warmed: Option<Arc<str>> = None;
    let mut ticks = tokio::time::interval(FOLLOW);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut told = false;
    loop {
        ticks.tick().await;
        let live = pages.carrier.live.current();
        let version = Some(Arc::clone(live.version()));
        let cold = std::mem::replace(&mut warmed, version.clone()) != version;
        let own = Arc::clone(&pages);
        let from: Option<trail::Follower> = follower.take();
        let read = tokio::task::spawn_blocking(move || {
            if cold {
                own.shelf.warm(&live);
            }
            match from {
                None => trail::refill(&own.trail, &own.carrier.settings.audit_directory)
                    .map(|f| (f, None)),
                Some(mut f) => {
                    let failed = f.catch_up(&own.trail).err();
                    Ok((f, failed))
                }
            }
        })
        .await;
        let error = match read {
            Ok(Ok((f, failed))) => {
                follower = Some(f);
                failed
            }
            Ok(Err(error)) => Some(error),
            Err(_) => return,
        };
        if let Some(error) = error
            && !std::mem::replace(&mut told, true)
        {
            tracing::warn!(%error, "the admin pages cannot read the audit log");
        }
    }
}

async fn handle(
    carrier: &Carrier,
    pages: Option<Arc<Pages>>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Answer {
    if let Some(answer) = health::answer(carrier, request.method(), request.uri()) {
        return answer;
    }
    match pages {
        Some(pages) => pages.answer(peer, request).await,
        None => answer::text(
            StatusCode::NOT_FOUND,
            "not found (the pages need admin.token in privet.yaml)\n",
        ),
    }
}

impl Pages {
    async fn answer(self: Arc<Self>, peer: SocketAddr, request: Request<Incoming>) -> Answer {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        let query = Form::read(parts.uri.query().unwrap_or_default().as_bytes());
        let reads = matches!(parts.method, Method::GET | Method::HEAD);
        if !reads && parts.method != Method::POST {
            return answer::method_not_allowed();
        }
        if reads {
            match path {
                "/assets/privet.css" => {
                    return answer::asset(
                        "text/css; charset=utf-8",
                        include_str!("assets/privet.css"),
                    );
                }
                "/assets/privet.js" => {
                    return answer::asset(
                        "text/javascript; charset=utf-8",
                        include_str!("assets/privet.js"),
                    );
                }
                "/assets/icon.svg" => {
                    return answer::asset("image/svg+xml", include_str!("assets/icon.svg"));
                }
                "/login" => {
                    let page = shell::login(safe_path(query.get("next")), None);
                    return answer::page(StatusCode::OK, page);
                }
                _ => {}
            }
        } else if !doors::is_own_form(&parts.headers) {
            return answer::text(
                StatusCode::FORBIDDEN,
                "this form does not come from these pages\n",
            );
        }
        let form = if reads {
            Form::default()
        } else {
            match read_form(body).await {
                Some(form) => form,
                None => {
                    return answer::text(StatusCode::PAYLOAD_TOO_LARGE, "too big or too slow\n");
                }
            }
        };
        if !reads && path == "/login" {
            return self.login(peer, &form).await;
        }
        let Some(visitor) = self.doors.visitor(&parts.headers) else {
            let accepts = parts.headers.get(ACCEPT).and_then(|v| v.to_str().ok());
            // A tool gets its 401, a person the page to sign in.
            if reads && accepts.is_some_and(|a| a.contains("text/html")) {
                let to = parts.uri.path_and_query().map_or("/", |p| p.as_str());
                return answer::see_other(&format!("/login?next={}", form::encode(to)));
            }
            return answer::text(StatusCode::UNAUTHORIZED, "sign in at /login\n");
        };
        if !reads && !visitor.sent(Some(form.get("form_token"))) {
            return answer::text(
                StatusCode::FORBIDDEN,
                "this form is not of your session: load the page again\n",
            );
        }
        match (reads, path) {
            (true, "/") => answer::see_other("/flow"),
            (true, "/flow") => flow::page(&self, &visitor, &query),
            (true, "/policy") => work(move || policy::page(&self, &visitor, &query)).await,
            (true, "/policy.csv") => work(move || policy::csv(&self, &query)).await,
            (true, "/policy/diff") => work(move || policy::diff(&self, &visitor)).await,
            (true, "/why") => work(move || why::page(&self, &visitor, &query)).await,
            (true, "/try") => work(move || try_it::page(&self, &visitor, &query)).await,
            (false, "/try") => work(move || try_it::page(&self, &visitor, &form)).await,
            (true, "/audit") => audit::page(&self, &visitor, &query),
            (true, "/audit/tail") => audit::tail(&self, &visitor, &query),
            (true, "/alerts") => alerts::page(&self, &visitor, &query, None),
            (false, "/alerts/lift") => alerts::lift(&self, &visitor, &form).await,
            (true, "/persons") => persons::page(&self, &visitor),
            (false, "/persons") => persons::answer(self, visitor, form).await,
            (true, "/runtime") => runtime::page(&self, &visitor, None),
            (false, "/reload") => runtime::reload(&self, &visitor).await,
            (false, "/logout") => {
                let cookie = self.doors.leave(&parts.headers);
                answer::with_cookie(answer::see_other("/login"), &cookie)
            }
            (true, _) => self.framed(
                StatusCode::NOT_FOUND,
                "Not found",
                "",
                &visitor,
                &maud::html! { h1 { "Not found" } p { "There is no such page." } },
            ),
            (false, _) => answer::text(StatusCode::NOT_FOUND, "not found\n"),
        }
    }

    /// Opens a session for a token, and records that.
    async fn login(&self, peer: SocketAddr, form: &Form) -> Answer {
        let next = safe_path(form.get("next"));
        let role = match self.doors.role(form.get("token")) {
            Ok(role) => role,
            Err(closed) => {
                let (status, problem) = match closed {
                    Closed::Wrong => (StatusCode::FORBIDDEN, "This is no token of this privet."),
                    Closed::TooMany => (
                        StatusCode::TOO_MANY_REQUESTS,
                        "Too many wrong tokens. Try again in a minute.",
                    ),
                };
                // The ones beyond the bound are all alike, and would only fill the log.
                if closed == Closed::Wrong {
                    let detail = format!("from {}", peer.ip());
                    if !self.record("admin-login-refused", detail).await {
                        return cannot_record();
                    }
                }
                return answer::page(status, shell::login(next, Some(problem)));
            }
        };
        let detail = format!("{} from {}", role.word(), peer.ip());
        if !self.record("admin-login", detail).await {
            return cannot_record();
        }
        match self.doors.admit(role) {
            Some(cookie) => answer::with_cookie(answer::see_other(next), &cookie),
            None => answer::text(StatusCode::INTERNAL_SERVER_ERROR, "no randomness\n"),
        }
    }

    /// Whether the audit log has taken the control event.
    async fn record(&self, what: &'static str, detail: String) -> bool {
        let event = Event {
            kind: Kind::Control,
            time: format!("{:.3}", jiff::Timestamp::now()),
            request_id: "".into(),
            correlation_id: None,
            who: None,
            what: None,
            outcome: None,
            control: Some(Control {
                what,
                policy: Arc::clone(self.carrier.live.current().version()),
                detail: Some(detail),
            }),
            alert: None,
        };
        self.carrier.log().control(event).await.is_ok()
    }

    /// A page in its frame.
    fn framed(
        &self,
        status: StatusCode,
        title: &str,
        path: &str,
        visitor: &Visitor,
        content: &maud::Markup,
    ) -> Answer {
        let policy = Arc::clone(self.carrier.live.current().version());
        let frame = Frame {
            title,
            path,
            visitor,
            policy: &policy,
            stale: !self.carrier.live.stale_because().is_empty(),
        };
        answer::page(status, shell::page(&frame, content))
    }
}

/// Runs what takes a while beside the listener's tasks.
async fn work(page: impl FnOnce() -> Answer + Send + 'static) -> Answer {
    tokio::task::spawn_blocking(page)
        .await
        .unwrap_or_else(|_| answer::text(StatusCode::INTERNAL_SERVER_ERROR, "internal error\n"))
}

fn cannot_record() -> Answer {
    answer::text(
        StatusCode::SERVICE_UNAVAILABLE,
        "the audit log cannot record, so nothing was done\n",
    )
}

async fn read_form(body: Incoming) -> Option<Form> {
    let whole = Limited::new(body, FORM_BYTES_MAX).collect();
    let whole: Bytes = tokio::time::timeout(FORM_WAIT, whole)
        .await
        .ok()?
        .ok()?
        .to_bytes();
    Some(Form::read(&whole))
}

/// `path` if it leads to this listener and nowhere else.
fn safe_path(path: &str) -> &str {
    let plain = path.starts_with('/')
        && !path.starts_with("//")
        && path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if plain { path } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_to_a_page_of_its_own() {
        for good in ["/", "/audit?kind=all&caller=x"] {
            assert_eq!(safe_path(good), good);
        }
        for bad in [
            "",
            "//evil.example",
            "/\\evil",
            "https://evil",
            "/a b",
            "/\r\nx",
        ] {
            assert_eq!(safe_path(bad), "/");
        }
    }
}
