//! A policy set of the size that large companies have, made from a seed: 1,000 rules, 500 fields of 10 objects, 20
//! roles, 40 classes, 6 purposes, 3 regions, 2 record flags, and a test file for it.

use privet::engine::policy::Sources;

/// xorshift64*: the same set from the same seed, everywhere.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n.max(1)
    }

    pub(crate) fn pick<'w>(&mut self, words: &[&'w str]) -> &'w str {
        words[self.below(words.len())]
    }
}

const PURPOSES: [&str; 6] = [
    "support",
    "sales",
    "billing",
    "analytics",
    "marketing",
    "audit",
];
const HEADER: &str =
    "# p, effect, who, action, what, treatment, purpose, region, when, priority, id\n";

/// The files, and the text of a test file.
pub(crate) fn set(seed: u64, rules: usize) -> (Sources, String) {
    let mut dice = Dice::new(seed);
    let mut vocabulary =
        "schema: 1\nregions: [eu, us, ap]\ndata_regions: { apis: { crm: eu } }\n".to_owned();
    vocabulary.push_str(&format!("purposes: [{}]\n", PURPOSES.join(", ")));
    let flag = |name: &str, field: &str| {
        let of: Vec<String> = (0..10)
            .map(|o| format!("O{o}: {{ field: {field}, yes: [true], no: [false] }}"))
            .collect();
        format!("  {name}: {{ {} }}\n", of.join(", "))
    };
    vocabulary.push_str("flags:\n");
    vocabulary.push_str(&flag("consent", "F0"));
    vocabulary.push_str(&flag("minor", "F1"));
    vocabulary.push_str("classes:\n");
    for c in 0..40 {
        vocabulary.push_str(&format!("  g{}.c{c}: {{ personal: true }}\n", c % 8));
    }
    let mut objects = Vec::new();
    let mut classes = "# g2, field, class\n".to_owned();
    for o in 0..10 {
        let fields: Vec<String> = (0..50)
            .map(|f| {
                let kind = if f < 2 { "boolean" } else { "string" };
                if f >= 2 {
                    let c = (f * 7 + o) % 40;
                    classes.push_str(&format!("g2, O{o}.F{f}, class:g{}.c{c}\n", c % 8));
                }
                format!("\"F{f}\": {{\"type\": \"{kind}\"}}")
            })
            .collect();
        objects.push(format!(
            "\"O{o}\": {{\"fields\": {{{}}}}}",
            fields.join(", ")
        ));
    }
    let mut roles = "# g, who, role\n".to_owned();
    for r in 0..20 {
        roles.push_str(&format!("g, user:u{r}, role:r{r}\n"));
    }
    let mut text = HEADER.to_owned();
    for i in 0..rules {
        let who = format!("role:r{}", i % 20);
        let c = dice.below(40);
        let what = match dice.below(20) {
            0 => format!("class:g{}", c % 8),
            1 => format!("O{}.F{}", dice.below(10), 2 + dice.below(48)),
            2 => format!("O{}.*", dice.below(10)),
            _ => format!("class:g{}.c{c}", c % 8),
        };
        let purpose = match dice.below(3) {
            0 => "*".to_owned(),
            1 => dice.pick(&PURPOSES).to_owned(),
            _ => {
                let first = dice.below(5);
                format!("{}|{}", PURPOSES[first], PURPOSES[first + 1])
            }
        };
        let region = dice.pick(&["*", "*", "same", "cross", "eu|us"]);
        let when = dice.pick(&[
            "-",
            "-",
            "-",
            "mfa",
            "record.consent=yes",
            "!record.minor=yes",
            "session<15m",
        ]);
        let row = match dice.below(10) {
            0 => format!("deny, {who}, export, {what}, -, {purpose}, {region}, {when}, -"),
            1 => format!("allow, {who}, filter|sort, {what}, -, {purpose}, {region}, {when}, -"),
            2 => format!("allow, {who}, write, {what}, -, {purpose}, {region}, {when}, -"),
            _ => {
                let treatment = dice.pick(&["clear", "mask:all", "redact", "drop"]);
                let priority = dice.pick(&["-", "20", "90"]);
                format!(
                    "allow, {who}, read, {what}, {treatment}, {purpose}, {region}, {when}, {priority}"
                )
            }
        };
        text.push_str(&format!("p, {row}, rule-{i}\n"));
    }
    let mut tests = "schema: 1\nnow: \"2026-11-23T10:00:00Z\"\ncallers:\n".to_owned();
    for r in 0..20 {
        tests.push_str(&format!(
            "  c{r}: {{ user: x{r}, roles: [r{r}], region: eu, mfa: true }}\n"
        ));
    }
    tests.push_str("tests:\n");
    for t in 0..100 {
        let o = t % 10;
        tests.push_str(&format!(
            "  - {{ name: t{t}, purpose: {}, object: O{o}, record: {{ region: eu }}, expect: {{ c{}: {{ F0: drop }} }} }}\n",
            PURPOSES[t % 6],
            t % 20,
        ));
    }
    tests.push_str("never:\n");
    for c in 0..40 {
        tests.push_str(&format!(
            "  - {{ class: g{}.c{c}, region: cross, treatment: deny }}\n",
            c % 8
        ));
    }
    let schema = format!(
        r#"{{"schema":1,"api":"crm","dialect":"salesforce","objects":{{{}}}}}"#,
        objects.join(",\n")
    );
    let files = [
        ("vocabulary.yaml", vocabulary),
        ("schema/crm.json", schema),
        ("classes/crm.csv", classes),
        ("roles.csv", roles),
        ("rules/all.csv", text),
    ];
    let files = files.map(|(p, t)| (p.to_owned(), t.into_bytes())).to_vec();
    (Sources { files }, tests)
}

/// The same set after a day's work: every fiftieth rule says something else.
pub(crate) fn edited(sources: &Sources) -> Sources {
    let mut edited = sources.clone();
    for (path, bytes) in &mut edited.files {
        if path == "rules/all.csv" {
            let text = String::from_utf8_lossy(bytes).into_owned();
            let lines: Vec<String> = text
                .lines()
                .enumerate()
                .map(|(i, line)| match i % 50 {
                    7 => line
                        .replace(", redact,", ", clear,")
                        .replace(", mask:all,", ", redact,"),
                    _ => line.to_owned(),
                })
                .collect();
            *bytes = lines.join("\n").into_bytes();
        }
    }
    edited
}
