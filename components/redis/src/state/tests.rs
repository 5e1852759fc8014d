use super::*;
use crate::testing::{Server, free_port};
use component::{
    Properties,
    state::{Concurrency, Options as WriteOptions},
};
use tokio::time::sleep;

async fn open(server: &Server, more: &[(&str, &str)]) -> State {
    let host = server.host();
    let mut properties: Properties = more.iter().copied().collect();
    properties.set("redisHost", host);
    let options = Options::decode(&properties).expect("decodes");
    State::open(options, Open::default()).await.expect("opens")
}

fn set(key: &str, value: &str) -> Set {
    Set {
        key: key.into(),
        value: value.to_owned().into(),
        ..Set::default()
    }
}

fn tagged(key: &str, value: &str, etag: &str) -> Set {
    Set {
        etag: Some(etag.into()),
        ..set(key, value)
    }
}

fn with_ttl(key: &str, ttl: &str) -> Set {
    Set {
        metadata: [("ttlInSeconds".to_owned(), ttl.to_owned())].into(),
        ..set(key, "v")
    }
}

fn concurrency(concurrency: Concurrency, set: Set) -> Set {
    let options = WriteOptions {
        concurrency,
        ..WriteOptions::default()
    };
    Set { options, ..set }
}

fn delete(key: &str, etag: Option<&str>) -> Delete {
    Delete {
        key: key.into(),
        etag: etag.map(str::to_owned),
        ..Delete::default()
    }
}

async fn get(state: &State, key: &str) -> Option<Item> {
    let request = Get {
        key: key.into(),
        ..Get::default()
    };
    state.get(request).await.expect("can be read")
}

async fn seen(state: &State, key: &str) -> Option<(String, String)> {
    get(state, key).await.map(|item| {
        let data = String::from_utf8(item.data.to_vec()).expect("text");
        (data, item.etag.unwrap_or_default())
    })
}

fn pair(data: &str, etag: &str) -> Option<(String, String)> {
    Some((data.into(), etag.into()))
}

#[tokio::test]
async fn a_state_is_a_hash_of_data_and_version() {
    let server = Server::start();
    let state = open(&server, &[]).await;
    assert_eq!(seen(&state, "app||k").await, None);
    state.set(set("app||k", "one")).await.expect("writes");
    state.set(set("app||k", "two")).await.expect("writes");
    assert_eq!(seen(&state, "app||k").await, pair("two", "2"));
    let mut redis = server.connect().await;
    let hash: Vec<(String, String)> = redis::cmd("HGETALL")
        .arg("app||k")
        .query_async(&mut redis)
        .await
        .expect("a hash");
    assert_eq!(hash, [("data".into(), "two".into()), ("version".into(), "2".into())]);
    state.delete(delete("app||k", None)).await.expect("deletes");
    state
        .delete(delete("app||k", None))
        .await
        .expect("deletes what is not there");
    assert_eq!(seen(&state, "app||k").await, None);
    state.set(set("empty", "")).await.expect("writes");
    assert_eq!(seen(&state, "empty").await, pair("", "1"));
}

#[tokio::test]
async fn entity_tags_guard_writes_and_deletes() {
    let server = Server::start();
    let state = open(&server, &[]).await;
    state.set(set("k", "one")).await.expect("writes");
    state.set(tagged("k", "two", "1")).await.expect("has the tag");
    for (tag, kind) in [
        ("1", ErrorKind::EtagMismatch),
        ("0", ErrorKind::EtagMismatch),
        ("x", ErrorKind::EtagInvalid),
    ] {
        let error = state.set(tagged("k", "three", tag)).await.expect_err("another tag");
        assert_eq!(error.kind, kind);
        let error = state.delete(delete("k", Some(tag))).await.expect_err("another tag");
        assert_eq!(error.kind, kind);
    }
    let error = state.set(tagged("gone", "v", "1")).await.expect_err("not there");
    assert_eq!(error.kind, ErrorKind::EtagMismatch);
    state.set(tagged("k", "three", "")).await.expect("an empty tag is none");
    state
        .set(concurrency(Concurrency::LastWrite, tagged("k", "four", "1")))
        .await
        .expect("the last write wins");
    assert_eq!(seen(&state, "k").await, pair("four", "4"));
    state.delete(delete("k", Some("4"))).await.expect("has the tag");
    state.delete(delete("k", Some("4"))).await.expect("is gone already");
}

