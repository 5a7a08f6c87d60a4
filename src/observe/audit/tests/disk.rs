//! Folders in memory: one whose n-th operation fails and that can lose what was not synced, one whose writes wait.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};
use std::sync::{Arc, Condvar, Mutex};

use super::super::storage::{Segment, Storage};

/// What goes wrong at one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// EIO before anything happens.
    Refused,
    /// If it is a write, half of it is taken; everything after it says ENOSPC.
    DiskFull,
}

#[derive(Default)]
pub(super) struct Disk {
    pub(super) files: BTreeMap<String, File>,
    pub(super) operations: u64,
    /// At this operation, from 1.
    pub(super) fault: Option<(u64, Fault)>,
    pub(super) full: bool,
    /// Free bytes and all bytes, if told.
    pub(super) space: Option<(u64, u64)>,
    /// While true, syncs wait.
    pub(super) stalled: bool,
    /// Syncs that wait.
    pub(super) waiting: usize,
}

#[derive(Default, Clone)]
pub(super) struct File {
    pub(super) bytes: Vec<u8>,
    pub(super) synced: usize,
}

/// A folder in memory whose n-th operation fails, and that can lose what was not synced.
#[derive(Clone, Default)]
pub(super) struct Memory(Arc<(Mutex<Disk>, Condvar)>);

impl Memory {
    pub(super) fn disk<T>(&self, f: impl FnOnce(&mut Disk) -> T) -> T {
        f(&mut self.0.0.lock().unwrap())
    }

    pub(super) fn operate(&self) -> io::Result<Option<Fault>> {
        self.disk(|disk| {
            disk.operations += 1;
            let fault = disk
                .fault
                .and_then(|(at, fault)| (at == disk.operations).then_some(fault));
            if disk.full {
                return Err(io::ErrorKind::StorageFull.into());
            }
            disk.full = fault == Some(Fault::DiskFull);
            match fault {
                Some(Fault::Refused) => Err(io::Error::other("EIO")),
                other => Ok(other),
            }
        })
    }

    pub(super) fn stall(&self, stalled: bool) {
        self.disk(|disk| disk.stalled = stalled);
        self.0.1.notify_all();
    }

    /// Returns once a sync waits.
    pub(super) fn wait_for_stalled_sync(&self) {
        let (disk, changed) = &*self.0;
        drop(
            changed
                .wait_while(disk.lock().unwrap(), |disk| disk.waiting == 0)
                .unwrap(),
        );
    }

    /// The disk after a power cut: of what was not synced, `kept` per mille survive.
    pub(super) fn after_crash(&self, kept: usize) -> Self {
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

    pub(super) fn segments(&self) -> Vec<String> {
        self.disk(|disk| {
            disk.files
                .keys()
                .filter(|name| name.starts_with("audit-") && name.ends_with(".jsonl"))
                .cloned()
                .collect()
        })
    }

    pub(super) fn bytes(&self, name: &str) -> Vec<u8> {
        self.disk(|disk| disk.files[name].bytes.clone())
    }

    pub(super) fn set(&self, name: &str, bytes: Vec<u8>) {
        let synced = bytes.len();
        self.disk(|disk| disk.files.insert(name.into(), File { bytes, synced }));
    }

    /// Kind and ending of every event, by request id.
    pub(super) fn events(&self) -> HashMap<String, Vec<String>> {
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
        if !self.disk(|disk| disk.files.contains_key(name)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Arc::new(MemoryFile(self.clone(), name.into())))
    }

    fn truncate(&self, name: &str, bytes: u64) -> io::Result<()> {
        self.operate()?;
        let mut kept = self.bytes(name);
        kept.truncate(bytes as usize);
        self.set(name, kept);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.operate()?;
        self.disk(|disk| disk.files.remove(name));
        Ok(())
    }

    fn space(&self) -> io::Result<Option<(u64, u64)>> {
        Ok(self.disk(|disk| disk.space))
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.operate().map(|_| ())
    }
}

pub(super) struct MemoryFile(Memory, String);

impl Segment for MemoryFile {
    fn write_some(&self, bytes: &[u8]) -> io::Result<usize> {
        let fault = self.0.operate()?;
        self.0.disk(|disk| {
            let taken = if fault == Some(Fault::DiskFull) {
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

/// Storage whose writes wait for a gate: the queue fills.
pub(super) struct Gated(pub(super) Memory, pub(super) Arc<(Mutex<Gate>, Condvar)>);

#[derive(Default)]
pub(super) struct Gate {
    pub(super) open: bool,
    pub(super) waiting: bool,
}

pub(super) struct GatedFile(Arc<dyn Segment>, Arc<(Mutex<Gate>, Condvar)>);

impl Segment for GatedFile {
    fn write_some(&self, bytes: &[u8]) -> io::Result<usize> {
        let (gate, changed) = &*self.1;
        let mut gate = gate.lock().unwrap();
        gate.waiting = true;
        changed.notify_all();
        drop(changed.wait_while(gate, |gate| !gate.open).unwrap());
        self.0.write_some(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
}

impl Storage for Gated {
    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }
    fn size(&self, name: &str) -> io::Result<u64> {
        self.0.size(name)
    }
    fn read(&self, name: &str) -> io::Result<Box<dyn Read>> {
        self.0.read(name)
    }
    fn create(&self, name: &str) -> io::Result<Arc<dyn Segment>> {
        Ok(Arc::new(GatedFile(self.0.create(name)?, self.1.clone())))
    }
    fn append(&self, name: &str) -> io::Result<Arc<dyn Segment>> {
        Ok(Arc::new(GatedFile(self.0.append(name)?, self.1.clone())))
    }
    fn truncate(&self, name: &str, bytes: u64) -> io::Result<()> {
        self.0.truncate(name, bytes)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }
    fn space(&self) -> io::Result<Option<(u64, u64)>> {
        self.0.space()
    }
    fn sync_directory(&self) -> io::Result<()> {
        self.0.sync_directory()
    }
}
