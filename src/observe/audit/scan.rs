//! Reading a chain in order: what `verify` reports and what a start recovers from.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::sync::Arc;

use super::checkpoint::{self, Checkpoint, PublicKey, ReadNotes};
use super::record::{self, GENESIS, Hash};
use super::storage::{Directory, Storage, write_all};
use super::tree::Tree;

/// Longest line that is read. The queue's byte bound keeps written lines far below it.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// More records than this without a checkpoint over them are not what a crash leaves.
const UNSIGNED_MAX: u64 = 2 * checkpoint::RECORDS_MAX;

/// Name of the control event that begins each segment; its `requests` are the attempts still open there.
pub(super) const SEGMENT_OPENED: &str = "segment-opened";

/// Name of the control event that retention leaves; its detail ends in the last record that is gone.
pub(super) const SEGMENTS_REMOVED: &str = "segments-removed";

/// A place where the chain does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: record {seq}: {what}")]
pub struct Damage {
    /// Segment file.
    pub file: String,
    /// Line in it, from 1; 0 = the file as a whole.
    pub line: u64,
    /// Sequence number of the first record that is missing or does not fit.
    pub seq: u64,
    /// What is wrong; never any text of the record.
    pub what: &'static str,
}

/// The file name of the segment whose first record is `first`.
pub(super) fn segment_name(first: u64) -> String {
    format!("audit-{first:016}.jsonl")
}

/// First sequence number and name of each segment, in order. Other files are not the log's.
pub(super) fn segments(storage: &dyn Storage) -> io::Result<Vec<(u64, String)>> {
    let mut segments: Vec<_> = storage
        .list()?
        .into_iter()
        .filter_map(|name| {
            let digits = name.strip_prefix("audit-")?.strip_suffix(".jsonl")?;
            let first = digits.parse().ok()?;
            (segment_name(first) == name).then_some((first, name))
        })
        .collect();
    segments.sort_unstable();
    Ok(segments)
}

/// Attempts without outcome: request id → how many.
#[derive(Debug, Default)]
pub(super) struct Open(BTreeMap<Arc<str>, u32>);

impl Open {
    pub(super) fn attempt(&mut self, request: Arc<str>) {
        *self.0.entry(request).or_default() += 1;
    }

    pub(super) fn outcome(&mut self, request: &str) {
        if let Some(count) = self.0.get_mut(request) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(request);
            }
        }
    }

    /// Each open attempt's request id, as often as it is open.
    pub(super) fn requests(&self) -> Vec<Arc<str>> {
        self.0
            .iter()
            .flat_map(|(id, &count)| std::iter::repeat_n(Arc::clone(id), count as usize))
            .collect()
    }

    pub(super) fn len(&self) -> usize {
        self.0.values().map(|&count| count as usize).sum()
    }
}

/// What the reader needs of an event.
#[derive(serde::Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    request_id: Cow<'a, str>,
    #[serde(borrow)]
    control: Option<ControlHead<'a>>,
}

#[derive(serde::Deserialize)]
struct ControlHead<'a> {
    #[serde(borrow)]
    what: Cow<'a, str>,
    #[serde(default)]
    requests: Vec<Arc<str>>,
    #[serde(borrow, default)]
    tree: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    detail: Option<Cow<'a, str>>,
}

/// The end of what has been read so far.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) chain: Option<Arc<str>>,
    /// Last good record.
    pub(super) seq: u64,
    pub(super) hash: Hash,
    pub(super) open: Open,
    /// Over all records up to `seq`.
    pub(super) tree: Tree,
    /// Checkpoints over what has not been read yet, in order.
    checkpoints: VecDeque<Checkpoint>,
    /// Records under the last checkpoint that was passed.
    signed: u64,
    /// A checkpoint fails: the first record that may not be as it was.
    suspect: Option<u64>,
    /// The last record that retention says it removed.
    removed: u64,
    first: Option<u64>,
    records: u64,
    bytes: u64,
    cuts: u64,
    anchor: Option<Anchor>,
}

/// How far a segment was good.
struct SegmentEnd {
    good_bytes: u64,
    damage: Option<Damage>,
}

impl Walk {
    pub(super) fn new() -> Self {
        Self {
            chain: None,
            seq: 0,
            hash: GENESIS,
            open: Open::default(),
            tree: Tree::default(),
            checkpoints: VecDeque::new(),
            signed: 0,
            suspect: None,
            removed: 0,
            first: None,
            records: 0,
            bytes: 0,
            cuts: 0,
            anchor: None,
        }
    }

