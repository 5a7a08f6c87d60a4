//! privet's SOQL parser beside two that nobody here wrote: `@jetstreamapp/soql-parser-js` and `tree-sitter-sfapex`.
//!
//! They need `tests/e2e/install-clients.sh` once. Queries are written from a grammar, from a fixed seed; half of them
//! are then damaged.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use privet::engine::protocol::salesforce::soql;
use serde_json::Value;

use crate::clients::folder;

/// How many queries, of each kind.
const QUERIES: usize = 5_000;
const DEPTH: usize = 3;

/// How a refusal begins or ends that names what privet does not take. All others only say that something is wrong.
const NAMED: &[&str] = &[
    "AND and OR can not be mixed without parentheses",
    "FIELDS takes ALL, STANDARD or CUSTOM",
    "GEOLOCATION takes two numbers",
    "bind variables are not supported in the REST API",
    "SET OPTIONS is not supported",
    "this WITH clause is not supported",
    "does not take these arguments",
    "is not supported",
];

/// Writes queries.
struct Writer {
    state: u64,
}

impl Writer {
    fn next(&mut self, below: usize) -> usize {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) as usize % below
    }

    /// True once in `n` times.
    fn once_in(&mut self, n: usize) -> bool {
        self.next(n) == 0
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.next(of.len())]
    }

    fn list(&mut self, most: usize, mut one: impl FnMut(&mut Self) -> String) -> String {
        let count = 1 + self.next(most);
        let parts: Vec<String> = (0..count).map(|_| one(self)).collect();
        let comma = self.one(&[", ", ",", " , "]);
        parts.join(comma)
    }

    fn field(&mut self) -> String {
        let parents = ["Account.", "Owner.", "Account.Parent.", "Custom__r.", ""];
        let parent = if self.once_in(3) {
            self.one(&parents)
        } else {
            ""
        };
        let leaf = self.one(&[
            "Id",
            "Name",
            "Email",
            "Amount__c",
            "CreatedDate",
            "Status",
            "ns__Thing__c",
            "Type",
        ]);
        format!("{parent}{leaf}")
    }

    fn date_function(&mut self) -> String {
        let name = self.one(&[
            "CALENDAR_MONTH",
            "CALENDAR_QUARTER",
            "CALENDAR_YEAR",
            "DAY_IN_MONTH",
            "DAY_IN_WEEK",
            "DAY_IN_YEAR",
            "DAY_ONLY",
            "FISCAL_MONTH",
            "FISCAL_QUARTER",
            "FISCAL_YEAR",
            "HOUR_IN_DAY",
            "WEEK_IN_MONTH",
            "WEEK_IN_YEAR",
        ]);
        if self.once_in(3) {
            format!("{name}(convertTimezone(CreatedDate))")
        } else {
            format!("{name}(CreatedDate)")
        }
    }

    fn distance(&mut self) -> String {
        let unit = self.one(&["'mi'", "'km'"]);
        let place = self.one(&["37.775", "-12.5", "0"]);
        format!("DISTANCE(Place__c, GEOLOCATION({place}, -122.418), {unit})")
    }

    fn aggregate(&mut self) -> String {
        let name = self.one(&["COUNT", "COUNT_DISTINCT", "SUM", "AVG", "MIN", "MAX"]);
        let field = self.one(&["Amount__c", "Id", "Account.Size__c"]);
        format!("{name}({field})")
    }

    fn shown(&mut self) -> String {
        let field = self.one(&["Amount__c", "CreatedDate", "Status"]);
        match self.next(5) {
            0 => format!("FORMAT({field})"),
            1 => format!("toLabel({field}) shown{}", self.next(9)),
            2 => "convertCurrency(Amount__c)".to_owned(),
            3 => "FORMAT(convertCurrency(Amount__c)) amount".to_owned(),
            _ => "FORMAT(MIN(CreatedDate)) earliest".to_owned(),
        }
    }

    fn text(&mut self) -> String {
        let text = self.one(&[
            "a",
            "Smith",
            "it\\'s",
            "a\\\\b",
            "x\\ny",
            "",
            "SELECT Id FROM X",
            "Zürich 東京",
            "a\"b",
            "(",
            "%a_b%",
        ]);
        format!("'{text}'")
    }

    /// What may stand after LIKE only is escaped there.
    fn pattern(&mut self) -> String {
        if self.once_in(3) {
            "'50\\%\\_%'".to_owned()
        } else {
            self.text()
        }
    }

    fn literal(&mut self) -> String {
        match self.next(8) {
            0 => self.text(),
            1 => self
                .one(&["1", "-5", "3.14", "+7", "0.5", "100000"])
                .to_owned(),
            2 => self
                .one(&[
                    "2024-02-29",
                    "2011-04-26T10:00:00Z",
                    "2011-04-26T10:00:00-08:00",
                    "2011-04-26T10:00:00.000+0100",
                ])
                .to_owned(),
            3 => self
                .one(&[
                    "TODAY",
                    "yesterday",
                    "LAST_WEEK",
                    "THIS_QUARTER",
                    "NEXT_FISCAL_YEAR",
                    "LAST_90_DAYS",
                    "THIS_MONTH",
                ])
                .to_owned(),
            4 => {
                let name = self.one(&[
                    "LAST_N_DAYS",
                    "NEXT_N_WEEKS",
                    "LAST_N_MONTHS",
                    "NEXT_N_QUARTERS",
                    "LAST_N_YEARS",
                    "N_DAYS_AGO",
                    "LAST_N_FISCAL_QUARTERS",
                    "N_FISCAL_YEARS_AGO",
                    "N_WEEKS_AGO",
                ]);
                format!("{name}:{}", 1 + self.next(90))
            }
            5 => self.one(&["USD500", "EUR12.50"]).to_owned(),
            6 => self.one(&["null", "NULL", "true", "False"]).to_owned(),
            _ => self.text(),
        }
    }

    fn compare(&mut self, depth: usize) -> String {
        match self.next(9) {
            0 => format!("{} LIKE {}", self.field(), self.pattern()),
            1 => {
                let (field, not) = (self.field(), self.one(&["IN", "NOT IN", "in", "not  in"]));
                format!("{field} {not} ({})", self.list(4, Self::text))
            }
            2 => {
                let operator = self.one(&["INCLUDES", "EXCLUDES"]);
                format!("Multi__c {operator} ({})", self.list(3, Self::text))
            }
            3 if depth > 0 => {
                let (not, object) = (
                    self.one(&["IN", "NOT IN"]),
                    self.one(&["Contact", "Opportunity"]),
                );
                let filter = if self.once_in(2) {
                    format!(" WHERE {}", self.condition(depth - 1))
                } else {
                    String::new()
                };
                format!("Id {not} (SELECT AccountId FROM {object}{filter})")
            }
            4 => {
                let (function, operator) = (self.date_function(), self.one(&["=", ">", "<="]));
                format!("{function} {operator} {}", 1 + self.next(12))
            }
            5 => {
                let (place, operator) = (self.distance(), self.one(&["<", ">"]));
                format!("{place} {operator} {}", 1 + self.next(50))
            }
            _ => {
                let (field, operator) = (
                    self.field(),
                    self.one(&["=", "!=", "<>", "<", "<=", ">", ">=", "  =  "]),
                );
                format!("{field} {operator} {}", self.literal())
            }
        }
    }

    fn condition(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.compare(0);
        }
        match self.next(6) {
            0 | 1 => {
                let word = self.one(&[" AND ", " OR ", " and "]);
                let parts: Vec<String> = (0..2 + self.next(3)).map(|_| self.condition(0)).collect();
                parts.join(word)
            }
            2 => {
                let (a, b) = (self.condition(depth - 1), self.condition(depth - 1));
                let (outer, inner) = (self.one(&["AND", "OR"]), self.compare(depth - 1));
                format!("({a}) {outer} ({b}) {outer} {inner}")
            }
            3 => format!("NOT {}", self.compare(depth - 1)),
            4 => format!("(NOT ({}))", self.condition(depth - 1)),
            _ => self.compare(depth),
        }
    }

    fn children(&mut self, depth: usize) -> String {
        let list = self.list(3, Self::field);
        let from = self.one(&["Contacts", "Opportunities", "Things__r", "Account.Contacts"]);
        let tail = self.tail(depth - 1, "");
        format!("(SELECT {list} FROM {from}{tail})")
    }

    fn type_of(&mut self) -> String {
        let otherwise = if self.once_in(2) {
            " ELSE Name, Email"
        } else {
            ""
        };
        let more = if self.once_in(2) {
            " WHEN Opportunity THEN Amount, CloseDate"
        } else {
            ""
        };
        format!("TYPEOF What WHEN Account THEN Phone, Name{more}{otherwise} END")
    }

    fn item(&mut self, depth: usize) -> String {
        match self.next(12) {
            0 => self.shown(),
            1 if depth > 0 => self.children(depth),
            2 => self.type_of(),
            3 => self
                .one(&["FIELDS(ALL)", "FIELDS(STANDARD)", "fields(custom)"])
                .to_owned(),
            4 => format!("{} away", self.distance()),
            _ => self.field(),
        }
    }

    /// What stands after the object: `group` between its filter and its order.
    fn tail(&mut self, depth: usize, group: &str) -> String {
        let mut text = String::new();
        if self.once_in(2) {
            text += &format!(" WHERE {}", self.condition(depth));
        }
        text += group;
        if self.once_in(3) {
            let orders = self.list(2, |w| {
                let by = if w.once_in(5) && !group.is_empty() {
                    w.aggregate()
                } else {
                    w.field()
                };
                let (way, nulls) = (
                    w.one(&["", " ASC", " DESC"]),
                    w.one(&["", "", " NULLS FIRST", " NULLS LAST"]),
                );
                format!("{by}{way}{nulls}")
            });
            text += &format!(" ORDER BY {orders}");
        }
        if self.once_in(3) {
            text += &format!(" LIMIT {}", self.next(200));
        }
        if self.once_in(5) {
            text += &format!(" OFFSET {}", self.next(2000));
        }
        text
    }

    fn query(&mut self) -> String {
        let object = self.one(&[
            "Account",
            "Contact",
            "Thing__c",
            "ns__Thing__c",
            "Account a",
            "Task",
        ]);
        match self.next(8) {
            0 => {
                let tail = self.tail(DEPTH, "");
                format!("SELECT COUNT() FROM {object}{tail}")
            }
            1 | 2 => {
                let alias = self.one(&["", " total", " n"]);
                let (aggregate, key) = (self.aggregate(), self.grouped());
                let group = match self.next(5) {
                    0 => format!(" GROUP BY ROLLUP({key})"),
                    1 => format!(" GROUP BY CUBE({key}, Type)"),
                    _ => format!(" GROUP BY {key}"),
                };
                let having = if self.once_in(2) {
                    let (a, operator) = (self.aggregate(), self.one(&[">", "=", "<="]));
                    format!(" HAVING {a} {operator} {}", self.next(100))
                } else {
                    String::new()
                };
                let tail = self.tail(1, &format!("{group}{having}"));
                format!("SELECT {key}, {aggregate}{alias} FROM {object}{tail}")
            }
            _ => {
                let list = self.list(5, |w| w.item(DEPTH));
                let scope = if self.once_in(9) {
                    " USING SCOPE mine"
                } else {
                    ""
                };
                let tail = self.tail(DEPTH, "");
                let end = match self.next(14) {
                    0 => " FOR VIEW",
                    1 => " FOR REFERENCE",
                    2 => " FOR UPDATE",
                    3 => " ALL ROWS",
                    4 => " UPDATE TRACKING",
                    5 => " UPDATE VIEWSTAT",
                    _ => "",
                };
                let select = self.one(&["SELECT", "select", "Select\n "]);
                format!("{select} {list} FROM {object}{scope}{tail}{end}")
            }
        }
    }

    fn grouped(&mut self) -> String {
        if self.once_in(3) {
            self.date_function()
        } else {
            self.one(&["Status", "Account.Name", "Type__c"]).to_owned()
        }
    }

    /// Takes a piece of a query away, doubles it, or puts something in.
    fn damaged(&mut self, query: &str) -> String {
        let mut words: Vec<&str> = query.split_inclusive([' ', ',', '(', ')']).collect();
        for _ in 0..=self.next(2) {
            let at = self.next(words.len());
            match self.next(4) {
                0 if words.len() > 1 => {
                    words.remove(at);
                }
                1 => {
                    let word = words[at];
                    words.insert(at, word);
                }
                2 => {
                    let middle = words.len() / 2;
                    words.swap(at, middle);
                }
                _ => {
                    let more = self.one(&[
                        ") ", "(", "' ", ", ", "FROM ", "AND ", "WHERE ", "; ", "#", ". ",
                        "ORDER ", "= ", "NOT ", "AS ", "SELECT ", "LIMIT ", "USING ", "NULLS ",
                        "IN ",
                    ]);
                    words.insert(at, more);
                }
            }
        }
        words.concat()
    }
}

