use super::{
    defaults::files,
    init::{init, uninstall},
    list::age,
    publish::{is_cloud_event, path},
    *,
};
use crate::{args, messages::Messages, paths::Home};
use component::{Kind, Open, Properties};
use resources::{Filter, load};
use std::fs;

/// A home in a folder whose name has everything that means something in a URI or in YAML.
fn home() -> (tempfile::TempDir, Home) {
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join("a b#c%41 ?\"d");
    let home = Home::new(Some(&odd)).unwrap();
    (folder, home)
}

#[test]
fn init_keeps_what_was_changed_and_uninstall_removes_the_rest() {
    let (_folder, home) = home();
    let messages = Messages::default();
    init(&args::Init::default(), &home, &messages).unwrap();
    assert!(
        home.bin()
            .join("daprd")
            .canonicalize()
            .is_ok_and(|path| path == std::env::current_exe().unwrap())
    );
    let store = home.components().join("statestore.yaml");
    fs::write(&store, "changed").unwrap();
    fs::write(home.bin().join("other"), "").unwrap();
    init(&args::Init::default(), &home, &messages).unwrap();
    assert_eq!(fs::read_to_string(&store).unwrap(), "changed");
    uninstall(&args::Uninstall::default(), &home, &messages).unwrap();
    assert!(store.exists() && !home.components().join("pubsub.yaml").exists() && !home.config().exists());
    assert!(!home.bin().join("daprd").exists() && home.bin().join("other").exists());
    fs::remove_file(home.bin().join("other")).unwrap();
    fs::create_dir_all(home.data()).unwrap();
    fs::write(home.data().join("state.db"), "x").unwrap();
    uninstall(
        &args::Uninstall {
            all: true,
            ..args::Uninstall::default()
        },
        &home,
        &messages,
    )
    .unwrap();
    assert!(!home.folder().exists());
    uninstall(&args::Uninstall::default(), &home, &messages).unwrap();
}

#[test]
fn init_leaves_programs_of_others_alone() {
    let (_folder, home) = home();
    fs::create_dir_all(home.bin()).unwrap();
    let daprd = home.bin().join("daprd");
    fs::write(&daprd, "the original").unwrap();
    // a link that an executable of ours left is ours, even if that is gone
    std::os::unix::fs::symlink("/gone/outrigger", home.bin().join("dapr")).unwrap();
    let slim = args::Init {
        slim: true,
        ..args::Init::default()
    };
    init(&slim, &home, &Messages::default()).unwrap();
    assert_eq!(fs::read_to_string(&daprd).unwrap(), "the original");
    assert!(home.bin().join("dapr").exists() && !home.components().exists());
    uninstall(&args::Uninstall::default(), &home, &Messages::default()).unwrap();
    assert!(daprd.exists() && home.bin().join("dapr").symlink_metadata().is_err());
}

#[tokio::test]
async fn the_default_components_open_wherever_home_is() {
    let (_folder, home) = home();
    init(&args::Init::default(), &home, &Messages::default()).unwrap();
    let loaded = load::from_paths(&[home.components()], &Filter::default()).unwrap();
    assert_eq!(
        (loaded.problems.len(), loaded.components.len()),
        (0, 2),
        "{:?}",
        loaded.problems
    );
    for component in loaded.components {
        let (kind, name) = Kind::split(&component.spec.type_name).unwrap();
        let registry = catalog::registry();
        let entry = registry.find(kind, name, &component.spec.version).unwrap();
        let metadata = component.spec.metadata.iter();
        let properties: Properties = metadata
            .map(|item| {
                (
                    item.name.clone(),
                    item.value.clone().unwrap_or_default().as_text().into_owned(),
                )
            })
            .collect();
        let cx = Open {
            name: component.metadata.name,
            app_id: "one".into(),
            ..Open::default()
        };
        (entry.open)(properties, cx).await.unwrap();
    }
    assert!(home.data().join("state.db").is_file() && home.data().join("pubsub.db").is_file());
}

#[test]
fn the_default_configuration_is_one() {
    let (_folder, home) = home();
    let [.., configuration] = files(&home);
    assert_eq!(configuration.path, home.config());
    // what stands there as a comment must be right, too
    let with_names = configuration
        .content
        .replace("  # ", "  ")
        .replace("  Sidecars", "  # Sidecars");
    for text in [&configuration.content, &with_names] {
        let documents = resources::yaml::documents(text);
        let value = documents[0].content.as_ref().unwrap();
        let decoded = resources::decode::from_value::<resources::Configuration>(value).unwrap();
        let unknown: Vec<_> = decoded
            .unknown
            .iter()
            .filter(|field| !resources::meta::is_common_field(field))
            .collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}

#[test]
fn ages_are_in_their_largest_unit() {
    let ages: Vec<String> = [-3, 0, 59, 60, 3599, 3600, 86399, 86400 * 3]
        .into_iter()
        .map(age)
        .collect();
    assert_eq!(ages, ["0s", "0s", "59s", "1m", "59m", "1h", "23h", "3d"]);
}

#[test]
fn metadata_become_a_query() {
    assert_eq!(path("pubsub", "a/b c", None).unwrap(), "/v1.0/publish/pubsub/a%2Fb%20c");
    let metadata = r#"{"rawPayload": true, "a b": "c&d=e", "ttlInSeconds": 10}"#;
    assert_eq!(
        path("p", "t", Some(metadata)).unwrap(),
        "/v1.0/publish/p/t?metadata.rawPayload=true&metadata.a%20b=c%26d%3De&metadata.ttlInSeconds=10"
    );
    assert!(
        path("p", "t", Some("[1]"))
            .unwrap_err()
            .to_string()
            .starts_with("--metadata: expected a JSON map")
    );
}

#[test]
fn content_types_are_told_by_the_content() {
    assert_eq!(content_type(br#"{"a":1}"#), "application/json");
    assert_eq!(content_type(b"12"), "application/json");
    assert_eq!(content_type(b"hello {"), "text/plain");
    assert!(is_cloud_event(
        br#"{"specversion":"1.0","id":"1","source":"s","type":"t","data":1}"#
    ));
    assert!(!is_cloud_event(br#"{"specversion":"1.0"}"#) && !is_cloud_event(b"x"));
}

#[test]
fn payloads_come_from_the_line_or_a_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "content").unwrap();
    assert_eq!(payload(Some("x"), None).unwrap().unwrap(), "x");
    assert_eq!(payload(None, Some(file.path())).unwrap().unwrap(), "content");
    assert!(payload(None, None).unwrap().is_none());
    assert!(payload(None, Some(Path::new("/no/such/file"))).is_err());
}
