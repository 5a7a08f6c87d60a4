//! Batches that ask: a query in the body, its records in results.

use super::super::bulk::{Asking, Asks, Touched, bad, record};
use super::super::forward::Target;
use super::super::resolve::{Resolved, Stopped};
use super::super::soap::says_type;
use super::super::{Request, Surroundings, unknown_path};
use super::{About, BatchTarget, Body, Content, Known, Place, batch_info, closed, document};
use crate::engine::protocol::{CsvShape, Link, Operation, Shape};
use crate::engine::refusal::Refusal;
use crate::engine::rewrite::csv::{Delimiter, LineEnding};

/// The records of a query's answer as the result of a batch holds them.
fn rows(content: Content, answer: Shape) -> Result<Shape, Refusal> {
    if content == Content::Csv {
        return Ok(Shape::Csv(Box::new(CsvShape {
            delimiter: Delimiter::Comma,
            line_ending: LineEnding::Lf,
            no_records: true,
            row: record(answer).ok_or_else(unknown_path)?,
        })));
    }
    if content == Content::Xml && says_type(&answer) {
        // Its element and the one that says the record's object differ by case alone.
        return Err(closed("A field named Type in a bulk job in XML"));
    }
    let Shape::Object(mut members) = answer else {
        return Err(unknown_path());
    };
    members.retain(|(name, _)| &**name == "records");
    match content {
        Content::Json => members.pop().map(|(_, list)| list).ok_or_else(unknown_path),
        _ => Ok(document(content, Shape::Object(members))),
    }
}

fn touched(resolved: &mut Resolved) -> Touched {
    Touched {
        uses: std::mem::take(&mut resolved.uses),
        objects: std::mem::take(&mut resolved.objects),
        written: std::mem::take(&mut resolved.written),
        followed: std::mem::take(&mut resolved.followed),
    }
}

impl Request<'_> {
    /// The query of a batch, which asks for the object of its job.
    fn of_job(&self, known: &Known, soql: &str) -> Asking {
        match self.asks(soql) {
            Asking::Query(resolved) if self.queried(&resolved) != known.job.object => {
                Asking::Mistaken(Box::new(Stopped {
                    refusal: bad("the query of a batch asks for the object of its job")
                        .coded("InvalidBatch"),
                    uses: resolved.uses,
                    objects: resolved.objects,
                    written: resolved.written,
                    followed: resolved.followed,
                }))
            }
            asking => asking,
        }
    }

    pub(super) fn add_query(
        mut self,
        version: u16,
        known: &Known,
        body: &[u8],
        around: &Surroundings<'_>,
    ) -> Result<Operation, Refusal> {
        const ENDPOINT: &str = "bulk1-batch-add";
        let text = std::str::from_utf8(body).map_err(|_| bad("a query is text in UTF-8"))?;
        let soql = text.trim_start_matches('\u{feff}').trim();
        let mut resolved = match self.of_job(known, soql) {
            Asking::Mistaken(stopped) => return self.stopped(ENDPOINT, *stopped),
            Asking::Query(resolved) => *resolved,
        };
        let content = known.form.content;
        let takes = content.told();
        let told = Shape::Ready {
            told: Box::new(batch_info(None, &known.sealed)),
            table: Box::new(rows(content, resolved.shape.clone())?),
        };
        // The longest id that will name this query is that of a result.
        let longest = Place::Result(known.id.clone(), known.id.clone());
        let caller = around.caller;
        if !known
            .cursor(self.api, version, soql, longest, caller)
            .fits()
        {
            return Err(bad(
                "the query is too long for a bulk job through this proxy: its batch could not be named",
            ));
        }
        let place = Place::Batch(known.id.clone());
        self.forward.pages = Some(known.cursor(self.api, version, soql, place, caller));
        let touched = touched(&mut resolved);
        let asks = Box::new(Asks {
            query: resolved.query,
            bindings: resolved.bindings,
            scopes: resolved.scopes,
        });
        let path = format!("/{}/batch", known.id);
        let target = BatchTarget::post(path, Body::Query(asks), content, takes);
        let target = Target::Batch(Box::new(target));
        Ok(self.extract(ENDPOINT, target, document(takes, told), touched))
    }

    pub(super) fn query_batch(
        mut self,
        version: u16,
        job: &Known,
        batch: &Known,
        about: About,
        around: &Surroundings<'_>,
    ) -> Result<Operation, Refusal> {
        let content = job.form.content;
        let path = format!("/{}/batch/{}", job.id, batch.id);
        let told = content.told();
        let info = document(told, batch_info(Some(&batch.sealed), &job.sealed));
        if batch.soql.is_empty() {
            // Named by a list: which query it has is not known here.
            if !matches!(about, About::State) {
                return Err(bad(
                    "the results of a batch are found by the id that adding it to its job answered",
                )
                .coded("InvalidBatch"));
            }
            let target = BatchTarget::read(path, told);
            return self.about_job(
                "bulk1-batch",
                crate::engine::protocol::Action::Read,
                job,
                target,
                info,
            );
        }
        let endpoint = match about {
            About::State => "bulk1-batch",
            About::Results => "bulk1-results",
            About::Rows(_) => "bulk1-rows",
            // The query as it went upstream holds what the caller's tokens stand for.
            About::Request => return Err(closed("The request of a batch that asks")),
        };
        let mut resolved = match self.of_job(job, &batch.soql) {
            Asking::Mistaken(stopped) => return self.stopped(endpoint, *stopped),
            Asking::Query(resolved) => *resolved,
        };
        let (target, shape) = match about {
            About::Rows(sealed) => {
                let place = Place::Result(job.id.clone(), batch.id.clone());
                let result = Known::open(self.api, version, &sealed, around, "InvalidBatch")?
                    .at(&place, "InvalidBatch")?;
                let path = format!("{path}/result/{}", result.id);
                let shape = rows(content, resolved.shape.clone())?;
                (BatchTarget::read(path, content), shape)
            }
            About::Results => {
                let place = Place::Result(job.id.clone(), batch.id.clone());
                let cursor = batch.cursor(self.api, version, &batch.soql, place, around.caller);
                self.forward.pages = Some(cursor);
                let list = Shape::Array {
                    element: Box::new(Shape::Link(Link::NextPage)),
                    rows: false,
                };
                let shape = match told {
                    Content::Xml => document(told, Shape::Object(vec![("result".into(), list)])),
                    _ => list,
                };
                (BatchTarget::read(format!("{path}/result"), told), shape)
            }
            About::State | About::Request => (BatchTarget::read(path, told), info),
        };
        let touched = touched(&mut resolved);
        let target = Target::Batch(Box::new(target));
        Ok(self.extract(endpoint, target, shape, touched))
    }
}