    /// Reads the segment that begins with record `first`. `partial`: it may be the first that is left of its chain.
    fn segment(
        &mut self,
        storage: &dyn Storage,
        first: u64,
        name: &str,
        partial: bool,
    ) -> io::Result<SegmentEnd> {
        let mut end = SegmentEnd {
            good_bytes: 0,
            damage: None,
        };
        let begins_the_walk = self.first.is_none();
        let adopt = begins_the_walk && partial && first > 1;
        if adopt {
            self.seq = first - 1;
        }
        let damage = |line, seq, what| {
            Some(Damage {
                file: name.to_owned(),
                line,
                seq,
                what,
            })
        };
        if first != self.seq + 1 {
            end.damage = damage(0, self.seq + 1, "it is missing: this segment begins later");
            return Ok(end);
        }
        let mut reader = BufReader::with_capacity(256 << 10, storage.read(name)?);
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let read = reader
                .by_ref()
                .take(LINE_BYTES_MAX)
                .read_until(b'\n', &mut line)? as u64;
            if read == 0 {
                break;
            }
            let expected = self.seq + 1;
            let result = if line.pop_if(|byte| *byte == b'\n').is_none() {
                Err("its line is cut short")
            } else {
                record::parse(&line)
                    .and_then(|record| self.accept(&record, adopt && number == 1).map(|()| record))
                    .map(|_| ())
            };
            if let Err(what) = result {
                end.damage = damage(number, self.suspect.unwrap_or(expected), what);
                break;
            }
            end.good_bytes += read;
        }
        self.bytes += end.good_bytes;
        Ok(end)
    }

    /// The checkpoints of the size reached must have this tree's root.
    fn hold_against_checkpoints(&mut self, chain: &str) -> Result<(), &'static str> {
        while let Some(checkpoint) = self.checkpoints.pop_front_if(|c| c.size <= self.seq) {
            if checkpoint.size < self.seq {
                // Over records that are no longer here.
                continue;
            }
            if checkpoint.root != self.tree.root() || *checkpoint.chain != *chain {
                self.suspect = Some(self.signed + 1);
                return Err(
                    "a signed checkpoint is over other records: between the checkpoint before and this one, the log was written anew",
                );
            }
            self.signed = checkpoint.size;
        }
        Ok(())
    }

    /// Takes the next record if it fits. `adopt`: its predecessor is not at hand.
    fn accept(&mut self, record: &record::Record<'_>, adopt: bool) -> Result<(), &'static str> {
        let place = &record.place;
        if place.seq != self.seq + 1 {
            return Err("another sequence number stands here");
        }
        if self.chain.as_deref().is_some_and(|id| id != place.chain) {
            return Err("it belongs to another chain");
        }
        if !adopt && place.prev != self.hash {
            return Err("it does not name the hash of the record before it");
        }
        if let Some(anchor) = &self.anchor
            && anchor.seq == place.seq
            && anchor.hash != record.hash
        {
            return Err("its hash is not the anchored one: the log was rewritten");
        }
        let head: Head<'_> =
            serde_json::from_slice(record.event).map_err(|_| "its event cannot be read")?;
        match (head.kind.as_ref(), head.control) {
            ("attempt", _) => self.open.attempt(head.request_id.as_ref().into()),
            ("outcome", _) => self.open.outcome(&head.request_id),
            (_, Some(control)) if control.what == SEGMENT_OPENED && adopt => {
                for request in control.requests {
                    self.open.attempt(request);
                }
                let edge = control.tree.iter();
                self.tree = edge
                    .map(|hex| record::decode_hash(hex.as_bytes()))
                    .collect::<Option<_>>()
                    .and_then(|edge| Tree::from_edge(place.seq - 1, edge))
                    .ok_or("it does not name the tree of the records before it")?;
            }
            (_, Some(control)) if control.what == SEGMENTS_REMOVED => {
                let through = control.detail.as_deref().and_then(|d| d.rsplit_once(' '));
                let through = through.and_then(|(_, last)| last.parse().ok());
                self.removed = through.unwrap_or(0).max(self.removed);
            }
            (_, Some(control)) if control.what == "recovered" => self.cuts += 1,
            _ => {}
        }
        if self.chain.is_none() {
            self.chain = Some(place.chain.into());
        }
        self.first.get_or_insert(place.seq);
        self.seq = place.seq;
        self.hash = record.hash;
        self.records += 1;
        if self.tree.size() + 1 == place.seq {
            self.tree.append(record.hash);
        } else {
            return Err("the tree of the records before it is not known");
        }
        self.hold_against_checkpoints(place.chain)
    }
}

