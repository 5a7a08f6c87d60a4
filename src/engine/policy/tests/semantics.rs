use super::fixture::*;

#[test]
fn the_fixture_loads() {
    let loaded = loaded(&sources(&[]));
    assert_eq!(
        loaded
            .warnings
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        Vec::<String>::new()
    );
    assert_eq!(loaded.policies.version().len(), 12);
}
