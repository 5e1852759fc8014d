use super::*;
use component::ErrorKind;
use jiff::Timestamp;

async fn open() -> State {
    State::open((), Open::default()).await.expect("opens")
}

fn set(key: &str, value: &str) -> Set {
    Set {
        key: key.into(),
        value: Bytes::copy_from_slice(value.as_bytes()),
        ..Set::default()
    }
}

fn with_ttl(key: &str, seconds: &str) -> Set {
    Set {
        metadata: Metadata::from([("ttlInSeconds".into(), seconds.into())]),
        ..set(key, "v")
    }
}

async fn read(store: &State, key: &str) -> Option<Item> {
    let request = Get {
        key: key.into(),
        ..Get::default()
    };
    store.get(request).await.expect("reads")
}

#[tokio::test]
async fn reads_what_was_written() {
    let store = open().await;
    assert_eq!(read(&store, "a").await, None);
    store.set(set("a", "1")).await.expect("writes");
    let first = read(&store, "a").await.expect("is there");
    assert_eq!(first.data, "1");
    store.set(set("a", "2")).await.expect("writes");
    let second = read(&store, "a").await.expect("is there");
    assert_eq!(second.data, "2");
    assert_ne!(first.etag, second.etag);
    let delete = Delete {
        key: "a".into(),
        ..Delete::default()
    };
    store.delete(delete.clone()).await.expect("deletes");
    store.delete(delete).await.expect("what is gone may be deleted");
    assert_eq!(read(&store, "a").await, None);
}

#[tokio::test]
async fn entity_tags_count_also_with_last_write() {
    let store = open().await;
    let tagged = |etag: &str| Set {
        etag: Some(etag.into()),
        ..set("a", "2")
    };
    let error = store.set(tagged("1")).await.expect_err("there is no key yet");
    assert_eq!(error.kind, ErrorKind::EtagMismatch);
    store.set(set("a", "1")).await.expect("writes");
    let etag = read(&store, "a").await.and_then(|item| item.etag).expect("has a tag");
    assert_eq!(
        store.set(tagged("wrong")).await.map_err(|e| e.kind),
        Err(ErrorKind::EtagMismatch)
    );
    store.set(tagged("")).await.expect("an empty tag is none");
    let stale = store.set(tagged(&etag)).await.map_err(|e| e.kind);
    assert_eq!(stale, Err(ErrorKind::EtagMismatch));
    let etag = read(&store, "a").await.and_then(|item| item.etag).expect("has a tag");
    store.set(tagged(&etag)).await.expect("the current tag is taken");
}

#[tokio::test]
async fn first_write_needs_the_tag_of_what_is_there() {
    let store = open().await;
    let first = || Set {
        options: Options {
            concurrency: Concurrency::FirstWrite,
            ..Options::default()
        },
        ..set("a", "1")
    };
    store.set(first()).await.expect("nothing is there");
    assert_eq!(
        store.set(first()).await.map_err(|e| e.kind),
        Err(ErrorKind::EtagMismatch)
    );
    let unknown = Set {
        options: Options {
            concurrency: Concurrency::Unknown,
            ..Options::default()
        },
        ..set("b", "1")
    };
    assert_eq!(store.set(unknown).await.map_err(|e| e.kind), Err(ErrorKind::Permanent));
}