/// What a start found.
pub(super) struct Recovered {
    pub(super) walk: Walk,
    /// Name of the last segment and its good bytes.
    pub(super) last: Option<(String, u64)>,
    /// Bytes of a torn tail that were cut, and the file they were copied to.
    pub(super) cut: Option<(u64, String)>,
    /// Records under the last checkpoint.
    pub(super) signed: u64,
}

/// Why a start does not go on.
pub(super) enum RecoverError {
    Io(io::Error),
    Damaged(Damage),
}

impl From<io::Error> for RecoverError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads the newest segments (at least two, and as many as `verify_bytes_max` covers), and cuts a torn tail.
///
/// A tail is torn if none of it was ever acknowledged as durable: no whole record after the first bad byte says
/// that the bad place was synced. Anything else is damage, and damage is not repaired here.
pub(super) fn recover(
    storage: &dyn Storage,
    verify_bytes_max: u64,
) -> Result<Recovered, RecoverError> {
    let segments = segments(storage)?;
    let mut from = segments.len();
    let mut bytes = 0;
    while from > 0 && (segments.len() - from < 2 || bytes < verify_bytes_max) {
        from -= 1;
        bytes += storage.size(&segments[from].1)?;
    }
    let mut walk = Walk::new();
    let (checkpoints, good_bytes) = read_checkpoints(storage)?
        .map_err(|(found, what)| RecoverError::Damaged(checkpoint_damage(&found, what)))?;
    if good_bytes < checkpoint_bytes(storage)? {
        storage.truncate(checkpoint::FILE, good_bytes)?;
    }
    let signed = checkpoints.last().map_or(0, |c| c.size);
    walk.checkpoints = checkpoints.into();
    let mut recovered_last = None;
    let mut cut = None;
    for (index, (first, name)) in segments.iter().enumerate().skip(from) {
        let end = walk.segment(storage, *first, name, index == from)?;
        if let Some(damage) = end.damage {
            let last = index + 1 == segments.len();
            let tail = tail(storage, name, end.good_bytes)?;
            if !last || damage.line == 0 || damage.seq <= signed || was_durable(&tail, damage.seq) {
                return Err(RecoverError::Damaged(damage));
            }
            let aside = set_aside(storage, damage.seq, &tail)?;
            storage.truncate(name, end.good_bytes)?;
            cut = Some((tail.len() as u64, aside));
        }
        recovered_last = Some((name.clone(), end.good_bytes));
    }
    if signed > walk.seq {
        return Err(RecoverError::Damaged(Damage {
            file: checkpoint::FILE.to_owned(),
            line: 0,
            seq: walk.seq + 1,
            what: "it is missing: a signed checkpoint says that it stood there",
        }));
    }
    Ok(Recovered {
        signed,
        walk,
        last: recovered_last,
        cut,
    })
}

/// The checkpoints beside the segments; none if there is no such file.
fn read_checkpoints(storage: &dyn Storage) -> io::Result<ReadNotes> {
    let mut text = Vec::new();
    if checkpoint_bytes(storage)? > 0 {
        storage.read(checkpoint::FILE)?.read_to_end(&mut text)?;
    }
    Ok(checkpoint::read(&text))
}

fn checkpoint_bytes(storage: &dyn Storage) -> io::Result<u64> {
    if storage.list()?.iter().any(|name| name == checkpoint::FILE) {
        storage.size(checkpoint::FILE)
    } else {
        Ok(0)
    }
}

/// The file of checkpoints is not as it was written, after these.
fn checkpoint_damage(found: &[Checkpoint], what: &'static str) -> Damage {
    Damage {
        file: checkpoint::FILE.to_owned(),
        line: 0,
        seq: found.last().map_or(0, |c| c.size) + 1,
        what,
    }
}

