//! Jobs, batches and results by the ids that their caller has.

use std::sync::Arc;

use super::super::Surroundings;
use super::super::cursor::{Cursor, Job, no_job};
use super::{Content, InBatches, Place};
use crate::engine::identity::Identity;
use crate::engine::protocol::Api;
use crate::engine::refusal::Refusal;

/// A job, batch or result that its caller may ask about.
pub(super) struct Known {
    /// As the caller has it.
    pub(super) sealed: String,
    /// The upstream's id of it.
    pub(super) id: String,
    /// The query of its batch; empty: none, or a job's.
    pub(super) soql: Arc<str>,
    pub(super) job: Job,
    pub(super) form: InBatches,
}

impl Known {
    pub(super) fn open(
        api: &Api,
        version: u16,
        sealed: &str,
        around: &Surroundings<'_>,
        word: &'static str,
    ) -> Result<Self, Refusal> {
        let unknown = || no_job().coded(word);
        let (cursor, job) = Cursor::open_job(sealed, around.open, &api.name, around.caller)
            .map_err(|_| unknown())?;
        let form = job
            .batches
            .clone()
            .filter(|_| cursor.version == version)
            .ok_or_else(unknown)?;
        Ok(Self {
            sealed: sealed.to_owned(),
            id: cursor.locator,
            soql: cursor.soql,
            job,
            form,
        })
    }

    pub(super) fn job(
        api: &Api,
        version: u16,
        sealed: &str,
        around: &Surroundings<'_>,
    ) -> Result<Self, Refusal> {
        Self::open(api, version, sealed, around, "InvalidJob")
            .and_then(|known| known.at(&Place::Job, "InvalidJob"))
    }

    pub(super) fn at(self, place: &Place, word: &'static str) -> Result<Self, Refusal> {
        if self.form.place == *place {
            Ok(self)
        } else {
            Err(no_job().coded(word))
        }
    }

    /// The format of what is told of the job.
    pub(super) fn style(&self) -> Content {
        if self.form.json {
            Content::Json
        } else {
            Content::Xml
        }
    }

    /// What an id at another place of the same job is sealed from.
    pub(super) fn cursor(
        &self,
        api: &Api,
        version: u16,
        soql: &str,
        place: Place,
        caller: &Identity,
    ) -> Cursor {
        let job = Job {
            batches: Some(InBatches {
                place,
                ..self.form.clone()
            }),
            ..self.job.clone()
        };
        Cursor::of_job(&api.name, version, soql, job, caller)
    }
}
