//! `privet policy diff`: what a change of the files means before it is live.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use anyhow::Context;

use crate::cli::{complain, exit};
use crate::config::folder;
use crate::engine::policy::{Loaded, Sources, load};
use crate::engine::workbench::compare::{Change, Comparison, Direction, Work};

/// Flags of `privet policy diff`.
#[derive(Debug, Clone, clap::Args)]
pub struct DiffArgs {
    /// The set before: a folder, or a git revision (of the folder that NEW names), or REVISION:FOLDER
    #[arg(value_name = "OLD")]
    pub old: String,
    /// The set after
    #[arg(value_name = "NEW")]
    pub new: String,
    /// Exit with 1 if something is shown that was not shown before
    #[arg(long, value_enum, value_name = "WHAT")]
    pub fail_on: Option<FailOn>,
    /// How changes are printed
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// What makes the verb fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FailOn {
    /// Something is shown that was not shown before.
    Looser,
}

/// How changes are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For a pull request.
    Markdown,
    /// One JSON document.
    Json,
}

/// Runs the verb: 0 compared, 1 looser where that fails, 78 a set is invalid.
///
/// # Errors
/// A folder or a revision cannot be read.
pub fn execute(args: &DiffArgs, out: &mut dyn Write, notes: &mut dyn Write) -> anyhow::Result<u8> {
    let mut sets: Vec<Loaded> = Vec::new();
    for (place, other) in [(&args.old, &args.new), (&args.new, &args.old)] {
        let sources = sources(place, other)?;
        match load(&sources) {
            Ok(set) => sets.push(set),
            Err(found) => {
                complain(notes, &found)?;
                writeln!(notes, "{place}: invalid")?;
                return Ok(exit::CONFIG);
            }
        }
    }
    let [old, new] = &sets[..] else {
        return Ok(exit::FAILURE);
    };
    let comparison = if old.policies.version() == new.policies.version() {
        Comparison::default()
    } else {
        let work = Work::new(old, new);
        work.joined(super::on_all_processors(work.parts(), |part| {
            work.part(part)
        }))
    };
    match args.format {
        Format::Text => text(&comparison, out)?,
        Format::Markdown => markdown(&comparison, old, new, out)?,
        Format::Json => json(&comparison, old, new, out)?,
    }
    Ok(if args.fail_on.is_some() && comparison.shows_more() {
        exit::FAILURE
    } else {
        exit::OK
    })
}

/// A folder, else `REVISION:FOLDER` or a revision of the git repository around the working directory; of a revision
/// alone the folder that the other side names.
fn sources(place: &str, other: &str) -> anyhow::Result<Sources> {
    if Path::new(place).is_dir() {
        return folder::read(Path::new(place)).with_context(|| format!("{place} cannot be read"));
    }
    let (revision, folder) = match place.split_once(':') {
        Some((revision, folder)) => (revision, folder.to_owned()),
        None => (place, in_repository(place, other)?),
    };
    let folder = folder.as_str();
    let listed = git(&[
        "ls-tree",
        "-r",
        "-z",
        "--name-only",
        "--full-tree",
        revision,
        "--",
        folder,
    ])?;
    let prefix = format!("{}/", folder.trim_end_matches('/'));
    let mut sources = Sources::default();
    for path in listed.split(|b| *b == 0).filter(|p| !p.is_empty()) {
        let path = std::str::from_utf8(path).context("a path of the revision is not UTF-8")?;
        let relative = path.strip_prefix(&prefix).unwrap_or(path);
        if folder::is_part(relative) {
            let bytes = git(&["show", &format!("{revision}:{path}")])?;
            sources.files.push((relative.to_owned(), bytes));
        }
    }
    anyhow::ensure!(!sources.files.is_empty(), "{place} holds no policy files");
    Ok(sources)
}

/// The path of `folder` from the root of its repository, if `place` is a revision there.
fn in_repository(place: &str, folder: &str) -> anyhow::Result<String> {
    let neither = || format!("{place} is neither a folder nor a revision nor REVISION:FOLDER");
    anyhow::ensure!(Path::new(folder).is_dir(), neither());
    git(&[
        "rev-parse",
        "--verify",
        "--quiet",
        &format!("{place}^{{commit}}"),
    ])
    .with_context(neither)?;
    let root = git(&["rev-parse", "--show-toplevel"])?;
    let root = std::fs::canonicalize(String::from_utf8_lossy(&root).trim_end())?;
    let folder = std::fs::canonicalize(folder)?;
    let relative = folder.strip_prefix(&root).with_context(|| {
        format!(
            "{} is not inside the repository at {}",
            folder.display(),
            root.display()
        )
    })?;
    Ok(relative.to_string_lossy().into_owned())
}

