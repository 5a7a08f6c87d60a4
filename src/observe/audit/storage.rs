//! Where segments live: the few file operations the log needs, behind a trait so that every one of them can fail in a test.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const LOCK: &str = "audit.lock";

/// A folder of segments.
pub(super) trait Storage: Send + Sync {
    /// Names of all files in it.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Size of a file, bytes.
    fn size(&self, name: &str) -> io::Result<u64>;
    /// Opens a file for reading from its start.
    fn read(&self, name: &str) -> io::Result<Box<dyn Read>>;
    /// Makes a file that does not exist yet, for appending.
    fn create(&self, name: &str) -> io::Result<Arc<dyn Segment>>;
    /// Opens an existing file for appending.
    fn append(&self, name: &str) -> io::Result<Arc<dyn Segment>>;
    /// Cuts a file to `bytes`; durable on return.
    fn truncate(&self, name: &str, bytes: u64) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Bytes free for us and in all; `None` = not known.
    fn space(&self) -> io::Result<Option<(u64, u64)>>;
    /// Makes created names durable.
    fn sync_directory(&self) -> io::Result<()>;
}

/// A file open for appending.
pub(super) trait Segment: Send + Sync {
    /// One `write(2)` at the end; may take less than all.
    fn write_some(&self, bytes: &[u8]) -> io::Result<usize>;
    /// `fdatasync(2)`.
    fn sync(&self) -> io::Result<()>;
}

/// Writes all of `bytes`.
pub(super) fn write_all(segment: &dyn Segment, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match segment.write_some(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A real folder.
pub(super) struct Directory {
    path: PathBuf,
    /// Held while the log is open: one writer per folder. `None` for readers.
    _lock: Option<File>,
}

impl Directory {
    /// Opens a folder to write to, making it if needed, and keeps others out.
    pub(super) fn lock(path: &Path) -> io::Result<Self> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path)?;
        let lock = private().create(true).append(true).open(path.join(LOCK))?;
        lock.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => io::Error::new(
                io::ErrorKind::ResourceBusy,
                "another process writes to this audit folder",
            ),
            fs::TryLockError::Error(error) => error,
        })?;
        Ok(Self {
            path: path.to_owned(),
            _lock: Some(lock),
        })
    }

    /// Opens a folder to read from, such as a copy.
    pub(super) fn read_only(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            _lock: None,
        }
    }
}

/// Options for a file that only privet's user may read.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

impl Storage for Directory {
    fn list(&self) -> io::Result<Vec<String>> {
        fs::read_dir(&self.path)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn size(&self, name: &str) -> io::Result<u64> {
        Ok(fs::metadata(self.path.join(name))?.len())
    }

    fn read(&self, name: &str) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(File::open(self.path.join(name))?))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn Segment>> {
        let file = private()
            .append(true)
            .create_new(true)
            .open(self.path.join(name))?;
        Ok(Arc::new(file))
    }

    fn append(&self, name: &str) -> io::Result<Arc<dyn Segment>> {
        Ok(Arc::new(private().append(true).open(self.path.join(name))?))
    }

    fn truncate(&self, name: &str, bytes: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.path.join(name))?;
        file.set_len(bytes)?;
        file.sync_all()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn space(&self) -> io::Result<Option<(u64, u64)>> {
        let stat = rustix::fs::statvfs(&self.path)?;
        Ok(Some((
            stat.f_bavail.saturating_mul(stat.f_frsize),
            stat.f_blocks.saturating_mul(stat.f_frsize),
        )))
    }

    fn sync_directory(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

impl Segment for File {
    fn write_some(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut file = self;
        io::Write::write(&mut file, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