/// What the other two say of each query, read as `(first, second)`. `None` = they are not installed.
fn verdicts(queries: &[String]) -> Option<Vec<(bool, bool)>> {
    let modules = folder().join("grammars/node_modules");
    if !modules.join("@jetstreamapp/soql-parser-js").exists() {
        let text = "skipped: the SOQL parsers are not installed (tests/e2e/install-clients.sh)";
        assert!(
            std::env::var_os("PRIVET_CI").is_none_or(|v| v != "1"),
            "{text}"
        );
        println!("{text}");
        return None;
    }
    Some(asked(&modules, queries).unwrap_or_else(|complaint| panic!("{complaint}")))
}

/// What the parsers in `modules` say; else what node complains of.
fn asked(modules: &Path, queries: &[String]) -> Result<Vec<(bool, bool)>, String> {
    let mut child = Command::new("node")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/grammar.js"))
        .env_clear()
        .envs(std::env::var_os("PATH").map(|p| ("PATH", p)))
        .env("NODE_PATH", modules)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("node: {e}"))?;
    let text = serde_json::to_vec(queries).unwrap();
    // node reads all of its input before it writes anything, or fails before it reads: then stderr says why.
    let _ = child.stdin.take().unwrap().write_all(&text);
    let output = child.wait_with_output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let answer: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let verdict = |v: &Value| (v[0].as_bool().unwrap(), v[1].as_bool().unwrap());
    Ok(answer.iter().map(verdict).collect())
}

