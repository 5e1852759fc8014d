use super::*;
use bytes::Bytes;
use component::{
    Config, ErrorKind, Properties,
    state::{Concurrency, Options as WriteOptions},
};
use std::path::Path;

async fn open_with(properties: &[(&str, &str)]) -> Result<State, OpenError> {
    let properties: Properties = properties.iter().copied().collect();
    State::open(Options::decode(&properties)?, Open::default()).await
}

async fn open(folder: &Path) -> State {
    let path = folder.join("deep/data.db");
    open_with(&[("connectionString", &path.display().to_string())])
        .await
        .unwrap()
}

fn set(key: &str, value: &str) -> Set {
    Set {
        key: key.into(),
        value: Bytes::copy_from_slice(value.as_bytes()),
        ..Set::default()
    }
}

fn with_ttl(key: &str, seconds: &str) -> Set {
    let mut request = set(key, "1");
    request.metadata.insert("ttlInSeconds".into(), seconds.into());
    request
}

async fn get(store: &State, key: &str) -> Option<Item> {
    let request = Get {
        key: key.into(),
        ..Get::default()
    };
    store.get(request).await.unwrap()
}

async fn list(
    store: &State,
    pattern: &str,
    limit: Option<u32>,
    token: Option<String>,
) -> Result<(Vec<String>, Option<String>), ComponentError> {
    let lister = StateStore::keys_like(store).unwrap();
    lister.keys_like(pattern, limit, token).await
}

fn raw(folder: &Path) -> Connection {
    Connection::open(folder.join("deep/data.db")).unwrap()
}

#[tokio::test]
async fn writes_and_reads_in_each_mode() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.db").display().to_string();
    for (string, disable_wal) in [
        (path.as_str(), "false"),
        (&path, "true"),
        (":memory:", "false"),
        ("file:x?mode=memory", "false"),
    ] {
        let store = open_with(&[("connectionString", string), ("disableWAL", disable_wal)])
            .await
            .unwrap();
        for value in [
            "{\"a\": 1}",
            "\"text\"",
            "plain",
            "",
            "\n\t123456789",
            "12",
            "\u{0}\u{1}",
        ] {
            store.set(set("k", value)).await.unwrap();
            let item = get(&store, "k").await.unwrap();
            assert_eq!(item.data, value.as_bytes());
            assert_eq!(item.etag.map(|etag| etag.len()), Some(36));
            assert!(item.metadata.is_empty());
        }
        store
            .delete(Delete {
                key: "k".into(),
                ..Delete::default()
            })
            .await
            .unwrap();
        store
            .delete(Delete {
                key: "k".into(),
                ..Delete::default()
            })
            .await
            .unwrap();
        assert_eq!(get(&store, "k").await, None);
        store.ping().await.unwrap();
        store.close().await;
        assert!(store.set(set("k", "1")).await.is_err());
    }
}

#[tokio::test]
async fn rows_are_those_of_dapr() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    store.set(set("json", "{\"a\": 1}")).await.unwrap();
    store.set(set("bytes", "\u{8}\u{1}")).await.unwrap();
    let mut declared = set("declared", "1");
    declared.content_type = Some("application/octet-stream".into());
    store.set(declared).await.unwrap();
    store.set(with_ttl("ttl", "10")).await.unwrap();
    let other = raw(folder.path());
    let row = |key: &str| -> (String, i64, String) {
        other
            .query_row(
                "SELECT value, is_binary, typeof(update_time) FROM state WHERE key = ?1",
                [key],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .unwrap()
    };
    assert_eq!(row("json"), ("{\"a\": 1}".into(), 0, "text".into()));
    assert_eq!(row("bytes"), ("CAE=".into(), 1, "text".into()));
    assert_eq!(row("declared"), ("MQ==".into(), 1, "text".into()));
    let left: i64 = other
        .query_row(
            "SELECT unixepoch(expiration_time) - unixepoch() FROM state WHERE key = 'ttl'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert!((9..=10).contains(&left), "{left}");
    let level: String = other
        .query_row("SELECT value FROM metadata WHERE key = 'migrations'", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(level, "1");
    // What another program writes is seen at once.
    other
        .execute(
            "INSERT INTO state (key, value, is_binary, etag) VALUES ('theirs', 'aGk=', 1, 'x')",
            [],
        )
        .unwrap();
    assert_eq!(get(&store, "theirs").await.unwrap().data, "hi");
}

#[tokio::test]
async fn tables_made_by_others_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("deep")).unwrap();
    let other = raw(folder.path());
    other
        .execute_batch(
            "CREATE TABLE metadata (key text NOT NULL PRIMARY KEY, value text NOT NULL);
             INSERT INTO metadata VALUES ('migrations', '1');
             CREATE TABLE inttest (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL, is_binary BOOLEAN NOT NULL, etag TEXT NOT NULL,
               expiration_time TIMESTAMP DEFAULT NULL, update_time TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)",
        )
        .unwrap();
    let uri = format!("file:{}/deep/data.db", folder.path().display());
    let store = open_with(&[
        ("connectionString", &uri),
        ("tableName", "inttest"),
        ("disableWAL", "true"),
    ])
    .await
    .unwrap();
    store.set(set("k", "1")).await.unwrap();
    let count: i64 = other
        .query_row("SELECT count(*) FROM inttest", [], |row| row.get(0))
        .unwrap();
    assert_eq!(count, 1);
}

