//! The map in ARCHITECTURE.md, held against the source: which room uses which, and what the pure half never names.
//!
//! The table there is the only copy; this test reads it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Crates, and the only files or folders that may name them.
const ONLY_IN: [(&str, &[&str]); 2] = [
    ("casbin", &["engine/policy/casbin.rs"]),
    // Where errors become text for a person. The library has typed errors.
    ("anyhow", &["main.rs", "cli/"]),
];

/// What the engine never names: I/O, clocks, the environment, threads, logging, the carrier's crates.
const NOT_IN_ENGINE: [&str; 20] = [
    "tokio",
    "hyper",
    "hyper_util",
    "rustls",
    "notify",
    "prometheus",
    "tracing",
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "std::net",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "std::time::SystemTime",
    "std::time::Instant",
    "jiff::Timestamp::now",
    "jiff::Zoned::now",
    "uuid::Uuid::now_v7",
];

/// Addresses are plain data.
const STILL_IN_ENGINE: [&str; 3] = [
    "std::net::IpAddr",
    "std::net::Ipv4Addr",
    "std::net::Ipv6Addr",
];

/// Polls an async constructor that never waits once, by hand.
const MAY_NAME_ASYNC: &str = "engine/policy/casbin.rs";

type Table = BTreeMap<String, Vec<String>>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The rows under "Who may use what": room → rooms (or single items) it may use.
fn table() -> Table {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let section = text.split("\n## Who may use what\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let words = |cell: &str| -> Vec<String> {
        cell.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    let mut table = Table::new();
    for line in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
        let [room, may_use] = cells.as_slice() else {
            panic!("not two cells: {line}");
        };
        for room in words(room) {
            let rooms = words(may_use);
            assert!(table.insert(room, rooms).is_none(), "twice: {line}");
        }
    }
    table
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Colons,
    Sign(char),
}

/// The tokens of Rust source without comments, literals and lifetimes.
fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut tokens = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        let c = chars[i];
        if c == '/' && at(i + 1) == '/' {
            while i < chars.len() && chars[i] != '\n' {
                i += 1;
            }
        } else if c == '/' && at(i + 1) == '*' {
            let mut depth = 1;
            i += 2;
            while depth > 0 && i < chars.len() {
                match (chars[i], at(i + 1)) {
                    ('/', '*') => (depth, i) = (depth + 1, i + 2),
                    ('*', '/') => (depth, i) = (depth - 1, i + 2),
                    _ => i += 1,
                }
            }
        } else if c == '"' {
            i = after_quoted(&chars, i, '"');
        } else if c == '\'' {
            // A character literal closes after one (escaped) character; anything else is a lifetime.
            if at(i + 1) == '\\' || at(i + 2) == '\'' {
                i = after_quoted(&chars, i, '\'');
            } else {
                i += 1;
                while at(i).is_alphanumeric() || at(i) == '_' {
                    i += 1;
                }
            }
        } else if c.is_alphanumeric() || c == '_' {
            let begin = i;
            while at(i).is_alphanumeric() || at(i) == '_' {
                i += 1;
            }
            let word: String = chars[begin..i].iter().collect();
            let hashes = (i..).take_while(|&j| at(j) == '#').count();
            if matches!(word.as_str(), "r" | "br" | "cr") && at(i + hashes) == '"' {
                let close: Vec<char> = std::iter::once('"')
                    .chain(std::iter::repeat_n('#', hashes))
                    .collect();
                i += hashes + 1;
                while i < chars.len() && !chars[i..].starts_with(&close) {
                    i += 1;
                }
                i += close.len();
            } else {
                tokens.push(Token::Word(word));
            }
        } else if c == ':' && at(i + 1) == ':' {
            tokens.push(Token::Colons);
            i += 2;
        } else {
            if !c.is_whitespace() {
                tokens.push(Token::Sign(c));
            }
            i += 1;
        }
    }
    tokens
}

fn after_quoted(chars: &[char], open: usize, quote: char) -> usize {
    let mut i = open + 1;
    while i < chars.len() && chars[i] != quote {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

/// Takes items under `#[cfg(test)]` away: tests may read files and use anything.
fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let attribute = self::tokens("#[cfg(test)]");
    let mut kept = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        if !tokens[i..].starts_with(&attribute) {
            kept.push(tokens[i].clone());
            i += 1;
            continue;
        }
        let mut depth = 0;
        while i < tokens.len() {
            let token = &tokens[i];
            i += 1;
            match token {
                Token::Sign('{' | '(' | '[') => depth += 1,
                Token::Sign('}') if depth == 1 => break,
                Token::Sign('}' | ')' | ']') => depth -= 1,
                Token::Sign(';') if depth == 0 => break,
                _ => {}
            }
        }
    }
    kept
}