#[tokio::test]
async fn a_transaction_is_done_whole_or_not_at_all() {
    let store = open().await;
    store.set(set("keep", "1")).await.expect("writes");
    let writes = (0..100).map(|i| Operation::Upsert(set(&format!("k{i}"), "v")));
    let clash = Operation::Delete(Delete {
        key: "keep".into(),
        etag: Some("other".into()),
        ..Delete::default()
    });
    let error = store
        .execute(writes.clone().chain([clash]).collect(), Metadata::new())
        .await
        .expect_err("the tag is wrong");
    assert_eq!(error.kind, ErrorKind::EtagMismatch);
    assert_eq!(read(&store, "k0").await, None);
    let delete = Operation::Delete(Delete {
        key: "keep".into(),
        ..Delete::default()
    });
    store
        .execute(writes.chain([delete]).collect(), Metadata::new())
        .await
        .expect("runs");
    assert_eq!(read(&store, "keep").await, None);
    assert_eq!(read(&store, "k99").await.map(|item| item.data), Some("v".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn transactions_over_the_same_keys_do_not_lock_each_other_out() {
    let store = Arc::new(open().await);
    let tasks = (0..8).map(|task| {
        let store = store.clone();
        tokio::spawn(async move {
            for round in 0..200 {
                let mut keys: Vec<String> = (0..10).map(|i| format!("k{i}")).collect();
                if task % 2 == 0 {
                    keys.reverse();
                }
                let value = format!("{task}-{round}");
                let writes = keys.iter().map(|key| Operation::Upsert(set(key, &value))).collect();
                store.execute(writes, Metadata::new()).await.expect("runs");
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("ends");
    }
    let first = read(&store, "k0").await.map(|item| item.data);
    for i in 1..10 {
        assert_eq!(read(&store, &format!("k{i}")).await.map(|item| item.data), first);
    }
}

#[tokio::test(start_paused = true)]
async fn values_expire_and_are_freed() {
    let store = open().await;
    store.set(with_ttl("soon", "3")).await.expect("writes");
    store.set(with_ttl("later", "100")).await.expect("writes");
    for (key, ttl) in [("zero", "0"), ("ever", "-1"), ("below", "-2"), ("none", "")] {
        store.set(with_ttl(key, ttl)).await.expect("writes");
    }
    let item = read(&store, "soon").await.expect("is there");
    let end: Timestamp = item.metadata["ttlExpireTime"].parse().expect("a time");
    let left = end.duration_since(Timestamp::now()).as_secs();
    assert!((1..=3).contains(&left), "{left}");
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(read(&store, "soon").await, None);
    store.set(with_ttl("soon", "1")).await.expect("writes");
    tokio::time::sleep(Duration::from_secs(4)).await;
    let held: usize = store.table.shards.iter().map(|shard| shard.lock().held().0).sum();
    assert_eq!(held, 5, "the janitor freed it without a read");
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(read(&store, "later").await, None);
    for key in ["zero", "ever", "below", "none"] {
        assert!(
            read(&store, key).await.is_some_and(|item| item.metadata.is_empty()),
            "{key}"
        );
    }
    assert!(store.set(with_ttl("bad", "soon")).await.is_err());
}

#[tokio::test]
async fn nothing_stays_of_what_was_deleted() {
    let store = open().await;
    for i in 0..20_000 {
        store.set(with_ttl(&format!("k{i}"), "1000")).await.expect("writes");
        store.set(with_ttl(&format!("k{i}"), "2000")).await.expect("writes");
    }
    for i in 0..20_000 {
        let delete = Delete {
            key: format!("k{i}"),
            ..Delete::default()
        };
        store.delete(delete).await.expect("deletes");
    }
    for shard in &store.table.shards {
        assert_eq!(shard.lock().held(), (0, 0));
        assert!(shard.lock().room() <= 2 * 64);
    }
}

async fn list(
    store: &State,
    pattern: &str,
    limit: Option<u32>,
    token: Option<String>,
) -> Result<(Vec<String>, Option<String>), ComponentError> {
    let keys: &dyn KeysLike = StateStore::keys_like(store).expect("lists keys");
    keys.keys_like(pattern, limit, token).await
}

#[tokio::test]
async fn keys_are_listed_in_pages_in_the_order_of_their_first_write() {
    let store = open().await;
    for i in 0..25 {
        store
            .set(set(&format!("app||{i}||metadata"), "v"))
            .await
            .expect("writes");
        store
            .set(set(&format!("app||{i}||history"), "v"))
            .await
            .expect("writes");
    }
    store.set(set("app||3||metadata", "again")).await.expect("writes");
    let (mut all, mut token) = (Vec::new(), None);
    loop {
        let (page, next) = list(&store, "app||%||metadata", Some(10), token).await.expect("lists");
        assert!(page.len() <= 10);
        all.extend(page);
        token = next;
        if token.is_none() {
            break;
        }
    }
    let expected: Vec<String> = (0..25).map(|i| format!("app||{i}||metadata")).collect();
    assert_eq!(all, expected);
    assert!(list(&store, "%", None, Some("x".into())).await.is_err());
    assert_eq!(list(&store, "%", None, None).await.expect("lists").0.len(), 50);
}

#[test]
fn like_patterns() {
    for (pattern, text, fits) in [
        ("", "", true),
        ("", "a", false),
        ("a", "a", true),
        ("%", "", true),
        ("%", "anything", true),
        ("a%", "abc", true),
        ("a%c", "abcbc", true),
        ("a%c", "abcb", false),
        ("%b%", "abc", true),
        ("a_c", "abc", true),
        ("a_c", "aéc", true),
        ("a_c", "ac", false),
        (r"a\%c", "a%c", true),
        (r"a\%c", "abc", false),
        (r"a\_%", "a_1", true),
        (r"a\_%", "ab1", false),
        ("A", "a", false),
        ("%%_", "", false),
        ("%%_", "x", true),
    ] {
        assert_eq!(Like::new(pattern).matches(text), fits, "{pattern} {text}");
    }
    let (pattern, text) = ("%a".repeat(50), "a".repeat(2000) + "b");
    assert!(!Like::new(&pattern).matches(&text), "and it ends soon");
}

#[tokio::test]
async fn closing_ends_the_janitor() {
    let store = open().await;
    store.set(set("a", "1")).await.expect("writes");
    store.close().await;
    assert_eq!(Arc::strong_count(&store.table), 1);
}