#[tokio::test]
async fn a_first_write_needs_a_free_key_or_the_tag() {
    let server = Server::start();
    let state = open(&server, &[]).await;
    let first = |set| concurrency(Concurrency::FirstWrite, set);
    state.set(first(set("k", "one"))).await.expect("is free");
    let error = state.set(first(set("k", "two"))).await.expect_err("is taken");
    assert_eq!(error.kind, ErrorKind::Permanent);
    state.set(first(tagged("k", "two", "1"))).await.expect("has the tag");
    let error = state
        .set(first(tagged("k", "two", "1")))
        .await
        .expect_err("another tag");
    assert_eq!(error.kind, ErrorKind::EtagMismatch);
    state.set(set("k", "three")).await.expect("the last write wins");
    let unknown = state.set(concurrency(Concurrency::Unknown, set("k", "x"))).await;
    assert_eq!(unknown.expect_err("no such word").kind, ErrorKind::Permanent);
    assert_eq!(seen(&state, "k").await, pair("three", "3"));
}

#[tokio::test]
async fn states_expire() {
    let server = Server::start();
    let state = open(&server, &[("ttlInSeconds", "100")]).await;
    let mut redis = server.connect().await;
    let mut ttl = async |key: &str| -> i64 { redis::cmd("TTL").arg(key).query_async(&mut redis).await.expect("a ttl") };
    state.set(set("k", "v")).await.expect("writes");
    assert!((90..=100).contains(&ttl("k").await), "the component's default");
    state.set(with_ttl("k", "1000")).await.expect("writes");
    assert!((990..=1000).contains(&ttl("k").await));
    let item = get(&state, "k").await.expect("is there");
    let when: jiff::Timestamp = item.metadata["ttlExpireTime"].parse().expect("RFC 3339");
    let left = when.duration_since(jiff::Timestamp::now()).as_secs();
    assert!((990..=1000).contains(&left), "{left}");
    assert!(!item.metadata["ttlExpireTime"].contains('.'), "whole seconds");
    state.set(with_ttl("k", "-1")).await.expect("writes");
    assert_eq!(ttl("k").await, -1);
    assert!(get(&state, "k").await.expect("is there").metadata.is_empty());
    state.set(with_ttl("k", "soon")).await.expect_err("no number");

    let state = open(&server, &[]).await;
    for ignored in ["0", "-5"] {
        state.set(with_ttl("forever", ignored)).await.expect("writes");
        assert_eq!(ttl("forever").await, -1);
    }
    state.set(with_ttl("short", "1")).await.expect("writes");
    sleep(Duration::from_millis(1200)).await;
    assert_eq!(seen(&state, "short").await, None);
}

#[tokio::test]
async fn keys_of_other_programs() {
    let server = Server::start();
    let state = open(&server, &[]).await;
    let mut redis = server.connect().await;
    let mut run = async |words: &str| {
        let mut words = words.split(' ');
        let mut command = redis::cmd(words.next().expect("a command"));
        for word in words {
            command.arg(word);
        }
        command.exec_async(&mut redis).await.expect("runs");
    };
    run("SET text plain").await;
    run("RPUSH list a").await;
    run("HSET hash field x").await;
    assert_eq!(seen(&state, "text").await, pair("plain", ""));
    assert_eq!(seen(&state, "hash").await, None);
    let request = |key: &str| Get {
        key: key.into(),
        ..Get::default()
    };
    assert_eq!(
        state.get(request("list")).await.expect_err("no state").kind,
        ErrorKind::Permanent
    );
    let first = concurrency(Concurrency::FirstWrite, set("hash", "v"));
    state.set(first).await.expect_err("is taken");
    state.set(tagged("text", "v", "1")).await.expect_err("has no version");
    for key in ["text", "list", "hash"] {
        state.set(set(key, "v")).await.expect("overwrites");
        assert_eq!(seen(&state, key).await, pair("v", "1"));
    }
    run("SET text plain").await;
    let all = state
        .bulk_get(vec![request("text"), request("list")], 0)
        .await
        .expect("reads");
    let mut all: Vec<_> = all
        .into_iter()
        .map(|item| (item.key, item.result.expect("reads").expect("is there").data))
        .collect();
    all.sort();
    assert_eq!(all, [("list".into(), "v".into()), ("text".into(), "plain".into())]);
}

