//! Try it: a pasted or invented record through the live policy, before and after, with a reason for each field.
//!
//! What is pasted is answered and forgotten: it is not logged, recorded or kept. Tokens are made with a key that lives
//! as long as the answer, or the page would turn guessed values into the tokens that callers hold.

use std::sync::Arc;

use http::StatusCode;
use maud::{Markup, html};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::Value;

use super::Pages;
use super::answer::Answer;
use super::doors::Visitor;
use super::form::Form;
use super::shell::form_token;
use super::treatment::{self, Look};
use super::why::explanation;
use crate::engine::identity::{Identity, Proof};
use crate::engine::plan::Said;
use crate::engine::protocol::Action;
use crate::engine::token::KeyRing;
use crate::engine::workbench::trial::{self, Tried, Untreated};
use crate::proxy::snapshot::Live;

/// What the form asks.
struct Asked<'f> {
    object: &'f str,
    client: &'f str,
    purpose: &'f str,
    region: &'f str,
    roles: Vec<&'f str>,
    mfa: bool,
    json: String,
}

/// The page, and the answer to its form. Blocks while it is worked out.
pub(super) fn page(pages: &Pages, visitor: &Visitor, form: &Form) -> Answer {
    let live = pages.carrier.live.current();
    let catalog = &live.set.catalog;
    let objects = trial::objects(catalog);
    let object = objects
        .iter()
        .find(|o| ***o == *form.get("object"))
        .or_else(|| {
            // The one with the most flags says most.
            objects.iter().max_by_key(|o| {
                let id = catalog.object_by_name.get(&*o.to_ascii_lowercase());
                id.map_or(0, |id| {
                    let object = catalog.get(*id);
                    (object.conditions.len() << 16) + object.fields.len()
                })
            })
        });
    let id = object.and_then(|o| {
        catalog
            .object_by_name
            .get(&*o.to_ascii_lowercase())
            .copied()
    });
    let first_role = live.set.policies.roles().next().unwrap_or_default();
    let is_new = form.get("client").is_empty();
    let fill = is_new || !form.get("fill").is_empty();
    let json = match id {
        Some(id) if fill => {
            serde_json::to_string_pretty(&trial::sample(catalog, id)).unwrap_or_default()
        }
        _ => form.get("json").to_owned(),
    };
    let clients = &catalog.vocabulary.clients;
    let asked = Asked {
        object: object.map_or("", |o| &**o),
        client: if is_new {
            clients.keys().next().map_or("", |c| &**c)
        } else {
            form.get("client")
        },
        purpose: form.get("purpose"),
        region: form.get("region"),
        roles: if is_new {
            vec![first_role]
        } else {
            form.all("role").collect()
        },
        mfa: !form.get("mfa").is_empty(),
        json,
    };
    let result = match id {
        Some(id) if !fill => Some(tried(pages, &live, &asked, id)),
        _ => None,
    };
    let content = html! {
        h1 { "Try it" }
        p.hint { "A record through policy " code { (live.version()) } ", as this caller would get it. What you paste is answered and forgotten; tokens here open nothing and join with nothing." }
        form method="post" action="/try" autocomplete="off" {
            (form_token(visitor))
            (choices(&live, &asked, &objects))
            div.two {
                section aria-labelledby="before" {
                    h2 #before { "Before" }
                    textarea name="json" spellcheck="false" aria-labelledby="before" { (asked.json) }
                }
                section aria-labelledby="after" {
                    h2 #after { "After" }
                    @match &result {
                        None => p.hint { "Nothing has been tried yet." },
                        Some(Ok(tried)) => (after(tried)),
                        Some(Err(problem)) => p.problem role="alert" { (problem) },
                    }
                }
            }
            p { button type="submit" { "Try it" } }
        }
        @if let Some(Ok(tried)) = &result { (reasons(&live, &asked, pages, &tried.said)) }
    };
    pages.framed(StatusCode::OK, "Try it", "/try", visitor, &content)
}

