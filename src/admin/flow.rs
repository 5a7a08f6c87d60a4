//! Flow: caller → field → treatment, as wide as what went through.

use std::collections::HashMap;

use http::StatusCode;
use maud::{Markup, html};

use super::Pages;
use super::answer::Answer;
use super::doors::Visitor;
use super::form::{Form, encode};
use super::shell::number;
use super::treatment::{self, Look, class_of};
use crate::observe::trail::{BANDS_MAX, Band, Span, Volume};

/// Most bands in the picture; the table below has more.
const DRAWN_MAX: usize = 48;
/// Most rows of the table.
const ROWS_MAX: usize = 300;

const WIDTH: f64 = 1_120.0;
const NODE: f64 = 12.0;
const GAP: f64 = 9.0;
/// Room for a label, and so the least height of a node.
const LINE: f64 = 17.0;
const TOP: f64 = 26.0;
/// Left edges of the three columns' nodes.
const COLUMNS: [f64; 3] = [170.0, 610.0, 930.0];

/// One band, judged.
struct Drawn {
    band: Band,
    volume: Volume,
    class: String,
    look: Look,
}

/// The page.
pub(super) fn page(pages: &Pages, visitor: &Visitor, query: &Form) -> Answer {
    let span = Span::of(query.get("span")).unwrap_or(Span::Quarter);
    let live = pages.carrier.live.current();
    let catalog = &live.set.catalog;
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let all: Vec<Drawn> = pages
        .trail
        .flows(span, now_ms)
        .into_iter()
        .map(|(band, volume)| {
            let class = class_of(catalog, &band.field)
                .unwrap_or("unclassified")
                .to_owned();
            let look = Look::of(catalog, &class, &band.treatment);
            Drawn {
                band,
                volume,
                class,
                look,
            }
        })
        .collect();
    let alarms = all.iter().filter(|d| d.look.is_alarming()).count();
    let values: u64 = all.iter().map(|d| d.volume.values).sum();
    let drawn = chosen(&all);
    let content = html! {
        h1 { "Flow" }
        nav.tabs aria-label="Time range" {
            @for s in Span::ALL {
                a href={ "/flow?span=" (s.word()) } aria-current=[(s == span).then_some("true")] {
                    @match s { Span::Quarter => "15 minutes", Span::Day => "24 hours", Span::Week => "7 days" }
                }
            }
            button.live type="button" hidden aria-pressed="false" data-renew {}
        }
        @if all.is_empty() {
            p { "Nothing has passed in this time." }
        } @else {
            p {
                strong { (number(values)) } " values on " (all.len()) " ways. "
                @if alarms > 0 {
                    span.bad { (alarms) " of them carry personal data in clear, or fields without a class." }
                } @else {
                    span.good { "None carries personal data in clear, or a field without a class." }
                }
            }
            (treatment::legend())
            div.wide.flow role="region" aria-label="Flow from callers over fields to treatments" tabindex="0" {
                (picture(&drawn))
            }
            @if drawn.len() < all.len() {
                p.hint { "Drawn are the " (drawn.len()) " ways that matter most: all that stand out first, then the widest. The table has the rest." }
            }
            h2 #ways { "The same as a table" }
            div.wide role="region" aria-labelledby="ways" tabindex="0" {
                table {
                    thead { tr {
                        th scope="col" { "caller" } th scope="col" { "field" } th scope="col" { "class" }
                        th scope="col" { "treatment" } th.n scope="col" { "values" } th.n scope="col" { "answers" }
                    } }
                    tbody {
                        @for d in all.iter().take(ROWS_MAX) {
                            tr {
                                td { (d.band.caller) }
                                td { a href=(audit_of(&d.band)) { (d.band.field) } }
                                td { (d.class) }
                                td { (treatment::word(d.look, &d.band.treatment)) }
                                td.n { (number(d.volume.values)) }
                                td.n { (number(d.volume.answers)) }
                            }
                        }
                    }
                }
            }
            p.hint {
                "Values as counted while they were rewritten; where nothing is counted (clear, drop) one a row. "
                "Further callers and fields than " (BANDS_MAX) " ways count together."
            }
        }
    };
    pages.framed(StatusCode::OK, "Flow", "/flow", visitor, &content)
}

/// What stands out first, then the widest.
fn chosen(all: &[Drawn]) -> Vec<&Drawn> {
    let mut drawn: Vec<&Drawn> = all.iter().filter(|d| d.look.is_alarming()).collect();
    drawn.truncate(DRAWN_MAX * 2 / 3);
    let room = DRAWN_MAX - drawn.len();
    drawn.extend(all.iter().filter(|d| !d.look.is_alarming()).take(room));
    drawn
}

fn audit_of(band: &Band) -> String {
    format!(
        "/audit?caller={}&field={}&treatment={}",
        encode(&band.caller),
        encode(&band.field),
        encode(&band.treatment)
    )
}

/// One node of a column.
#[derive(Default, Clone)]
struct Node {
    name: String,
    values: u64,
    alarm: bool,
    y: f64,
    height: f64,
    /// Where the next band docks, left and right.
    left: f64,
    right: f64,
}

/// Thickness of a band: its share, but never too thin to be seen.
fn thickness(values: u64, scale: f64) -> f64 {
    (values as f64 * scale).max(1.5)
}

