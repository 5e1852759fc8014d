use super::*;
use component::Properties;
use std::path::Path;

fn sidecar(app_id: &str, port: u16) -> Open {
    Open {
        app_id: app_id.into(),
        namespace: "default".into(),
        host_address: "127.0.0.1".into(),
        internal_port: port,
        ..Open::default()
    }
}

async fn open_with(folder: &Path, cx: Open, more: &[(&str, &str)]) -> Result<Resolver, OpenError> {
    let path = folder.join("nr.db").display().to_string();
    let mut properties: Properties = [("connectionString", path.as_str())].into_iter().collect();
    for (name, value) in more {
        properties.set(*name, *value);
    }
    Resolver::open(Options::decode(&properties)?, cx).await
}

async fn open(folder: &Path, app_id: &str, port: u16) -> Resolver {
    open_with(folder, sidecar(app_id, port), &[]).await.unwrap()
}

async fn resolve(resolver: &Resolver, app_id: &str, namespace: &str) -> Vec<String> {
    let request = Resolve {
        app_id,
        namespace,
        port: 50002,
    };
    let mut found = resolver.resolve(request).await.unwrap();
    found.sort();
    found
}

fn raw(folder: &Path) -> Connection {
    Connection::open(folder.join("nr.db")).unwrap()
}

#[tokio::test]
async fn sidecars_find_each_other_until_they_close() {
    let folder = tempfile::tempdir().unwrap();
    let a = open(folder.path(), "a", 1001).await;
    let (b, other) = (
        open(folder.path(), "b", 1002).await,
        open(folder.path(), "b", 1003).await,
    );
    assert_eq!(resolve(&a, "b", "default").await, ["127.0.0.1:1002", "127.0.0.1:1003"]);
    assert_eq!(resolve(&b, "a", "default").await, ["127.0.0.1:1001"]);
    assert_eq!(resolve(&a, "a", "elsewhere").await, ["127.0.0.1:1001"]);
    // What the original writes has no namespace, and is found from all.
    raw(folder.path())
        .execute(
            "INSERT INTO hosts VALUES ('x', '127.0.0.1:1009', 'a', '', unixepoch())",
            [],
        )
        .unwrap();
    assert_eq!(resolve(&a, "a", "default").await, ["127.0.0.1:1001", "127.0.0.1:1009"]);
    assert_eq!(resolve(&a, "a", "elsewhere").await, ["127.0.0.1:1009"]);
    raw(folder.path())
        .execute("DELETE FROM hosts WHERE registration_id = 'x'", [])
        .unwrap();
    assert!(resolve(&a, "c", "default").await.is_empty());
    assert!(!a.cacheable());
    other.close().await;
    assert_eq!(resolve(&a, "b", "default").await, ["127.0.0.1:1002"]);
    // The address passes to whoever has it now.
    let c = open(folder.path(), "c", 1002).await;
    assert!(resolve(&a, "b", "default").await.is_empty());
    assert_eq!(resolve(&a, "c", "default").await, ["127.0.0.1:1002"]);
    c.close().await;
    assert_eq!(
        raw(folder.path())
            .query_row("SELECT count(*) FROM hosts", [], |row| row.get::<_, i64>(0))
            .unwrap(),
        1
    );
}

#[tokio::test]
async fn what_is_not_renewed_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let more = [("updateInterval", "2s"), ("cleanupInterval", "3s")];
    let a = open_with(folder.path(), sidecar("a", 1001), &more).await.unwrap();
    let b = open_with(folder.path(), sidecar("b", 1002), &more).await.unwrap();
    b.cancel.cancel();
    raw(folder.path())
        .execute("DELETE FROM hosts WHERE app_id = 'a'", [])
        .unwrap();
    tokio::time::sleep(Duration::from_millis(4200)).await;
    assert!(resolve(&a, "b", "default").await.is_empty());
    assert_eq!(resolve(&a, "a", "default").await, ["127.0.0.1:1001"]);
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(
        raw(folder.path())
            .query_row("SELECT count(*) FROM hosts", [], |row| row.get::<_, i64>(0))
            .unwrap(),
        1
    );
    a.close().await;
}

#[tokio::test]
async fn what_is_wrong_is_told() {
    let folder = tempfile::tempdir().unwrap();
    for (more, told) in [
        (&[("connectionString", "")][..], "missing connection string"),
        (&[("connectionString", ":memory:")], "needs a file"),
        (&[("timeout", "500ms")], "timeout"),
        (&[("updateInterval", "1s")], "updateInterval"),
        (&[("tableName", "a b")], "invalid identifier"),
    ] {
        let error = open_with(folder.path(), sidecar("a", 1001), more)
            .await
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains(told), "{error}");
    }
    assert!(open_with(folder.path(), Open::default(), &[]).await.is_err());
    let v6 = Open {
        host_address: "::1".into(),
        ..sidecar("a", 1001)
    };
    let a = open_with(folder.path(), v6, &[]).await.unwrap();
    assert_eq!(resolve(&a, "a", "default").await, ["[::1]:1001"]);
}
