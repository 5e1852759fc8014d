//! Finding sockets and what they serve.

use super::*;
use tokio::net::UnixListener;

#[tokio::test]
async fn lists_every_kind_that_a_socket_serves() {
    let folder = tempfile::tempdir().expect("a folder");
    let all = Script {
        services: &[
            "StateStore",
            "PubSub",
            "InputBinding",
            "OutputBinding",
            "SecretStore",
            "Unheard",
        ],
        ..Script::default()
    };
    let secrets = Script {
        services: &["SecretStore"],
        alpha: true,
        ..Script::default()
    };
    let _all = Fake::start(folder.path(), "all.sock", all);
    let _secrets = Fake::start(folder.path(), "my.Secrets.v2", secrets);
    let _nothing = Fake::start(folder.path(), "nothing.sock", Script::default());
    std::fs::write(folder.path().join("no-socket.sock"), "text").expect("a file");
    std::fs::create_dir(folder.path().join("folder.sock")).expect("a folder in it");

    assert_eq!(
        names(folder.path()).await,
        [
            (Kind::State, "all".to_owned()),
            (Kind::PubSub, "all".to_owned()),
            (Kind::Binding, "all".to_owned()),
            (Kind::SecretStore, "all".to_owned()),
            (Kind::SecretStore, "my.Secrets".to_owned()),
        ]
    );
}

#[tokio::test]
async fn finds_names_without_case_and_the_initial_version_only() {
    let (_folder, _fake, found) = found(Script {
        services: &["StateStore"],
        ..Script::default()
    })
    .await;
    for version in ["", "v0", "v1", "V1"] {
        assert!(find(&found, Kind::State, "TEST", version).is_some(), "{version}");
    }
    assert!(find(&found, Kind::State, "test", "v2").is_none());
    assert!(find(&found, Kind::PubSub, "test", "v1").is_none());
    assert!(find(&found, Kind::State, "other", "v1").is_none());
}

#[tokio::test]
async fn passes_over_sockets_that_do_not_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = Script {
        services: &["StateStore"],
        ..Script::default()
    };
    let _alive = Fake::start(folder.path(), "alive.sock", script);
    let _silent = UnixListener::bind(folder.path().join("silent.sock")).expect("a socket");
    drop(UnixListener::bind(folder.path().join("stale.sock")).expect("a socket"));

    let begun = std::time::Instant::now();
    assert_eq!(names(folder.path()).await, [(Kind::State, "alive".to_owned())]);
    assert!(begun.elapsed() < PATIENCE);
}

#[tokio::test]
async fn waits_a_little_for_a_component_that_is_about_to_listen() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("late.sock");
    drop(UnixListener::bind(&path).expect("a socket"));
    let script = Script {
        services: &["StateStore"],
        ..Script::default()
    };
    let start = async {
        tokio::time::sleep(QUIET).await;
        Fake::start(folder.path(), "late.sock", script)
    };
    let (names, _fake) = tokio::join!(names(folder.path()), start);
    assert_eq!(names, [(Kind::State, "late".to_owned())]);
}

#[tokio::test]
async fn a_folder_that_is_not_there_offers_nothing() {
    assert_eq!(discover(Path::new("/no/such/folder")).await, []);
}

#[tokio::test]
async fn the_error_of_init_is_the_reason() {
    let (_folder, _fake, found) = found(Script {
        services: &["StateStore"],
        init_error: Some("no such table"),
        ..Script::default()
    })
    .await;
    let error = open(&found, Kind::State, &[]).await.expect_err("Init fails");
    assert_eq!(
        error.to_string(),
        "rpc error: code = InvalidArgument desc = no such table"
    );
}

#[tokio::test]
async fn a_component_that_is_gone_cannot_be_opened() {
    let (_folder, mut fake, found) = found(Script {
        services: &["StateStore"],
        ..Script::default()
    })
    .await;
    fake.stop().await;
    let error = open(&found, Kind::State, &[])
        .await
        .expect_err("nobody listens")
        .to_string();
    assert!(
        error.starts_with("rpc error: code = Unavailable desc = connection error: "),
        "{error}"
    );
}