#[tokio::test]
async fn entity_tags() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let first_write = |key: &str| Set {
        options: WriteOptions {
            concurrency: Concurrency::FirstWrite,
            ..WriteOptions::default()
        },
        ..set(key, "1")
    };
    store.set(first_write("k")).await.unwrap();
    let clash = store.set(first_write("k")).await.unwrap_err();
    assert_eq!(clash.kind, ErrorKind::EtagMismatch);
    assert!(
        clash
            .message
            .starts_with("possible etag mismatch. error from state store"),
        "{clash}"
    );

    let etag = get(&store, "k").await.unwrap().etag;
    let with = |etag: Option<String>| Set { etag, ..set("k", "2") };
    store.set(with(etag.clone())).await.unwrap();
    assert_eq!(
        store.set(with(etag.clone())).await.unwrap_err().kind,
        ErrorKind::EtagMismatch
    );
    let last_write = Set {
        options: WriteOptions {
            concurrency: Concurrency::LastWrite,
            ..WriteOptions::default()
        },
        ..with(etag.clone())
    };
    assert_eq!(store.set(last_write).await.unwrap_err().kind, ErrorKind::EtagMismatch);
    assert_eq!(get(&store, "k").await.unwrap().data, "2");

    let delete = |etag: Option<String>| Delete {
        key: "k".into(),
        etag,
        ..Delete::default()
    };
    assert_eq!(
        store.delete(delete(etag)).await.unwrap_err().kind,
        ErrorKind::EtagMismatch
    );
    let current = get(&store, "k").await.unwrap().etag;
    store.delete(delete(current)).await.unwrap();
    store.set(first_write("k")).await.unwrap();
}

#[tokio::test]
async fn time_to_live() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    for (ttl, good) in [
        ("-2", false),
        ("x", false),
        ("-1", true),
        ("0", true),
        ("", true),
        ("9223372036854775807", true),
    ] {
        assert_eq!(store.set(with_ttl("k", ttl)).await.is_ok(), good, "{ttl}");
    }
    assert!(get(&store, "k").await.unwrap().metadata.is_empty());
    store.set(with_ttl("k", "1000")).await.unwrap();
    let expires = get(&store, "k")
        .await
        .unwrap()
        .metadata
        .remove("ttlExpireTime")
        .unwrap();
    let expires: jiff::Timestamp = expires.parse().unwrap();
    let left = expires.duration_since(jiff::Timestamp::now()).as_secs();
    assert!((990..=1000).contains(&left), "{left}");
    store.set(set("k", "1")).await.unwrap();
    assert!(get(&store, "k").await.unwrap().metadata.is_empty());

    store.set(with_ttl("k", "1")).await.unwrap();
    let etag = get(&store, "k").await.unwrap().etag;
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert_eq!(get(&store, "k").await, None);
    assert_eq!(list(&store, "%", None, None).await.unwrap().0, Vec::<String>::new());
    // An expired row is as good as none, though it is still there.
    let stale = Set { etag, ..set("k", "2") };
    assert_eq!(store.set(stale).await.unwrap_err().kind, ErrorKind::EtagMismatch);
    let first_write = Set {
        options: WriteOptions {
            concurrency: Concurrency::FirstWrite,
            ..WriteOptions::default()
        },
        ..set("k", "3")
    };
    store.set(first_write).await.unwrap();
    assert_eq!(get(&store, "k").await.unwrap().data, "3");
}

#[tokio::test]
async fn expired_rows_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/data.db").display().to_string();
    let properties = [("connectionString", path.as_str()), ("cleanupInterval", "1s")];
    let (store, other) = (
        open_with(&properties).await.unwrap(),
        open_with(&properties).await.unwrap(),
    );
    store.set(with_ttl("k", "1")).await.unwrap();
    store.set(set("stays", "1")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(4500)).await;
    let count: i64 = raw(folder.path())
        .query_row("SELECT count(*) FROM state", [], |row| row.get(0))
        .unwrap();
    assert_eq!(count, 1);
    store.close().await;
    other.close().await;
}

#[tokio::test]
async fn transactions_are_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    store.set(set("a", "1")).await.unwrap();
    let delete = |key: &str, etag: Option<&str>| {
        Operation::Delete(Delete {
            key: key.into(),
            etag: etag.map(Into::into),
            ..Delete::default()
        })
    };
    let transactions = store.transactions().unwrap();
    let failing = vec![
        delete("a", None),
        Operation::Upsert(set("b", "1")),
        delete("a", Some("other")),
    ];
    let error = transactions.execute(failing, Metadata::new()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::EtagMismatch);
    assert!(get(&store, "a").await.is_some() && get(&store, "b").await.is_none());
    let good = vec![
        Operation::Upsert(set("b", "1")),
        delete("a", None),
        Operation::Upsert(set("b", "2")),
    ];
    transactions.execute(good, Metadata::new()).await.unwrap();
    assert!(get(&store, "a").await.is_none());
    assert_eq!(get(&store, "b").await.unwrap().data, "2");
    transactions.execute(Vec::new(), Metadata::new()).await.unwrap();
}