fn tail(storage: &dyn Storage, name: &str, good_bytes: u64) -> io::Result<Vec<u8>> {
    let mut reader = storage.read(name)?;
    io::copy(&mut reader.by_ref().take(good_bytes), &mut io::sink())?;
    let mut tail = Vec::new();
    reader.read_to_end(&mut tail)?;
    Ok(tail)
}

/// True if a whole record in `tail` says that record `seq` was durable when it was written.
fn was_durable(tail: &[u8], seq: u64) -> bool {
    tail.split(|byte| *byte == b'\n')
        .any(|line| record::parse(line).is_ok_and(|record| record.place.synced >= seq))
}

/// Copies a torn tail to a file of its own before it is cut; gives the file's name.
fn set_aside(storage: &dyn Storage, seq: u64, tail: &[u8]) -> io::Result<String> {
    for copy in 1.. {
        let name = format!("torn-{seq:016}-{copy}.bytes");
        match storage.create(&name) {
            Ok(file) => {
                write_all(file.as_ref(), tail)?;
                file.sync()?;
                storage.sync_directory()?;
                return Ok(name);
            }
            // Left by an earlier start that did not come further.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// A record's hash that was kept elsewhere: proof against a log that was cut or rewritten as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// Sequence number.
    pub seq: u64,
    /// SHA-256.
    pub hash: [u8; 32],
}

/// `<seq>:<64 hex digits>`, as `verify` prints it.
impl std::str::FromStr for Anchor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const SHAPE: &str = "an anchor is <sequence number>:<64 lower-case hex digits>";
        let (seq, hash) = text.split_once(':').ok_or(SHAPE)?;
        Ok(Self {
            seq: seq.parse().map_err(|_| SHAPE)?,
            hash: record::decode_hash(hash.as_bytes()).ok_or(SHAPE)?,
        })
    }
}

impl std::fmt::Display for Anchor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.seq, record::hex(&self.hash))
    }
}

/// What to hold a log against besides itself.
#[derive(Debug, Clone, Default)]
pub struct Checks {
    /// Records that must stand there as they were.
    pub anchor: Option<Anchor>,
    /// Earlier segments may be absent that retention did not remove (a copy of a part).
    pub partial: bool,
    /// Keys that checkpoints may be signed with. Empty: each is held against the key that it names itself.
    pub keys: Vec<PublicKey>,
    /// Checkpoints that were kept elsewhere, the text of [`checkpoint::FILE`] or a part of it.
    pub witnessed: Option<Vec<u8>>,
}

/// A chain that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Chain id.
    pub chain: Arc<str>,
    /// First record present.
    pub first: u64,
    /// The last record, to be kept as an anchor.
    pub last: Anchor,
    /// Number of records.
    pub records: u64,
    /// Number of checkpoints that hold.
    pub checkpoints: usize,
    /// Last record under a checkpoint; 0 = there is none.
    pub signed: u64,
    /// Who signed, each once.
    pub keys: Vec<PublicKey>,
    /// Number of segment files.
    pub segments: usize,
    /// Their size.
    pub bytes: u64,
    /// `recovered` events: how often a start cut a torn tail.
    pub cuts: u64,
    /// Attempts without outcome: running requests, if the log is live.
    pub open: usize,
}

/// Why a log does not verify.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It cannot be read.
    #[error("cannot read the log: {0}")]
    Io(#[from] io::Error),
    /// The chain does not hold.
    #[error("{0}")]
    Damaged(Damage),
    /// There is no record.
    #[error("there is no audit record in this folder")]
    Empty,
}

/// Reads every record in `directory` and checks the chain. Takes no lock and changes nothing: works on copies.
///
/// # Errors
/// [`VerifyError`]; [`Damage::seq`] is the first sequence number that does not hold.
pub fn verify(directory: &Path, checks: &Checks) -> Result<Verified, VerifyError> {
    verify_on(&Directory::read_only(directory), checks)
}

/// Where the first of these neighbouring segments that does not hold is bad.
pub(super) fn verify_prefix(
    storage: &dyn Storage,
    segments: &[(u64, String)],
) -> io::Result<Option<Damage>> {
    let mut walk = Walk::new();
    match read_checkpoints(storage)? {
        Ok((checkpoints, _)) => walk.checkpoints = checkpoints.into(),
        Err((found, what)) => return Ok(Some(checkpoint_damage(&found, what))),
    }
    for (first, name) in segments {
        if let Some(damage) = walk.segment(storage, *first, name, true)?.damage {
            return Ok(Some(damage));
        }
    }
    Ok(None)
}