#[tokio::test]
async fn many_keys_at_once() {
    let server = Server::start();
    let state = open(&server, &[]).await;
    let keys: Vec<String> = (0..1000).map(|i| format!("k{i}")).collect();
    state
        .bulk_set(keys.iter().map(|key| set(key, &format!("v{key}"))).collect())
        .await
        .expect("writes");
    let mut requests: Vec<Get> = keys
        .iter()
        .map(|key| Get {
            key: key.clone(),
            ..Get::default()
        })
        .collect();
    requests.push(Get {
        key: "none".into(),
        ..Get::default()
    });
    let all = state.bulk_get(requests, 10).await.expect("reads");
    assert_eq!(all.len(), 1001);
    for item in all {
        let found = item.result.expect("reads").map(|found| found.data);
        match item.key.as_str() {
            "none" => assert_eq!(found, None),
            key => assert_eq!(found, Some(format!("v{key}").into())),
        }
    }
    let mixed = vec![set("k1", "new"), tagged("k2", "new", "9"), tagged("k3", "new", "1")];
    let error = state.bulk_set(mixed).await.expect_err("one has another tag");
    assert_eq!(error.kind, ErrorKind::EtagMismatch);
    assert_eq!(seen(&state, "k1").await, pair("new", "2"));
    assert_eq!(seen(&state, "k2").await, pair("vk2", "1"));
    assert_eq!(seen(&state, "k3").await, pair("new", "2"));
    state
        .bulk_delete(keys.iter().map(|key| delete(key, None)).collect())
        .await
        .expect("deletes");
    assert_eq!(seen(&state, "k1").await, None);
}

#[tokio::test]
async fn a_transaction_is_all_or_nothing() {
    let server = Server::start();
    let state = open(&server, &[]).await;
    state.set(set("a", "1")).await.expect("writes");
    state.set(set("b", "1")).await.expect("writes");
    let run = async |operations| {
        let transactions = state.transactions().expect("has them");
        transactions.execute(operations, Metadata::new()).await
    };
    use Operation::{Delete as D, Upsert as U};
    let refused = vec![U(set("a", "2")), D(delete("b", None)), U(tagged("c", "x", "3"))];
    assert_eq!(run(refused).await.expect_err("refused").kind, ErrorKind::EtagMismatch);
    assert_eq!(seen(&state, "a").await, pair("1", "1"));
    assert_eq!(seen(&state, "b").await, pair("1", "1"));

    // Later operations see the earlier ones of the same transaction.
    let done = vec![
        U(tagged("a", "2", "1")),
        U(tagged("a", "3", "2")),
        D(delete("b", Some("1"))),
        U(concurrency(Concurrency::FirstWrite, set("b", "again"))),
        U(with_ttl("c", "50")),
        D(delete("none", None)),
    ];
    run(done).await.expect("fits");
    assert_eq!(seen(&state, "a").await, pair("3", "3"));
    assert_eq!(seen(&state, "b").await, pair("again", "1"));
    assert!(
        get(&state, "c")
            .await
            .expect("is there")
            .metadata
            .contains_key("ttlExpireTime")
    );
    let stale = vec![U(set("a", "4")), U(tagged("a", "5", "3"))];
    run(stale).await.expect_err("the first operation has changed the tag");
    let taken = vec![U(concurrency(Concurrency::FirstWrite, set("a", "4")))];
    assert_eq!(run(taken).await.expect_err("is taken").kind, ErrorKind::Permanent);
    run(Vec::new()).await.expect("nothing to do");
    assert_eq!(seen(&state, "a").await, pair("3", "3"));
}

#[tokio::test]
async fn keys_are_listed_in_pages() {
    let server = Server::start();
    let state = open(&server, &[]).await;
    let writes = (0..2500).map(|i| set(&format!("app||wf||{i:04}||metadata"), "x"));
    state
        .bulk_set(writes.chain([set("app||other", "x")]).collect())
        .await
        .expect("writes");
    let listing = StateStore::keys_like(&state).expect("has it");
    let (mut token, mut all, mut pages) = (None, Vec::new(), 0);
    loop {
        let (keys, next) = listing
            .keys_like("app||wf||%||metadata", Some(1000), token)
            .await
            .expect("lists");
        assert!(keys.len() <= 1000);
        all.extend(keys);
        pages += 1;
        token = next;
        if token.is_none() {
            break;
        }
    }
    assert_eq!((all.len(), pages), (2500, 3));
    assert!(all.is_sorted());
    let (keys, token) = listing.keys_like("app||%", None, None).await.expect("lists");
    assert_eq!((keys.len(), token), (2501, None));
}

