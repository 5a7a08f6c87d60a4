//! How far a sink has acknowledged the log, on disk.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The last record that a sink has acknowledged. One file a sink, replaced whole.
#[derive(Debug, Clone)]
pub struct Cursor {
    path: PathBuf,
    place: Place,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Place {
    chain: String,
    seq: u64,
}

impl Cursor {
    /// Reads the cursor in `path`; a file that is not there means that nothing was acknowledged; its
    /// folder is made.
    ///
    /// # Errors
    /// The file cannot be read or is no cursor: guessing would lose records or send all of them again.
    pub fn open(path: &Path) -> io::Result<Self> {
        let place = match fs::read(path) {
            Ok(text) => serde_json::from_slice(&text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Some(folder) = path.parent() {
                    fs::create_dir_all(folder)?;
                }
                Place::default()
            }
            Err(error) => return Err(error),
        };
        Ok(Self {
            path: path.to_owned(),
            place,
        })
    }

    /// Sequence number of the last acknowledged record; 0 = none.
    pub fn seq(&self) -> u64 {
        self.place.seq
    }

    /// The chain that it is of; empty = none yet.
    pub fn chain(&self) -> &str {
        &self.place.chain
    }

    /// Moves on. Durable on return. Blocks.
    ///
    /// # Errors
    /// The file cannot be written: the cursor stays where it was, and the records are sent once more after a restart.
    pub fn advance(&mut self, chain: &str, seq: u64) -> io::Result<()> {
        let place = Place {
            chain: chain.to_owned(),
            seq,
        };
        let beside = self.path.with_extension("new");
        let mut file = File::create(&beside)?;
        file.write_all(&serde_json::to_vec(&place)?)?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)?;
        if let Some(folder) = self.path.parent() {
            File::open(folder)?.sync_all()?;
        }
        self.place = place;
        Ok(())
    }
}
