use super::*;
use component::Kind;
use std::collections::HashSet;

#[test]
fn every_name_is_offered_once_and_is_found() {
    let registry = registry();
    let mut seen = HashSet::new();
    for entry in registry.entries() {
        assert!(!entry.names.is_empty() && !entry.versions.is_empty(), "{entry:?}");
        for name in entry.names {
            assert!(
                seen.insert((entry.kind, name.to_lowercase())),
                "{entry:?} is offered twice"
            );
            for version in entry.versions {
                let found = registry.find(entry.kind, name, version).expect("is found");
                assert_eq!((found.kind, found.names), (entry.kind, entry.names));
            }
        }
    }
    assert!(registry.find(Kind::State, "none", "v1").is_none());
}

#[test]
fn every_entry_and_field_has_its_manual() {
    for entry in registry().entries() {
        let summary = entry.summary;
        assert!(summary.len() > 20 && summary.ends_with('.'), "{entry:?}: {summary}");
        let fields = (entry.fields)();
        let mut names = HashSet::new();
        for field in &fields {
            assert!(
                !field.doc.is_empty() && !field.kind.is_empty(),
                "{entry:?} {}",
                field.name
            );
            for name in std::iter::once(&field.name).chain(field.aliases) {
                assert!(names.insert(name.to_lowercase()), "{entry:?} has two fields {name}");
            }
        }
    }
}

#[cfg(all(feature = "http", feature = "local", feature = "mdns"))]
#[test]
fn what_development_needs_is_there() {
    for spec_type in [
        "bindings.http",
        "middleware.http.routeralias",
        "middleware.http.uppercase",
        "nameresolution.mdns",
        "nameresolution.nameformat",
        "pubsub.in-memory",
        "secretstores.local.env",
        "secretstores.local.file",
        "state.in-memory",
    ] {
        let (kind, name) = Kind::split(spec_type).expect("has a kind");
        for version in ["", "v0", "v1", "V1"] {
            assert!(registry().find(kind, name, version).is_some(), "{spec_type}/{version}");
        }
    }
}
