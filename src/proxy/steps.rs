//! Automatic steps: callers that a monitor has stopped, or holds to stricter treatment, for a time. Kept on disk, so
//! that a restart changes nothing; an operator lifts them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::engine::event::Step;
use crate::engine::identity::Identity;
use crate::observe::metrics::Metrics;

/// What holds for one caller.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Held {
    /// What is done.
    pub step: Step,
    /// The monitor that asked for it.
    pub monitor: Arc<str>,
    /// Until when, Unix seconds.
    pub until_s: i64,
}

type Callers = BTreeMap<Arc<str>, Held>;

/// The steps in force.
#[derive(Debug, Default)]
pub struct Steps {
    /// Where they are kept; `None` = in memory alone.
    file: Option<PathBuf>,
    held: ArcSwap<Callers>,
    /// Held while they are changed.
    change: Mutex<()>,
}

/// The caller as monitors name it: the client, else the subject.
pub fn caller(identity: &Identity) -> &Arc<str> {
    identity.client.as_ref().unwrap_or(&identity.subject)
}

impl Steps {
    /// The steps that `file` holds; none if it is not there; its folder is made. Blocks.
    ///
    /// # Errors
    /// The file cannot be read or is damaged: forgetting whom a monitor has stopped would let them on.
    pub fn open(file: PathBuf) -> io::Result<Self> {
        let callers: Callers = match fs::read(&file) {
            Ok(text) => serde_json::from_slice(&text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Some(folder) = file.parent() {
                    fs::create_dir_all(folder)?;
                }
                Callers::default()
            }
            Err(error) => return Err(error),
        };
        Ok(Self {
            file: Some(file),
            held: ArcSwap::from_pointee(callers),
            change: Mutex::new(()),
        })
    }

    /// What holds for `caller` at `now_s`, Unix seconds.
    pub fn of(&self, caller: &str, now_s: i64) -> Option<Held> {
        let held = self.held.load();
        held.get(caller).filter(|h| h.until_s > now_s).cloned()
    }

    /// Everything in force at `now_s`.
    pub fn all(&self, now_s: i64) -> Vec<(Arc<str>, Held)> {
        let held = self.held.load();
        let now = held.iter().filter(|(_, h)| h.until_s > now_s);
        now.map(|(caller, h)| (Arc::clone(caller), h.clone()))
            .collect()
    }

    /// Takes a step; of two that hold at once the stricter one stays, and the longer time. It holds from the return on,
    /// also if it cannot be written down. Blocks.
    ///
    /// # Errors
    /// It cannot be written down: a restart would forget it.
    pub fn take(&self, caller: &Arc<str>, new: Held, now_s: i64) -> io::Result<()> {
        self.change(now_s, |callers| {
            let held = callers.entry(Arc::clone(caller)).or_insert(new.clone());
            held.until_s = held.until_s.max(new.until_s);
            if new.step > held.step {
                (held.step, held.monitor) = (new.step, new.monitor);
            }
        })
    }

    /// Ends what holds for `caller`. Blocks.
    ///
    /// # Errors
    /// It cannot be written down: a restart would bring it back.
    pub fn lift(&self, caller: &str, now_s: i64) -> io::Result<()> {
        self.change(now_s, |callers| {
            callers.remove(caller);
        })
    }

    /// How many callers are under each step.
    pub fn count(&self, metrics: &Metrics, now_s: i64) {
        let all = self.all(now_s);
        for step in [Step::Stricter, Step::StopCaller] {
            let count = all.iter().filter(|(_, h)| h.step == step).count();
            metrics.callers_held(step.word(), count);
        }
    }

    fn change(&self, now_s: i64, change: impl FnOnce(&mut Callers)) -> io::Result<()> {
        let _one_at_a_time = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let mut callers = Callers::clone(&self.held.load());
        callers.retain(|_, held| held.until_s > now_s);
        change(&mut callers);
        let text = serde_json::to_vec(&callers)?;
        self.held.store(Arc::new(callers));
        let Some(file) = &self.file else {
            return Ok(());
        };
        let beside = file.with_extension("new");
        let mut new = File::create(&beside)?;
        new.write_all(&text)?;
        new.sync_all()?;
        fs::rename(&beside, file)?;
        match file.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(step: Step, until_s: i64) -> Held {
        Held {
            step,
            monitor: "m".into(),
            until_s,
        }
    }

    #[test]
    fn steps_hold_for_their_time_survive_a_restart_and_are_lifted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state/steps.json");
        let steps = Steps::open(file.clone()).unwrap();
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        steps.take(&a, held(Step::Stricter, 100), 10).unwrap();
        steps.take(&a, held(Step::StopCaller, 50), 10).unwrap();
        steps.take(&a, held(Step::Stricter, 60), 10).unwrap();
        steps.take(&b, held(Step::Stricter, 20), 10).unwrap();
        let again = Steps::open(file.clone()).unwrap();
        for steps in [&steps, &again] {
            assert_eq!(steps.of("a", 99), Some(held(Step::StopCaller, 100)));
            assert_eq!(steps.of("a", 100), None);
            assert_eq!(steps.of("b", 19), Some(held(Step::Stricter, 20)));
            assert_eq!(steps.of("c", 10), None);
            assert_eq!(steps.all(20).len(), 1);
        }
        again.lift("a", 20).unwrap();
        assert_eq!(again.all(0), []);
        assert_eq!(Steps::open(file.clone()).unwrap().all(0), []);
        fs::write(&file, "{").unwrap();
        Steps::open(file).unwrap_err();
    }
}