/// `query` with what is documented and neither of the others knows spelt as they know it; `None` = nothing of that.
fn as_others_spell_it(query: &str) -> Option<String> {
    // ALL ROWS is Apex's own; the API writes zones without a colon; a number may have its sign.
    let known = query.strip_suffix(" ALL ROWS").unwrap_or(query);
    let known = known
        .replace(".000+0100", ".000+01:00")
        .replace(" +7", " 7");
    (known != query).then_some(known)
}

#[test]
fn privet_reads_the_soql_that_others_read_and_no_other() {
    let mut writer = Writer {
        state: 0x5eed_0f50_9171_u64,
    };
    let mut queries: Vec<String> = (0..QUERIES).map(|_| writer.query()).collect();
    for n in 0..QUERIES {
        let damaged = writer.damaged(&queries[n]);
        queries.push(damaged);
    }
    let mut respelt = Vec::new();
    for n in 0..queries.len() {
        if let Some(query) = as_others_spell_it(&queries[n]) {
            respelt.push((n, queries.len()));
            queries.push(query);
        }
    }
    let Some(mut verdicts) = verdicts(&queries) else {
        return;
    };
    assert_eq!(verdicts.len(), queries.len());
    for (n, other) in respelt {
        let (first, second) = verdicts[other];
        verdicts[n].0 |= first;
        verdicts[n].1 |= second;
    }
    queries.truncate(2 * QUERIES);
    let (mut accepted, mut named, mut refused, mut damaged) = (0, 0, 0, 0);
    let (mut wrong, mut alone) = (Vec::new(), Vec::new());
    for (n, (query, (first, second))) in queries.iter().zip(verdicts).enumerate() {
        match soql::parse(query) {
            Err(error) if n < QUERIES && first => {
                if NAMED.iter().any(|name| error.message.contains(name)) {
                    named += 1;
                } else {
                    wrong.push(format!(
                        "others read it, privet does not ({error}): {query}"
                    ));
                }
            }
            Ok(_) if !first && !second => alone.push(format!("privet alone reads it: {query}")),
            Ok(_) => {
                accepted += 1;
                damaged += usize::from(n >= QUERIES);
            }
            Err(_) => refused += usize::from(!first && !second),
        }
    }
    println!(
        "read by privet and another: {accepted}, {damaged} of them damaged; refused by name: {named}; \
         refused by all: {refused}; read by privet alone: {}",
        alone.len()
    );
    for mut list in [wrong, alone] {
        list.sort();
        assert!(
            list.is_empty(),
            "{}\n{}",
            list.len(),
            list[..list.len().min(30)].join("\n")
        );
    }
    assert!(accepted > QUERIES * 3 / 4, "{accepted}");
    assert!(refused > QUERIES / 2, "{refused}");
}

/// A comparison with one parser of two is none.
#[test]
fn soql_is_not_compared_where_a_parser_cannot_be_loaded() {
    let modules = folder().join("grammars/node_modules");
    let Ok(first) = modules.join("@jetstreamapp").canonicalize() else {
        println!("skipped: the SOQL parsers are not installed (tests/e2e/install-clients.sh)");
        return;
    };
    let without = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(first, without.path().join("@jetstreamapp")).unwrap();
    let complaint = asked(without.path(), &["SELECT Id FROM Account".to_owned()]).unwrap_err();
    assert!(
        complaint.starts_with("tree-sitter-sfapex cannot be loaded"),
        "{complaint}"
    );
}