#[tokio::test]
async fn a_strong_write_waits_for_replicas() {
    let server = Server::start();
    let replica = Server::with(&["--save", "", "--replicaof", "127.0.0.1", &server.port.to_string()]);
    let mut redis = server.connect().await;
    for _ in 0..200 {
        let info: String = redis::cmd("INFO")
            .arg("replication")
            .query_async(&mut redis)
            .await
            .expect("info");
        if info.contains("state=online") {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    let state = open(&server, &[]).await;
    let strong = |key: &str| Set {
        options: WriteOptions {
            consistency: Consistency::Strong,
            ..WriteOptions::default()
        },
        ..set(key, "v")
    };
    state.set(strong("k")).await.expect("the replica confirms");
    let mut redis = replica.connect().await;
    let data: String = redis::cmd("HGET")
        .arg("k")
        .arg("data")
        .query_async(&mut redis)
        .await
        .expect("is there");
    assert_eq!(data, "v");
    replica.signal("STOP");
    let waiting = state.set(strong("k2"));
    let other = async {
        sleep(Duration::from_millis(100)).await;
        let started = Instant::now();
        state.set(set("k3", "v")).await.expect("is not held up");
        assert!(started.elapsed() < Duration::from_millis(500));
    };
    let (waited, ()) = tokio::join!(waiting, other);
    assert!(waited.expect_err("nobody confirms").is_transient());
    replica.signal("CONT");
}

#[tokio::test]
async fn survives_flushed_scripts() {
    let server = Server::start();
    let state = open(&server, &[]).await;
    state.set(set("k", "1")).await.expect("writes");
    let mut redis = server.connect().await;
    redis::cmd("SCRIPT")
        .arg("FLUSH")
        .exec_async(&mut redis)
        .await
        .expect("flushes");
    let operations = vec![Operation::Upsert(set("k", "2")), Operation::Upsert(set("l", "2"))];
    state
        .transactions()
        .expect("has them")
        .execute(operations, Metadata::new())
        .await
        .expect("writes");
    assert_eq!(seen(&state, "k").await, pair("2", "2"));
}

#[tokio::test]
async fn a_server_that_was_gone_is_found_again() {
    let mut server = Server::durable();
    let state = open(&server, &[("readTimeout", "1s")]).await;
    state.set(set("k", "1")).await.expect("writes");
    server.kill();
    for _ in 0..3 {
        let started = Instant::now();
        let error = state.set(set("k", "2")).await.expect_err("is gone");
        assert!(error.is_transient(), "{error}");
        assert!(started.elapsed() < Duration::from_secs(3));
        assert!(state.ping().await.is_err());
    }
    server.restart();
    state.set(set("k", "3")).await.expect("is back");
    assert_eq!(seen(&state, "k").await, pair("3", "2"));

    // Hangs: calls end by themselves, all at once and not one after the other.
    server.signal("STOP");
    let started = Instant::now();
    let calls = (0..50).map(|i| {
        let state = &state;
        async move { state.set(set(&format!("h{i}"), "v")).await }
    });
    for outcome in futures_util::future::join_all(calls).await {
        assert!(outcome.expect_err("hangs").is_transient());
    }
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    let started = Instant::now();
    state.set(set("k", "meanwhile")).await.expect_err("still hangs");
    assert!(
        started.elapsed() < Duration::from_millis(2500),
        "{:?}",
        started.elapsed()
    );
    server.signal("CONT");
    state.set(set("k", "4")).await.expect("goes on");
    state.close().await;
    assert!(state.set(set("k", "5")).await.is_err());
}

#[tokio::test]
async fn opening_needs_a_server() {
    let port = free_port();
    let properties: Properties = [("redisHost", format!("127.0.0.1:{port}"))].into_iter().collect();
    let options = Options::decode(&properties).expect("decodes");
    let error = State::open(options, Open::default()).await.err().expect("no server");
    assert!(
        error.to_string().starts_with("error connecting to redis at 127.0.0.1:"),
        "{error}"
    );
}

#[tokio::test]
async fn passwords() {
    let server = Server::with(&["--save", "", "--requirepass", "secret"]);
    let state = open(&server, &[("redisPassword", "secret"), ("redisDB", "3")]).await;
    state.set(set("k", "v")).await.expect("writes");
    assert_eq!(seen(&state, "k").await, pair("v", "1"));
    let properties: Properties = [("redisHost", server.host()), ("redisPassword", "wrong".into())]
        .into_iter()
        .collect();
    let options = Options::decode(&properties).expect("decodes");
    State::open(options, Open::default())
        .await
        .err()
        .expect("another password");
}

#[tokio::test]
async fn without_modules_there_are_no_queries() {
    let server = Server::start();
    let indexes = r#"[{"name": "i", "indexes": [{"key": "a", "type": "TEXT"}]}]"#;
    let state = open(&server, &[("queryIndexes", indexes)]).await;
    assert!(state.queries().is_none());
    assert!(!state.features().contains(&Feature::QueryApi));
    // JSON is then kept like any other value.
    let json = Set {
        metadata: [("contentType".to_owned(), "application/json".to_owned())].into(),
        ..set("k", "{\"a\":1}")
    };
    state.set(json).await.expect("writes");
    assert_eq!(seen(&state, "k").await, pair("{\"a\":1}", "1"));
}
