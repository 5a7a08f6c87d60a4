//! Reads a policy folder from disk, for `policy::load`.

use std::io;
use std::path::Path;

use crate::engine::policy::Sources;

/// Files larger than this are not policy files, bytes.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Reads the files of `directory` that a policy set is made of, with their paths relative to it.
///
/// Names that begin with a dot, `tests/` and `monitors.yaml` are left out: they are not part of the set.
///
/// # Errors
/// The folder or a file in it cannot be read, or a file is larger than 64 MiB; the text names the path.
pub fn read(directory: &Path) -> io::Result<Sources> {
    let mut sources = Sources::default();
    walk(directory, "", 0, &mut sources)?;
    sources.files.sort();
    Ok(sources)
}

/// Whether the file at `relative` (with `/`) is part of a policy set.
pub fn is_part(relative: &str) -> bool {
    let ends = [".csv", ".yaml", ".json", ".conf"];
    ends.iter().any(|end| relative.ends_with(end))
        && relative != "monitors.yaml"
        && !relative.starts_with("tests/")
        && !relative.split('/').any(|part| part.starts_with('.'))
}

fn walk(directory: &Path, prefix: &str, depth: usize, sources: &mut Sources) -> io::Result<()> {
    let named =
        |path: &Path, e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    for entry in std::fs::read_dir(directory).map_err(|e| named(directory, e))? {
        let entry = entry.map_err(|e| named(directory, e))?;
        let path = entry.path();
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            return Err(named(
                &path,
                io::Error::new(io::ErrorKind::InvalidData, "the name is not UTF-8"),
            ));
        };
        if name.starts_with('.') {
            continue;
        }
        let relative = format!("{prefix}{name}");
        // Follows links: mounted configuration often consists of them.
        let meta = std::fs::metadata(&path).map_err(|e| named(&path, e))?;
        if meta.is_dir() {
            if relative != "tests" && depth < 4 {
                walk(&path, &format!("{relative}/"), depth + 1, sources)?;
            }
            continue;
        }
        if !is_part(&relative) {
            continue;
        }
        if meta.len() > FILE_BYTES_MAX {
            return Err(named(
                &path,
                io::Error::new(io::ErrorKind::InvalidData, "the file is larger than 64 MiB"),
            ));
        }
        let bytes = std::fs::read(&path).map_err(|e| named(&path, e))?;
        sources.files.push((relative, bytes));
    }
    Ok(())
}