/// Every path named in `tokens`, groups of `use` written out.
fn paths(tokens: &[Token]) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        let begins =
            matches!(&tokens[i], Token::Word(_)) && !(i > 0 && tokens[i - 1] == Token::Colons);
        if begins {
            i = path(tokens, i, &[], &mut paths).max(i + 1);
        } else {
            i += 1;
        }
    }
    paths
}

/// Reads one path or use tree at `i`; gives the index after it.
fn path(tokens: &[Token], mut i: usize, before: &[String], into: &mut Vec<Vec<String>>) -> usize {
    let mut names = before.to_vec();
    loop {
        match tokens.get(i) {
            Some(Token::Word(word)) => names.push(word.clone()),
            Some(Token::Sign('*')) => {}
            Some(Token::Sign('{')) => {
                i += 1;
                while i < tokens.len() && tokens[i] != Token::Sign('}') {
                    i = path(tokens, i, &names, into).max(i);
                    // `as other` and the comma.
                    while i < tokens.len() && !matches!(tokens[i], Token::Sign(',' | '}')) {
                        i += 1;
                    }
                    if tokens.get(i) == Some(&Token::Sign(',')) {
                        i += 1;
                    }
                }
                return i + 1;
            }
            _ => {
                into.push(names);
                return i;
            }
        }
        i += 1;
        if tokens.get(i) == Some(&Token::Colons) {
            i += 1;
        } else {
            into.push(names);
            return i;
        }
    }
}

/// The module path of a source file: `engine/policy/mod.rs` → engine, policy.
fn module_of(file: &str) -> Vec<String> {
    let mut names: Vec<String> = file
        .trim_end_matches(".rs")
        .split('/')
        .map(str::to_owned)
        .collect();
    names.pop_if(|last| matches!(last.as_str(), "mod" | "lib" | "main"));
    names
}

/// A path inside the crate as seen from its root; `None` if it leads elsewhere.
fn inside(module: &[String], path: &[String]) -> Option<Vec<String>> {
    let (base, rest) = match path.first()?.as_str() {
        "crate" | "privet" => (0, &path[1..]),
        "self" => (module.len(), &path[1..]),
        "super" => {
            let ups = path.iter().take_while(|name| *name == "super").count();
            (module.len().saturating_sub(ups), &path[ups..])
        }
        _ => return None,
    };
    Some([&module[..base], rest].concat())
}

fn is_within(path: &[String], room: &str) -> bool {
    let room: Vec<&str> = room.split("::").collect();
    path.len() >= room.len() && path.iter().zip(&room).all(|(a, b)| a == b)
}

/// The most exact row that holds `path`.
fn room_of<'t>(table: &'t Table, path: &[String]) -> Option<&'t str> {
    table
        .keys()
        .filter(|room| is_within(path, room))
        .max_by_key(|room| room.len())
        .map(String::as_str)
}

/// True if the file declares a module `name`.
fn declares(tokens: &[Token], name: &str) -> bool {
    let is = |token: &Token, word: &str| matches!(token, Token::Word(w) if w == word);
    tokens
        .windows(2)
        .any(|pair| is(&pair[0], "mod") && is(&pair[1], name))
}