pub(super) fn verify_on(storage: &dyn Storage, checks: &Checks) -> Result<Verified, VerifyError> {
    // Before the segments: a live log may only go on meanwhile.
    let (mut checkpoints, _) = read_checkpoints(storage)?
        .map_err(|(found, what)| VerifyError::Damaged(checkpoint_damage(&found, what)))?;
    if let Some(text) = &checks.witnessed {
        let (witnessed, _) = checkpoint::read(text)
            .map_err(|(found, what)| VerifyError::Damaged(checkpoint_damage(&found, what)))?;
        checkpoints.extend(witnessed);
        checkpoints.sort_by_key(|c| c.size);
    }
    if let Some(at) = checkpoints
        .iter()
        .position(|c| !checks.keys.is_empty() && !checks.keys.contains(&c.key))
    {
        let damage = checkpoint_damage(
            &checkpoints[..at],
            "a checkpoint is signed with another key",
        );
        return Err(VerifyError::Damaged(damage));
    }
    if let Some(at) = checkpoints.windows(2).position(|w| w[0].size > w[1].size) {
        let damage = checkpoint_damage(&checkpoints[..at], "the checkpoints are not in order");
        return Err(VerifyError::Damaged(damage));
    }
    let mut keys: Vec<PublicKey> = Vec::new();
    for checkpoint in &checkpoints {
        if !keys.contains(&checkpoint.key) {
            keys.push(checkpoint.key);
        }
    }
    let segments = segments(storage)?;
    let mut walk = Walk::new();
    walk.anchor.clone_from(&checks.anchor);
    let count = checkpoints.len();
    walk.checkpoints = checkpoints.into();
    for (first, name) in &segments {
        if let Some(damage) = walk.segment(storage, *first, name, true)?.damage {
            return Err(VerifyError::Damaged(damage));
        }
    }
    let missing = |seq, what| {
        Err(VerifyError::Damaged(Damage {
            file: segments.last().map_or_else(String::new, |s| s.1.clone()),
            line: 0,
            seq,
            what,
        }))
    };
    if let Some(anchor) = &checks.anchor
        && anchor.seq > walk.seq
    {
        let what = "it is missing: the log ends before the anchored record";
        return missing(walk.seq + 1, what);
    }
    if !walk.checkpoints.is_empty() {
        let what = "it is missing: a signed checkpoint says that it stood there";
        return missing(walk.seq + 1, what);
    }
    let (Some(chain), Some(first)) = (walk.chain, walk.first) else {
        return Err(VerifyError::Empty);
    };
    if first > 1 && !checks.partial && walk.removed + 1 < first {
        let what = "it is missing: the log begins later, and retention did not say so";
        return missing(walk.removed + 1, what);
    }
    let must_be_signed = count > 0 || !checks.keys.is_empty();
    // A live log may be a second behind.
    if must_be_signed && walk.seq - walk.signed > UNSIGNED_MAX {
        return missing(walk.signed + 1, "no signed checkpoint is over it");
    }
    Ok(Verified {
        chain,
        first,
        last: Anchor {
            seq: walk.seq,
            hash: walk.hash,
        },
        records: walk.records,
        checkpoints: count,
        signed: walk.signed,
        keys,
        segments: segments.len(),
        bytes: walk.bytes,
        cuts: walk.cuts,
        open: walk.open.len(),
    })
}

/// Gives each whole line of the log in `directory` from record `from` on to `take`, in order, without its newline. Takes
/// no lock and does not verify the chain.
///
/// # Errors
/// The folder cannot be read, a line is not a record, or `take` fails.
pub fn records(
    directory: &Path,
    from: u64,
    take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let storage = Directory::read_only(directory);
    let segments = segments(&storage)?;
    let skipped = segments.partition_point(|(first, _)| *first <= from);
    for (_, name) in segments.iter().skip(skipped.saturating_sub(1)) {
        let mut reader = BufReader::with_capacity(256 << 10, storage.read(name)?);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            if line.pop_if(|byte| *byte == b'\n').is_none() {
                // Being written just now, or torn.
                break;
            }
            let record = record::parse(&line)
                .map_err(|what| io::Error::new(io::ErrorKind::InvalidData, what))?;
            if record.place.seq >= from {
                take(&line)?;
            }
            line.clear();
        }
    }
    Ok(())
}
