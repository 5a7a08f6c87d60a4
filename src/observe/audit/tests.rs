use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};
use std::sync::{Arc, Condvar, Mutex};

use proptest::prelude::*;

use super::scan::{recover, verify_on};
use super::storage::{Segment, Storage};
use super::*;

/// What goes wrong at one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// EIO before anything happens.
    Refused,
    /// Half of a write is taken, and everything after it says ENOSPC.
    DiskFull,
}

#[derive(Default)]
struct Disk {
    files: BTreeMap<String, File>,
    operations: u64,
    /// At this operation, from 1.
    fault: Option<(u64, Fault)>,
    full: bool,
    /// While true, syncs wait.
    stalled: bool,
    /// Syncs that wait.
    waiting: usize,
}

#[derive(Default, Clone)]
struct File {
    bytes: Vec<u8>,
    synced: usize,
}

/// A folder in memory whose n-th operation fails, and that can lose what was not synced.
#[derive(Clone, Default)]
struct Memory(Arc<(Mutex<Disk>, Condvar)>);

impl Memory {
    fn disk<T>(&self, f: impl FnOnce(&mut Disk) -> T) -> T {
        f(&mut self.0.0.lock().unwrap())
    }

    fn operate(&self) -> io::Result<Option<Fault>> {
        self.disk(|disk| {
            disk.operations += 1;
            let fault = disk
                .fault
                .and_then(|(at, fault)| (at == disk.operations).then_some(fault));
            match fault {
                _ if disk.full => Err(io::ErrorKind::StorageFull.into()),
                Some(Fault::Refused) => Err(io::Error::other("EIO")),
                other => Ok(other),
            }
        })
    }

    fn stall(&self, stalled: bool) {
        self.disk(|disk| disk.stalled = stalled);
        self.0.1.notify_all();
    }

    /// Returns once a sync waits.
    fn wait_for_stalled_sync(&self) {
        let (disk, changed) = &*self.0;
        drop(
            changed
                .wait_while(disk.lock().unwrap(), |disk| disk.waiting == 0)
                .unwrap(),
        );
    }

    /// The disk after a power cut: of what was not synced, `kept` per mille survive.
    fn after_crash(&self, kept: usize) -> Self {
        let files = self.disk(|disk| {
            let mut files = disk.files.clone();
            for file in files.values_mut() {
                let unsynced = file.bytes.len() - file.synced;
                file.bytes.truncate(file.synced + unsynced * kept / 1000);
                file.synced = file.bytes.len();
            }
            files
        });
        let copy = Self::default();
        copy.disk(|disk| disk.files = files);
        copy
    }

    fn segments(&self) -> Vec<String> {
        self.disk(|disk| {
            disk.files
                .keys()
                .filter(|name| name.starts_with("audit-"))
                .cloned()
                .collect()
        })
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        self.disk(|disk| disk.files[name].bytes.clone())
    }

    fn set(&self, name: &str, bytes: Vec<u8>) {
        let synced = bytes.len();
        self.disk(|disk| disk.files.insert(name.into(), File { bytes, synced }));
    }

    /// Kind and ending of every event, by request id.
    fn events(&self) -> HashMap<String, Vec<String>> {
        let mut events: HashMap<String, Vec<String>> = HashMap::new();
        for name in self.segments() {
            for line in self.bytes(&name).split(|byte| *byte == b'\n') {
                if line.is_empty() {
                    continue;
                }
                let record: serde_json::Value = serde_json::from_slice(line).unwrap();
                let event = &record["event"];
                let word = match event["kind"].as_str().unwrap() {
                    "outcome" => event["outcome"]["ending"].as_str().unwrap(),
                    "control" => event["control"]["what"].as_str().unwrap(),
                    kind => kind,
                };
                events
                    .entry(event["request_id"].as_str().unwrap().into())
                    .or_default()
                    .push(word.into());
            }
        }
        events
    }
}

impl Storage for Memory {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.disk(|disk| disk.files.keys().cloned().collect()))
    }

    fn size(&self, name: &str) -> io::Result<u64> {
        Ok(self.bytes(name).len() as u64)
    }

    fn read(&self, name: &str) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(io::Cursor::new(self.bytes(name))))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn Segment>> {
        self.operate()?;
        if self.disk(|disk| disk.files.contains_key(name)) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.set(name, Vec::new());
        self.append(name)
    }

    fn append(&self, name: &str) -> io::Result<Arc<dyn Segment>> {
        Ok(Arc::new(MemoryFile(self.clone(), name.into())))
    }

    fn truncate(&self, name: &str, bytes: u64) -> io::Result<()> {
        self.operate()?;
        let mut kept = self.bytes(name);
        kept.truncate(bytes as usize);
        self.set(name, kept);
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.operate().map(|_| ())
    }
}

