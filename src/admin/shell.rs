//! What every page stands in: head, navigation, foot; and how numbers and times are written.

use maud::{DOCTYPE, Markup, html};

use super::doors::{Role, Visitor};

/// The pages, in order: path and title.
const PAGES: [(&str, &str); 6] = [
    ("/flow", "Flow"),
    ("/policy", "Policy matrix"),
    ("/audit", "Audit"),
    ("/why", "Why?"),
    ("/try", "Try it"),
    ("/runtime", "Runtime"),
];

/// What the frame of a page says beside its content.
#[derive(Debug, Clone)]
pub(super) struct Frame<'a> {
    pub(super) title: &'a str,
    /// Its path in the navigation.
    pub(super) path: &'a str,
    pub(super) visitor: &'a Visitor,
    /// The serving policy version.
    pub(super) policy: &'a str,
    /// Whether the newest policy files cannot be loaded.
    pub(super) stale: bool,
}

/// A whole page.
pub(super) fn page(frame: &Frame<'_>, content: &Markup) -> Markup {
    bare(
        frame.title,
        &html! {
            a.skip href="#content" { "Skip to content" }
            header.top {
                a.brand href="/flow" { "privet" }
                nav aria-label="Pages" {
                    ul {
                        @for (path, title) in PAGES {
                            li {
                                a href=(path) aria-current=[(path == frame.path).then_some("page")] { (title) }
                            }
                        }
                    }
                }
                form.leave method="post" action="/logout" {
                    (form_token(frame.visitor))
                    span.role { (frame.visitor.role.word()) }
                    button.quiet type="submit" { "Sign out" }
                }
            }
            @if frame.stale {
                div.banner role="alert" {
                    strong { "The newest policy files cannot be loaded." }
                    " Version " code { (frame.policy) } " keeps serving. "
                    a href="/runtime#policy" { "What is wrong" }
                }
            }
            main #content tabindex="-1" {
                (content)
            }
            footer {
                "policy " code { (frame.policy) } " · privet " (env!("CARGO_PKG_VERSION"))
            }
        },
    )
}

/// A page without navigation.
pub(super) fn bare(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · privet" }
                link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/assets/privet.css";
                script src="/assets/privet.js" defer {}
            }
            body { (body) }
        }
    }
}

/// The hidden field that proves a form to be ours.
pub(super) fn form_token(visitor: &Visitor) -> Markup {
    html! {
        @if let Some(token) = &visitor.form_token {
            input type="hidden" name="form_token" value=(token);
        }
    }
}

/// The page of who comes without a session.
pub(super) fn login(next: &str, problem: Option<&str>) -> Markup {
    bare(
        "Sign in",
        &html! {
            main.login #content {
                h1 { "privet" }
                p { "What passed, what was protected, and why." }
                @if let Some(problem) = problem {
                    p.problem role="alert" { (problem) }
                }
                form method="post" action="/login" data-login {
                    input type="hidden" name="next" value=(next);
                    label for="token" { "Admin token" }
                    input #token type="password" name="token" autocomplete="current-password" required autofocus;
                    button type="submit" { "Sign in" }
                }
                p.hint {
                    "The tokens are " code { "admin.token" } " (operators) and "
                    code { "admin.viewer_token" } " (viewers) of privet.yaml."
                }
            }
        },
    )
}

/// Whether this visitor may do what operators do.
pub(super) fn is_operator(visitor: &Visitor) -> bool {
    visitor.role == Role::Operator
}

/// `12 345`, grouped by narrow spaces.
pub(super) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// Microseconds as people read them.
pub(super) fn micros(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        _ => format!("{:.1} s", us as f64 / 1e6),
    }
}

/// Seconds as people read them; a dash where nothing was measured.
pub(super) fn seconds(s: Option<f64>) -> String {
    s.map_or_else(|| "–".to_owned(), |s| micros((s * 1e6).max(0.0) as u64))
}

/// Unix milliseconds as `2026-11-23 10:00:03`, UTC.
pub(super) fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .map(|t| t.strftime("%Y-%m-%d %H:%M:%S").to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times() {
        assert_eq!(number(7), "7");
        assert_eq!(number(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(micros(12), "12 µs");
        assert_eq!(micros(1_500), "1.5 ms");
        assert_eq!(seconds(None), "–");
        assert_eq!(time(1_795_428_003_000), "2026-11-23 10:00:03");
    }
}