fn choices(live: &Live, asked: &Asked<'_>, objects: &[Arc<str>]) -> Markup {
    let vocabulary = &live.set.catalog.vocabulary;
    html! {
        div.filters {
            label { "Sample of"
                select name="object" data-sample {
                    @for o in objects { option value=(o) selected[**o == *asked.object] { (o) } }
                }
            }
            button.quiet type="submit" name="fill" value="1" data-fill { "Fill in a sample" }
            label { "Caller"
                select name="client" {
                    @for c in vocabulary.clients.keys() { option value=(c) selected[**c == *asked.client] { (c) } }
                }
            }
            label { "Purpose"
                select name="purpose" {
                    option value="" selected[asked.purpose.is_empty()] { "the caller's first" }
                    @for p in &vocabulary.purposes { option value=(p) selected[**p == *asked.purpose] { (p) } }
                }
            }
            label { "Region"
                select name="region" {
                    option value="" selected[asked.region.is_empty()] { "unknown" }
                    @for r in &vocabulary.regions { option value=(r) selected[**r == *asked.region] { (r) } }
                }
            }
        }
        fieldset.filters {
            legend { "Roles" }
            @for role in live.set.policies.roles() {
                span { input id={ "role-" (role) } type="checkbox" name="role" value=(role) checked[asked.roles.contains(&role)]; " "
                    label.inline for={ "role-" (role) } { (role) } }
            }
            span { input #mfa type="checkbox" name="mfa" value="1" checked[asked.mfa]; " "
                label.inline for="mfa" { "signed in just now, with a second factor" } }
        }
    }
}

fn caller(pages: &Pages, asked: &Asked<'_>) -> Identity {
    let now_s = jiff::Timestamp::now().as_second();
    let some = |text: &str| (!text.is_empty()).then(|| Arc::from(text));
    Identity {
        subject: asked.client.into(),
        client: some(asked.client),
        roles: asked.roles.iter().map(|r| Arc::from(*r)).collect(),
        region: some(asked.region),
        tenant: Arc::clone(&pages.carrier.settings.tenant),
        proof: Proof::ApiKey {
            key_id: "try-it".into(),
        },
        mfa: Some(asked.mfa),
        auth_time_s: asked.mfa.then_some(now_s),
        purpose_asked: some(asked.purpose),
        now_s,
        address: None,
    }
}

fn tried(
    pages: &Pages,
    live: &Live,
    asked: &Asked<'_>,
    object: crate::engine::catalog::ObjectId,
) -> Result<Tried, String> {
    let record: Value = serde_json::from_str(&asked.json)
        // Line and column; the text itself stays out of the message.
        .map_err(|e| {
            format!(
                "This is not JSON: line {}, column {}.",
                e.line(),
                e.column()
            )
        })?;
    let mut random = [0_u8; 64];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| "The system has no randomness.".to_owned())?;
    let keys = KeyRing::generate(&random);
    Ok(trial::record(
        &live.set,
        &keys,
        &caller(pages, asked),
        object,
        &record,
    ))
}

fn after(tried: &Tried) -> Markup {
    match &tried.record {
        Ok(record) => html! {
            pre.text tabindex="0" { (serde_json::to_string_pretty(record).unwrap_or_default()) }
        },
        Err(why) => html! {
            p.problem role="alert" {
                @match why {
                    Untreated::NoQuery => "Records of this API cannot be tried here.",
                    Untreated::NotARecord => "A record is a JSON object.",
                    Untreated::Refused(refusal) => { "The request would be refused: " (refusal.message) }
                    Untreated::Aborted(abort) => { "The answer would be cut: " (abort) }
                }
            }
        },
    }
}

fn reasons(live: &Live, asked: &Asked<'_>, pages: &Pages, said: &[Said]) -> Markup {
    let caller = caller(pages, asked);
    let catalog = &live.set.catalog;
    let purpose: String = if asked.purpose.is_empty() {
        let client = catalog.vocabulary.clients.get(asked.client);
        let first = client.and_then(|c| c.purposes.first());
        first.map_or_else(|| "none".to_owned(), ToString::to_string)
    } else {
        asked.purpose.to_owned()
    };
    html! {
        h2 #reasons { "Field by field" }
        div.wide role="region" aria-labelledby="reasons" tabindex="0" {
            table {
                thead { tr { th scope="col" { "field" } th scope="col" { "class" } th scope="col" { "treatment" } th scope="col" { "why" } } }
                tbody {
                    @for s in said {
                        @let class = &catalog.field(s.field).class;
                        tr {
                            td { (s.written.as_deref().unwrap_or(&s.name)) }
                            td { (class) }
                            td { @for (word, _) in &s.answers { (treatment::word(Look::of(catalog, class, word), word)) " " } }
                            td {
                                @if let Some(text) = explanation(live, &caller, &purpose, &s.name, Action::Read) {
                                    details { summary { (text.lines().next().unwrap_or_default()) } pre.text tabindex="0" { (text) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