struct MemoryFile(Memory, String);

impl Segment for MemoryFile {
    fn write_some(&self, bytes: &[u8]) -> io::Result<usize> {
        let fault = self.0.operate()?;
        self.0.disk(|disk| {
            let taken = if fault == Some(Fault::DiskFull) {
                disk.full = true;
                bytes.len() / 2
            } else {
                bytes.len()
            };
            let file = disk.files.get_mut(&self.1).unwrap();
            file.bytes.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        })
    }

    fn sync(&self) -> io::Result<()> {
        let (disk, changed) = &*self.0.0;
        let length = disk.lock().unwrap().files[&self.1].bytes.len();
        {
            let mut disk = disk.lock().unwrap();
            disk.waiting += 1;
            changed.notify_all();
            let mut disk = changed.wait_while(disk, |disk| disk.stalled).unwrap();
            disk.waiting -= 1;
        }
        self.0.operate()?;
        self.0
            .disk(|disk| disk.files.get_mut(&self.1).unwrap().synced = length);
        Ok(())
    }
}

fn event(request: &str) -> Event {
    Event {
        kind: Kind::Attempt,
        time: now(),
        request_id: request.into(),
        correlation_id: None,
        who: None,
        what: None,
        outcome: None,
        control: None,
    }
}

fn finished(request: &str) -> Event {
    let mut event = event(request);
    event.outcome = Some(Outcome::without_answer(Ending::Complete, "done"));
    event
}

fn open(disk: &Memory, options: Options) -> Result<Log, RecoverError> {
    Log::open_on(Arc::new(disk.clone()), options)
}

fn small_segments() -> Options {
    Options {
        segment_bytes_max: 2_000,
        ..Options::default()
    }
}

/// A log of `requests` requests, each with attempt and outcome, closed.
async fn recorded(requests: usize, options: Options) -> Memory {
    let disk = Memory::default();
    let log = open(&disk, options).ok().unwrap();
    for n in 0..requests {
        let ticket = log.attempt(event(&format!("r{n}"))).await.unwrap();
        log.outcome(ticket, finished("ignored")).await.unwrap();
    }
    log.close().await.unwrap();
    disk
}

fn verified(disk: &Memory) -> Result<Verified, Damage> {
    match verify_on(disk, &Checks::default()) {
        Ok(verified) => Ok(verified),
        Err(VerifyError::Damaged(damage)) => Err(damage),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn attempt_and_outcome_stand_in_order_over_segments_and_restarts() {
    let disk = recorded(20, small_segments()).await;
    let log = open(&disk, small_segments()).ok().unwrap();
    let ticket = log.attempt(event("later")).await.unwrap();
    log.outcome(ticket, finished("later")).await.unwrap();
    log.control(control_event("policy-loaded", String::new()))
        .await
        .unwrap();
    drop(log);
    let whole = verified(&disk).unwrap();
    assert!(whole.segments > 5, "{whole:?}");
    assert_eq!((whole.open, whole.cuts), (0, 0));
    let events = disk.events();
    assert_eq!(events["r7"], ["attempt", "complete"]);
    assert_eq!(events["later"], ["attempt", "complete"]);
    assert_eq!(
        whole.records,
        21 * 2 + 1 + whole.segments as u64,
        "nothing but the events and one opening per segment"
    );
}

#[tokio::test]
async fn a_dropped_ticket_leaves_an_outcome() {
    let disk = Memory::default();
    let log = open(&disk, Options::default()).ok().unwrap();
    drop(log.attempt(event("dropped")).await.unwrap());
    let clone = log.clone();
    let panicked = tokio::spawn(async move {
        let _ticket = clone.attempt(event("panicked")).await.unwrap();
        panic!("in the exchange");
    });
    assert!(panicked.await.unwrap_err().is_panic());
    log.close().await.unwrap();
    assert_eq!(disk.events()["dropped"], ["attempt", "client-gone"]);
    assert_eq!(disk.events()["panicked"], ["attempt", "aborted"]);
    assert!(log.attempt(event("late")).await.is_err());
}
