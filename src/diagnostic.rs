//! How a mistake in a file is shown to the person who made it: what, where, and what to do. Pure.

use std::fmt;
use std::sync::Arc;

/// How bad it is. Errors stop the load; warnings are printed and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file set cannot be used.
    Error,
    /// It can be used, and somebody should look.
    Warning,
}

/// A place in a text file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Path as the person knows it, such as `rules/support.csv`.
    pub file: Arc<str>,
    /// From 1; 0 = the whole file.
    pub line: u32,
    /// In characters, from 1; 0 = the whole line.
    pub column: u32,
}

/// One finding in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// Stable kebab-case name of the kind of mistake, such as `unknown-treatment`.
    pub code: &'static str,
    /// Where it stands, if it stands anywhere.
    pub position: Option<Position>,
    /// How many characters the carets underline (at least 1).
    pub width: u32,
    /// What is wrong, without a final full stop.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The text of the line, for the caret rendering.
    pub source_line: Option<String>,
}

impl Diagnostic {
    /// An error at `position` (or about the whole set).
    pub fn error(
        code: &'static str,
        position: Option<Position>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Error,
            code,
            position,
            width: 1,
            message: message.into(),
            help: None,
            source_line: None,
        }
    }

    /// A warning at `position` (or about the whole set).
    pub fn warning(
        code: &'static str,
        position: Option<Position>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, position, message)
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds the line's text and how many characters to underline.
    #[must_use]
    pub fn underline(mut self, source_line: impl Into<String>, width: u32) -> Self {
        self.source_line = Some(source_line.into());
        self.width = width.max(1);
        self
    }
}

/// Rustc-style: `error[code]: message`, `--> file:line:column`, the line with carets, `help:`.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{word}[{}]: {}", self.code, self.message)?;
        let gutter = self
            .position
            .as_ref()
            .map_or(1, |p| p.line.max(1).to_string().len());
        if let Some(p) = &self.position {
            write!(f, "\n{:gutter$}--> {}", "", p.file)?;
            if p.line > 0 {
                write!(f, ":{}", p.line)?;
                if p.column > 0 {
                    write!(f, ":{}", p.column)?;
                }
            }
            if let (Some(text), true) = (&self.source_line, p.line > 0) {
                write!(
                    f,
                    "\n{:gutter$} |\n{:>gutter$} | {}",
                    "",
                    p.line,
                    text.replace('\t', " ")
                )?;
                if p.column > 0 {
                    let pad = p.column as usize - 1;
                    write!(
                        f,
                        "\n{:gutter$} | {:pad$}{}",
                        "",
                        "",
                        "^".repeat(self.width as usize)
                    )?;
                }
            }
        }
        if let Some(help) = &self.help {
            write!(f, "\n{:gutter$} = help: {help}", "")?;
        }
        Ok(())
    }
}

/// The word of `known` nearest to `word`, if it is near enough to be what was meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|k| {
            (
                strsim::damerau_levenshtein(&word.to_lowercase(), &k.to_lowercase()),
                k,
            )
        })
        .filter(|(distance, k)| {
            *distance <= (k.chars().count() / 3).max(1) + 1 && *distance < k.chars().count()
        })
        .min()
        .map(|(_, k)| k)
}

/// Help that names the nearest known word, or all of them where they are few.
pub fn suggest(word: &str, known: &[&str]) -> Option<String> {
    if let Some(near) = nearest(word, known.iter().copied()) {
        return Some(format!("did you mean `{near}`?"));
    }
    match known.len() {
        0 => None,
        1..=16 => Some(format!(
            "known: {}",
            known
                .iter()
                .map(|k| format!("`{k}`"))
                .collect::<Vec<_>>()
                .join(", ")
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_carets_under_the_word() {
        let d = Diagnostic::error(
            "unknown-treatment",
            Some(Position {
                file: "rules/a.csv".into(),
                line: 14,
                column: 4,
            }),
            "unknown treatment `mask:last5`",
        )
        .underline("p, mask:last5", 10)
        .help("did you mean `mask:last4`?");
        assert_eq!(
            d.to_string(),
            "error[unknown-treatment]: unknown treatment `mask:last5`\n  --> rules/a.csv:14:4\n   |\n14 | p, mask:last5\n   |    ^^^^^^^^^^\n   = help: did you mean `mask:last4`?"
        );
    }

    #[test]
    fn nearest_suggests_only_what_is_near() {
        assert_eq!(nearest("dney", ["allow", "deny"]), Some("deny"));
        assert_eq!(nearest("xyzzy", ["allow", "deny"]), None);
    }
}
