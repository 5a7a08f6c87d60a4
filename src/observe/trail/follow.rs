//! Reading segments: the newest part at a start, then whatever is appended.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::Trail;

/// How much of the newest segments a start reads, bytes.
const REFILL_BYTES_MAX: u64 = 192 << 20;
/// Longest record that is taken.
const LINE_BYTES_MAX: u64 = 4 << 20;

/// The place up to which a folder has been read.
#[derive(Debug)]
pub struct Follower {
    directory: PathBuf,
    /// The segment that is read, and how far.
    at: Option<(PathBuf, u64)>,
}

/// The segments of a folder, oldest first.
fn segments(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(directory)?
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|path| {
            path.file_name()
                .and_then(|n| n.to_str())
                .is_some_and(|n| n.starts_with("audit-") && n.ends_with(".jsonl"))
        })
        .collect();
    found.sort();
    Ok(found)
}

/// Fills `trail` from the newest segments in `directory` and gives where it stopped. Blocks.
///
/// # Errors
/// The folder cannot be read.
pub fn refill(trail: &Trail, directory: &Path) -> io::Result<Follower> {
    let mut newest = Vec::new();
    let mut bytes = 0;
    for path in segments(directory)?.into_iter().rev() {
        bytes += std::fs::metadata(&path)?.len();
        newest.push(path);
        if bytes > REFILL_BYTES_MAX {
            break;
        }
    }
    let mut follower = Follower {
        directory: directory.to_owned(),
        at: newest.pop().map(|path| (path, 0)),
    };
    follower.catch_up(trail)?;
    Ok(follower)
}

impl Follower {
    /// Takes everything that has been appended since. Blocks for as long as reading takes.
    ///
    /// # Errors
    /// A segment cannot be read; the next call tries again from the same place.
    pub fn catch_up(&mut self, trail: &Trail) -> io::Result<()> {
        let known = segments(&self.directory)?;
        loop {
            match &mut self.at {
                None => match known.first() {
                    Some(first) => self.at = Some((first.clone(), 0)),
                    None => return Ok(()),
                },
                Some((path, position)) => {
                    read_from(trail, path, position)?;
                    let Some(next) = known.iter().find(|p| *p > path) else {
                        return Ok(());
                    };
                    self.at = Some((next.clone(), 0));
                }
            }
        }
    }
}

/// Takes the whole lines of `path` from `position` on.
fn read_from(trail: &Trail, path: &Path, position: &mut u64) -> io::Result<()> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        // Retention may have taken it.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    if file.metadata()?.len() <= *position {
        return Ok(());
    }
    file.seek(SeekFrom::Start(*position))?;
    let mut reader = BufReader::with_capacity(256 << 10, file);
    let mut line = Vec::new();
    loop {
        line.clear();
        let n = reader
            .by_ref()
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)? as u64;
        if n < LINE_BYTES_MAX && line.last() != Some(&b'\n') {
            // Not written to its end yet.
            return Ok(());
        }
        *position += n;
        if line.last() == Some(&b'\n') {
            trail.take(&line);
        }
    }
}