#[tokio::test]
async fn many_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let sets = (0..100).map(|n| set(&format!("k{n}"), "1")).collect();
    store.bulk_set(sets).await.unwrap();
    let keys = ["k1", "none", "k99", "k1"].map(|key| Get {
        key: key.into(),
        ..Get::default()
    });
    let found = store.bulk_get(keys.to_vec(), 10).await.unwrap();
    let found: Vec<_> = found
        .into_iter()
        .map(|item| (item.key, item.result.unwrap().is_some()))
        .collect();
    assert_eq!(
        found,
        [
            ("k1".into(), true),
            ("none".into(), false),
            ("k99".into(), true),
            ("k1".to_owned(), true)
        ]
    );
    let wrong = vec![
        set("k1", "2"),
        Set {
            etag: Some("x".into()),
            ..set("k2", "2")
        },
        with_ttl("k3", "-5"),
    ];
    let error = store.bulk_set(wrong).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::EtagMismatch);
    assert!(error.message.contains("must be -1 or greater"), "{error}");
    assert_eq!(get(&store, "k1").await.unwrap().data, "2");
    let deletes = (0..100)
        .map(|n| Delete {
            key: format!("k{n}"),
            ..Delete::default()
        })
        .collect();
    store.bulk_delete(deletes).await.unwrap();
    assert_eq!(list(&store, "k%", None, None).await.unwrap(), (Vec::new(), None));
}

#[tokio::test]
async fn keys_are_listed_in_the_order_of_their_first_write() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    for key in ["a||3", "a||1", "b||9", "A||7", "a||2", "a_x", "a||1"] {
        store.set(set(key, "1")).await.unwrap();
    }
    let page = |limit, token| list(&store, "a||%", limit, token);
    assert_eq!(page(None, None).await.unwrap().0, ["a||3", "a||1", "a||2"]);
    let (keys, token) = page(Some(2), None).await.unwrap();
    assert_eq!(keys, ["a||3", "a||1"]);
    assert_eq!(page(Some(2), token).await.unwrap(), (vec!["a||2".to_owned()], None));
    assert_eq!(page(Some(3), None).await.unwrap().1, None);
    assert_eq!(list(&store, "a\\_%", None, None).await.unwrap().0, ["a_x"]);
    assert!(page(None, Some("x".into())).await.is_err());
}

#[tokio::test]
async fn what_is_wrong_is_told() {
    for (properties, told) in [
        (&[][..], "missing connection string"),
        (&[("connectionString", " ")], "missing connection string"),
        (
            &[("connectionString", "x.db"), ("tableName", "a;b")],
            "invalid identifier",
        ),
        (&[("connectionString", "x.db"), ("timeout", "0")], "timeout"),
        (
            &[("connectionString", "x.db"), ("cleanupInterval", "often")],
            "cleanupInterval",
        ),
        (&[("connectionString", "file:/nowhere/x.db?mode=ro")], "unable to open"),
    ] {
        let error = open_with(properties).await.err().unwrap().to_string();
        assert!(error.contains(told), "{error}");
    }
    let error = open_with(&[]).await.err().unwrap().to_string();
    assert_eq!(error, "missing connection string");
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let unknown = Set {
        options: WriteOptions {
            concurrency: Concurrency::Unknown,
            ..WriteOptions::default()
        },
        ..set("k", "1")
    };
    assert!(store.set(unknown).await.is_err());
    assert!(store.set(set("", "1")).await.is_err());
    let names: Vec<_> = store.features().into_iter().map(Feature::name).collect();
    assert_eq!(names, ["ETAG", "TRANSACTIONAL", "TTL", "KEYS_LIKE"]);
    assert!(
        Options::fields()
            .iter()
            .any(|field| field.name == "connectionString" && field.required)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_file_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    store.set(set("k", "1")).await.unwrap();
    let uri = format!("file:{}/deep/data.db?mode=ro", folder.path().display());
    let reader = open_with(&[("connectionString", &uri)]).await.unwrap();
    assert_eq!(get(&reader, "k").await.unwrap().data, "1");
    let error = reader.set(set("k", "2")).await.unwrap_err();
    assert!(error.message.contains("readonly"), "{error}");
    assert_eq!(error.kind, ErrorKind::Permanent);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sidecars_write_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let stores = [Arc::new(open(folder.path()).await), Arc::new(open(folder.path()).await)];
    let mut tasks = Vec::new();
    for (number, store) in stores.iter().enumerate() {
        for task in 0..8 {
            let store = store.clone();
            tasks.push(tokio::spawn(async move {
                for n in 0..25 {
                    store.set(set(&format!("{number}-{task}-{n}"), "1")).await.unwrap();
                }
            }));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(list(&stores[0], "%", None, None).await.unwrap().0.len(), 400);
}