fn picture(drawn: &[&Drawn]) -> Markup {
    let key = |column: usize, d: &Drawn| match column {
        0 => d.band.caller.to_string(),
        1 => d.band.field.to_string(),
        _ => d.band.treatment.to_string(),
    };
    let mut columns: Vec<Vec<Node>> = Vec::new();
    for column in 0..3 {
        let mut nodes: Vec<Node> = Vec::new();
        for d in drawn {
            let name = key(column, d);
            let at = nodes
                .iter()
                .position(|n| n.name == name)
                .unwrap_or_else(|| {
                    nodes.push(Node {
                        name,
                        ..Node::default()
                    });
                    nodes.len() - 1
                });
            nodes[at].values += d.volume.values;
            nodes[at].alarm |= column == 1 && d.look.is_alarming();
        }
        nodes.sort_by(|a, b| b.values.cmp(&a.values).then_with(|| a.name.cmp(&b.name)));
        columns.push(nodes);
    }
    let most = columns.iter().map(Vec::len).max().unwrap_or(1) as f64;
    let total: u64 = drawn.iter().map(|d| d.volume.values).sum();
    // As high as the fullest column needs for its labels, and as much again for what flows.
    let scale = (most * LINE).max(300.0) / (total.max(1) as f64);
    let mut height: f64 = 0.0;
    for (column, nodes) in columns.iter_mut().enumerate() {
        let mut y = TOP;
        for node in nodes {
            let docked: f64 = drawn
                .iter()
                .filter(|d| key(column, d) == node.name)
                .map(|d| thickness(d.volume.values, scale))
                .sum();
            node.y = y;
            node.height = docked.max(LINE);
            // Bands dock around the middle, so that thin ones meet their label.
            let first = y + (node.height - docked) / 2.0;
            (node.left, node.right) = (first, first);
            y += node.height + GAP;
        }
        height = height.max(y);
    }
    // Shorter columns stand in the middle.
    for nodes in &mut columns {
        let used = nodes.last().map_or(0.0, |n| n.y + n.height);
        let shift = (height - GAP - used) / 2.0;
        for node in nodes {
            node.y += shift;
            node.left += shift;
            node.right += shift;
        }
    }
    let index: Vec<HashMap<String, usize>> = columns
        .iter()
        .map(|nodes| {
            let named = nodes.iter().enumerate();
            named.map(|(i, n)| (n.name.clone(), i)).collect()
        })
        .collect();
    // Bands dock in the order of what they lead to, so that few cross.
    let place = |column: usize, d: &Drawn| index[column].get(&key(column, d)).copied().unwrap_or(0);
    let mut paths: Vec<[String; 2]> = vec![Default::default(); drawn.len()];
    #[allow(
        clippy::needless_range_loop,
        reason = "a side is two columns beside being half of each path"
    )]
    for side in 0..2 {
        let (from, to) = (side, side + 1);
        let mut order: Vec<usize> = (0..drawn.len()).collect();
        order.sort_by_key(|i| (place(from, drawn[*i]), place(to, drawn[*i])));
        let mut starts = vec![0.0; drawn.len()];
        for i in &order {
            let node = &mut columns[from][place(from, drawn[*i])];
            let t = thickness(drawn[*i].volume.values, scale);
            starts[*i] = node.right + t / 2.0;
            node.right += t;
        }
        order.sort_by_key(|i| (place(to, drawn[*i]), place(from, drawn[*i])));
        for i in order {
            let node = &mut columns[to][place(to, drawn[i])];
            let t = thickness(drawn[i].volume.values, scale);
            let end = node.left + t / 2.0;
            node.left += t;
            let (x0, x1) = (COLUMNS[from] + NODE, COLUMNS[to]);
            let middle = f64::midpoint(x0, x1);
            let y0 = starts[i];
            paths[i][side] = format!(
                "M{x0:.1} {y0:.1}C{middle:.1} {y0:.1} {middle:.1} {end:.1} {x1:.1} {end:.1}"
            );
        }
    }
    let label = |column: usize, node: &Node| {
        let y = node.y + node.height / 2.0 + 4.0;
        let (x, anchor) = match column {
            0 => (COLUMNS[0] - 8.0, "end"),
            c => (COLUMNS[c] + NODE + 8.0, "start"),
        };
        let shown: String = if node.name.chars().count() > 34 {
            node.name.chars().take(33).chain(['…']).collect()
        } else {
            node.name.clone()
        };
        html! {
            text x=(x) y=(y) text-anchor=(anchor) class=[node.alarm.then_some("alarm")] {
                (shown) " "
                tspan.count { (number(node.values)) }
            }
        }
    };
    html! {
        svg viewBox={ "0 0 " (WIDTH) " " (format!("{height:.0}")) } role="group"
            aria-label="Bands from callers over fields to treatments; the table below says the same" {
            text.count x=(COLUMNS[0] - 8.0) y="14" text-anchor="end" { "caller" }
            text.count x=(COLUMNS[1] + NODE + 8.0) y="14" { "field" }
            text.count x=(COLUMNS[2] + NODE + 8.0) y="14" { "treatment" }
            @for (d, path) in drawn.iter().zip(&paths) {
                @let width = format!("{:.1}", thickness(d.volume.values, scale));
                @let name = format!("{} · {} · {} · {} values · {}", d.band.caller, d.band.field, d.band.treatment, number(d.volume.values), d.look.words());
                a href=(audit_of(&d.band)) aria-label=(name) {
                    title { (name) }
                    @for half in path {
                        path class={ "band s-" (d.look.class()) } d=(half) stroke-width=(width) {}
                    }
                }
            }
            @for (column, nodes) in columns.iter().enumerate() {
                @for node in nodes {
                    rect.node x=(COLUMNS[column]) y=(format!("{:.1}", node.y)) width=(NODE) height=(format!("{:.1}", node.height)) rx="2" {}
                    (label(column, node))
                }
            }
        }
    }
}