/// What is wrong with one file.
fn violations(table: &Table, file: &str, source: &str) -> Vec<String> {
    let module = module_of(file);
    let tokens = without_tests(&tokens(source));
    let mut found = Vec::new();
    // lib.rs, main.rs and engine/mod.rs only list rooms.
    let at_the_door = module.is_empty() || module == ["engine"];
    let room = room_of(table, &module);
    if room.is_none() && !at_the_door {
        found.push(format!("{file}: its room has no row in ARCHITECTURE.md"));
    }
    let in_engine = is_within(&module, "engine");
    for path in paths(&tokens) {
        let name = path.join("::");
        for (word, only) in ONLY_IN {
            // A word alone may be a field of that name, and a room may have a file of that name.
            let is_crate = path.len() > 1 && path[0] == word && !declares(&tokens, word);
            if is_crate && !only.iter().any(|place| file.starts_with(place)) {
                found.push(format!("{file}: only {only:?} may name `{name}`"));
            }
        }
        if in_engine
            && NOT_IN_ENGINE.iter().any(|ban| is_within(&path, ban))
            && !STILL_IN_ENGINE.iter().any(|ok| is_within(&path, ok))
        {
            found.push(format!("{file}: the engine does not name `{name}`"));
        }
        let (Some(room), Some(target)) = (room, inside(&module, &path)) else {
            continue;
        };
        let own = room_of(table, &target) == Some(room) || target.is_empty();
        let allowed = own
            || is_within(&target, room)
            || table[room].iter().any(|may| is_within(&target, may));
        if !allowed {
            found.push(format!(
                "{file}: `{room}` may not use `{}`",
                target.join("::")
            ));
        }
    }
    if in_engine
        && file != MAY_NAME_ASYNC
        && tokens
            .iter()
            .any(|t| matches!(t, Token::Word(w) if w == "async" || w == "await"))
    {
        found.push(format!("{file}: nothing in the engine waits"));
    }
    found
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

/// Files that stand under `#[cfg(test)] mod name;` of another.
fn is_test_only(file: &str) -> bool {
    file.ends_with("/tests.rs") || file.contains("/tests/")
}

#[test]
fn every_import_is_in_the_table() {
    let table = table();
    let src = root().join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    files.sort();
    let mut found = Vec::new();
    let mut sizes = Vec::new();
    for path in &files {
        let file = path.strip_prefix(&src).unwrap().to_str().unwrap();
        let source = fs::read_to_string(path).unwrap();
        sizes.push((source.lines().count(), file.to_owned()));
        if !is_test_only(file) {
            found.extend(violations(&table, file, &source));
        }
    }
    sizes.sort_by(|a, b| b.cmp(a));
    println!("{} files; the longest:", sizes.len());
    for (lines, file) in sizes.iter().take(12) {
        println!("{lines:6} {file}");
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn every_row_names_rooms_that_exist() {
    let table = table();
    let src = root().join("src");
    for (room, may_use) in &table {
        let path = src.join(room.replace("::", "/"));
        assert!(
            path.is_dir() || path.with_extension("rs").is_file(),
            "no such room: {room}"
        );
        for other in may_use {
            let path: Vec<String> = other.split("::").map(str::to_owned).collect();
            assert!(
                other == "engine" || room_of(&table, &path).is_some(),
                "`{room}` may use `{other}`, which has no row"
            );
        }
    }
}

#[test]
fn the_engine_knows_no_room_around_it() {
    for (room, may_use) in table() {
        if room.starts_with("engine") {
            for other in may_use {
                assert!(
                    other.starts_with("engine") || other == "diagnostic" || other == "yaml",
                    "{room} → {other}"
                );
            }
        }
    }
}

#[test]
fn violations_are_found_however_they_are_written() {
    let table = table();
    let wrong = |file: &str, source: &str| violations(&table, file, source);
    for source in [
        "use crate::engine::policy::decide;",
        "use crate::{diagnostic::Diagnostic, engine::{refusal::Reason, plan as p}};",
        "fn f() { let x = crate::engine::rewrite::Bounds::default(); }",
        "use super::policy;",
        "use super::super::proxy::exchange;",
        "fn f(x: &'static str) -> crate::config::Settings { '\\'' }",
        "use std::{collections::BTreeMap, fs};",
        "fn f() { std::time::Instant::now(); }",
        "use std::net::TcpStream;",
        "pub async fn f() {}",
        "use casbin::prelude::*;",
        "use anyhow::Result;",
    ] {
        assert_eq!(wrong("engine/identity/mod.rs", source).len(), 1, "{source}");
    }
    for source in [
        "use std::net::{IpAddr, Ipv4Addr};",
        "// use crate::proxy::x;\n/* std::fs /* */ tokio::spawn */",
        "const X: &str = \"crate::proxy std::env\"; const Y: &str = r#\"tokio::\"#;",
        "#[cfg(test)]\nmod tests { use std::fs; async fn f() {} }",
        "#[cfg(test)]\nuse std::env;\nuse crate::engine::refusal::Reason;",
        "use self::jwt::Verifier; use super::secret::Secret;",
    ] {
        assert_eq!(wrong("engine/identity/mod.rs", source), [""; 0], "{source}");
    }
    assert_eq!(
        wrong(
            "engine/rewrite/x.rs",
            "use crate::engine::catalog::Catalog;"
        )
        .len(),
        1
    );
    assert_eq!(
        wrong(
            "engine/rewrite/x.rs",
            "use crate::engine::catalog::ConditionValue;"
        )
        .len(),
        0
    );
    assert_eq!(
        wrong(
            "engine/policy/casbin.rs",
            "use casbin::CoreApi; async fn f() {}"
        )
        .len(),
        0
    );
    assert_eq!(
        wrong("engine/policy/mod.rs", "mod casbin; use casbin::MODEL;").len(),
        0
    );
    assert_eq!(wrong("cli/run.rs", "use anyhow::Result;").len(), 0);
    assert_eq!(wrong("newroom/mod.rs", "").len(), 1);
}
