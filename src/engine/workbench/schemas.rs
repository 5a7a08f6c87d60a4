//! JSON Schemas of the YAML files, for editors. The readers stay the authority: a schema knows no names of the set.

/// (file name, text).
pub const SCHEMAS: [(&str, &str); 5] = [
    ("api.schema.json", include_str!("schemas/api.schema.json")),
    (
        "monitors.schema.json",
        include_str!("schemas/monitors.schema.json"),
    ),
    (
        "policy-test.schema.json",
        include_str!("schemas/policy-test.schema.json"),
    ),
    (
        "privet.schema.json",
        include_str!("schemas/privet.schema.json"),
    ),
    (
        "vocabulary.schema.json",
        include_str!("schemas/vocabulary.schema.json"),
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::SCHEMAS;
    use crate::engine::policy::vocabulary;
    use crate::engine::workbench::suite::keys;

    fn properties(name: &str, pointer: &str) -> BTreeSet<String> {
        let (_, text) = SCHEMAS.iter().find(|(n, _)| *n == name).unwrap();
        let schema: serde_json::Value = serde_json::from_str(text).unwrap();
        let at = schema.pointer(&format!("{pointer}/properties")).unwrap();
        at.as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn every_key_that_a_reader_knows_is_in_the_schema() {
        let tests = "/properties/tests/items";
        for (file, pointer, known) in [
            ("vocabulary.schema.json", "", &vocabulary::KEYS[..]),
            ("policy-test.schema.json", "", &keys::FILE[..]),
            (
                "policy-test.schema.json",
                "/properties/callers/additionalProperties",
                &keys::CALLER[..],
            ),
            ("policy-test.schema.json", tests, &keys::TEST[..]),
            (
                "policy-test.schema.json",
                &format!("{tests}/properties/request"),
                &keys::REQUEST[..],
            ),
            (
                "policy-test.schema.json",
                &format!("{tests}/properties/expect_refusal"),
                &keys::REFUSAL[..],
            ),
            (
                "policy-test.schema.json",
                "/properties/never/items",
                &keys::NEVER[..],
            ),
        ] {
            let known: BTreeSet<String> = known.iter().map(ToString::to_string).collect();
            assert_eq!(properties(file, pointer), known, "{file} {pointer}");
        }
    }

    /// The words of all `properties` below `node`.
    fn all_properties(node: &serde_json::Value, found: &mut BTreeSet<String>) {
        match node {
            serde_json::Value::Object(all) => {
                let properties = all.get("properties").and_then(|p| p.as_object());
                found.extend(properties.into_iter().flat_map(|p| p.keys().cloned()));
                all.values().for_each(|v| all_properties(v, found));
            }
            serde_json::Value::Array(all) => all.iter().for_each(|v| all_properties(v, found)),
            _ => {}
        }
    }

    /// The reader of API maps takes its keys one by one; each that it takes is in the schema, and the reverse.
    #[test]
    fn the_schema_of_api_maps_has_the_keys_that_the_reader_takes() {
        let reader = [
            include_str!("../protocol/map/parse/mod.rs"),
            include_str!("../protocol/map/parse/paths.rs"),
            include_str!("../protocol/map/parse/request_body.rs"),
        ]
        .concat();
        let mut taken = BTreeSet::new();
        for call in ["take(\"", "need(\"", "need_text(\""] {
            for (at, _) in reader.match_indices(call) {
                let word = reader[at + call.len()..].split('"').next().unwrap();
                taken.insert(word.to_owned());
            }
        }
        let (_, text) = SCHEMAS
            .iter()
            .find(|(n, _)| *n == "api.schema.json")
            .unwrap();
        let mut known = BTreeSet::new();
        all_properties(&serde_json::from_str(text).unwrap(), &mut known);
        assert_eq!(known, taken);
    }
}
