//! Copies of checkpoints outside the audit folder: what proves that its end was not cut off.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;

use super::Checkpoint;

/// Appends each checkpoint to `file` (made if need be, mode 0600), best on another machine's disk, until the log has
/// ended. Some are left out while the file cannot be written or is slow: a later one is over their records too.
pub async fn copy_to_file(
    file: PathBuf,
    mut checkpoints: watch::Receiver<Option<Arc<Checkpoint>>>,
) {
    let file = Arc::new(file);
    while checkpoints.changed().await.is_ok() {
        let Some(newest) = checkpoints.borrow_and_update().clone() else {
            continue;
        };
        let to = Arc::clone(&file);
        let written = tokio::task::spawn_blocking(move || append(&to, &newest)).await;
        if let Ok(Err(error)) = written {
            tracing::error!(file = %file.display(), %error, "the witness of the audit log cannot be written");
        }
    }
}

fn append(file: &Path, checkpoint: &Checkpoint) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.create(true).append(true).open(file)?;
    file.write_all(format!("{}\n", checkpoint.note).as_bytes())?;
    file.sync_data()
}