fn git(arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
    // A revision is never an option.
    anyhow::ensure!(
        arguments
            .iter()
            .skip(1)
            .all(|a| a.starts_with("--") || !a.starts_with('-') || *a == "-r" || *a == "-z"),
        "a revision cannot begin with `-`"
    );
    let done = Command::new("git")
        .args(arguments)
        .output()
        .context("git cannot be started")?;
    anyhow::ensure!(
        done.status.success(),
        "git: {}",
        String::from_utf8_lossy(&done.stderr).trim()
    );
    Ok(done.stdout)
}

const DIRECTIONS: [Direction; 3] = [Direction::Looser, Direction::Sideways, Direction::Stricter];

fn of(comparison: &Comparison, direction: Direction) -> Vec<&Change> {
    comparison
        .changes
        .iter()
        .filter(|c| c.direction == direction)
        .collect()
}

fn who(change: &Change) -> String {
    change
        .who
        .iter()
        .map(|w| &**w)
        .collect::<Vec<_>>()
        .join(", ")
}

fn what(change: &Change) -> String {
    let fields: Vec<&str> = change.fields.iter().map(String::as_str).collect();
    let actions: Vec<&str> = change.actions.iter().map(|a| a.word()).collect();
    format!("{} {}", actions.join("|"), fields.join(", "))
}

fn text(comparison: &Comparison, out: &mut dyn Write) -> std::io::Result<()> {
    for direction in DIRECTIONS {
        let changes = of(comparison, direction);
        if changes.is_empty() {
            continue;
        }
        writeln!(out, "{}", direction.word())?;
        for change in changes {
            writeln!(
                out,
                "  {}: {} -> {}: {}",
                what(change),
                change.from,
                change.to,
                who(change)
            )?;
            if !change.circumstances.is_empty() {
                writeln!(out, "    {}", change.circumstances.join(", "))?;
            }
            writeln!(out, "    {} -> {}", change.by_before, change.by_after)?;
        }
    }
    writeln!(out, "{}", summary(comparison))
}

fn summary(comparison: &Comparison) -> String {
    if comparison.changes.is_empty() {
        return "no change".to_owned();
    }
    let words: Vec<String> = DIRECTIONS
        .iter()
        .map(|d| (of(comparison, *d), d.word()))
        .filter(|(c, _)| !c.is_empty())
        .map(|(c, word)| format!("{} {word}", c.len()))
        .collect();
    words.join(", ")
}

fn markdown(
    comparison: &Comparison,
    old: &Loaded,
    new: &Loaded,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    writeln!(
        out,
        "### Policy {} → {}: {}\n",
        old.policies.version(),
        new.policies.version(),
        summary(comparison)
    )?;
    for direction in DIRECTIONS {
        let changes = of(comparison, direction);
        if changes.is_empty() {
            continue;
        }
        writeln!(out, "#### {}\n", direction.word())?;
        writeln!(out, "| what | before | after | who | when | rules |")?;
        writeln!(out, "| --- | --- | --- | --- | --- | --- |")?;
        for change in changes {
            writeln!(
                out,
                "| {} | {} | {} | {} | {} | {} → {} |",
                what(change),
                change.from,
                change.to,
                who(change),
                change.circumstances.join(", "),
                change.by_before,
                change.by_after
            )?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn json(
    comparison: &Comparison,
    old: &Loaded,
    new: &Loaded,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let changes: Vec<serde_json::Value> = comparison
        .changes
        .iter()
        .map(|c| {
            serde_json::json!({
                "direction": c.direction.word(),
                "actions": c.actions.iter().map(|a| a.word()).collect::<Vec<_>>(),
                "from": c.from.word(),
                "to": c.to.word(),
                "who": c.who.iter().map(|w| &**w).collect::<Vec<_>>(),
                "fields": c.fields,
                "circumstances": c.circumstances,
                "before": c.by_before,
                "after": c.by_after,
                "cells": c.cells,
            })
        })
        .collect();
    let document = serde_json::json!({
        "old": &**old.policies.version(),
        "new": &**new.policies.version(),
        "looser": comparison.shows_more(),
        "cells_compared": comparison.cells,
        "changes": changes,
    });
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}
