mod inbox;

use super::*;
use bytes::Bytes;
use component::{
    Config, Properties,
    pubsub::{BulkEntry, PubSub as _},
};
use inbox::Inbox;
use std::{path::Path, time::Instant};

const PATIENCE: Duration = Duration::from_secs(20);

async fn open_with(folder: &Path, group: &str, more: &[(&str, &str)]) -> PubSub {
    let path = folder.join("log.db").display().to_string();
    let mut properties: Properties = [("connectionString", path.as_str()), ("consumerID", group)]
        .into_iter()
        .collect();
    for (name, value) in more {
        properties.set(*name, *value);
    }
    PubSub::open(Options::decode(&properties).unwrap(), Open::default())
        .await
        .unwrap()
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn on(topic: &str) -> Subscribe {
    Subscribe {
        topic: topic.into(),
        ..Subscribe::default()
    }
}

fn message(topic: &str, text: &str) -> Publish {
    Publish {
        topic: topic.into(),
        data: Bytes::copy_from_slice(text.as_bytes()),
        ..Publish::default()
    }
}

async fn publish_all(pubsub: &PubSub, topic: &str, texts: impl IntoIterator<Item = String>) {
    let sends = texts.into_iter().map(|text| pubsub.publish(message(topic, &text)));
    for sent in futures_util::future::join_all(sends.collect::<Vec<_>>()).await {
        sent.unwrap();
    }
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

fn count(folder: &Path, sql: &str) -> i64 {
    let connection = Connection::open(folder.join("log.db")).unwrap();
    connection.busy_timeout(PATIENCE).unwrap();
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

async fn until_count(folder: &Path, sql: &str, expected: i64) {
    until(sql, || count(folder, sql) == expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_group_gets_each_message() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (
        open_with(folder.path(), "a", &[]).await,
        open_with(folder.path(), "b", &[]).await,
    );
    publish_all(&a, "t", numbers(900..910)).await;
    let (at_a, at_b, elsewhere) = (
        Arc::new(Inbox::default()),
        Arc::new(Inbox::default()),
        Arc::new(Inbox::default()),
    );
    let one = a.subscribe(on("t"), at_a.clone()).await.unwrap();
    let two = b.subscribe(on("t"), at_b.clone()).await.unwrap();
    let other = b.subscribe(on("u"), elsewhere.clone()).await.unwrap();
    let mut full = message("t", "0");
    full.content_type = Some("text/plain".into());
    full.metadata.insert("name".into(), "value".into());
    a.publish(full.clone()).await.unwrap();
    publish_all(&b, "t", numbers(1..500)).await;
    for inbox in [&at_a, &at_b] {
        inbox.wait_for(500).await;
        let mut texts = inbox.texts();
        texts.sort_by_key(|text| text.parse::<usize>().unwrap());
        assert_eq!(texts, numbers(0..500));
        let messages = inbox.messages.lock();
        let first = messages.iter().find(|(message, _)| message.data == "0").unwrap();
        assert_eq!(
            (&first.0.content_type, &first.0.metadata),
            (&full.content_type, &full.metadata)
        );
        assert_eq!(first.0.topic, "t");
    }
    assert_eq!(elsewhere.len(), 0);
    until_count(folder.path(), "SELECT count(*) FROM pubsub_messages", 0).await;
    for subscription in [one, two, other] {
        subscription.close().await;
    }
    assert_eq!(count(folder.path(), "SELECT count(*) FROM pubsub_consumers"), 0);
    a.close().await;
    b.close().await;
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        !left.iter().any(|name| name.to_string_lossy().ends_with(".sock")),
        "{left:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_shares_messages() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (
        open_with(folder.path(), "g", &[]).await,
        open_with(folder.path(), "g", &[]).await,
    );
    let inboxes = [Arc::new(Inbox::default()), Arc::new(Inbox::default())];
    let _one = a.subscribe(on("t"), inboxes[0].clone()).await.unwrap();
    let _two = b.subscribe(on("t"), inboxes[1].clone()).await.unwrap();
    for part in 0..20 {
        publish_all(&a, "t", numbers(part * 100..part * 100 + 100)).await;
    }
    until("all", || inboxes[0].len() + inboxes[1].len() >= 2000).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(inboxes.iter().all(|inbox| inbox.len() > 0));
    let mut all: Vec<usize> = inboxes
        .iter()
        .flat_map(|inbox| inbox.texts())
        .map(|text| text.parse().unwrap())
        .collect();
    all.sort_unstable();
    assert_eq!(all, (0..2000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_at_a_time_is_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let pubsub = open_with(folder.path(), "g", &[("concurrency", "1")]).await;
    let inbox = Arc::new(Inbox::default());
    let subscription = pubsub.subscribe(on("t"), inbox.clone()).await.unwrap();
    for n in 0..50 {
        pubsub.publish(message("t", &n.to_string())).await.unwrap();
    }
    let entries = (50..1000).map(|n| BulkEntry {
        entry_id: n.to_string(),
        data: n.to_string().into(),
        ..BulkEntry::default()
    });
    let bulk = BulkPublish {
        topic: "t".into(),
        entries: entries.collect(),
        ..BulkPublish::default()
    };
    let publisher = component::pubsub::PubSub::bulk_publish(&pubsub).unwrap();
    assert!(publisher.bulk_publish(bulk).await.unwrap().is_empty());
    inbox.wait_for(1000).await;
    assert_eq!(inbox.texts(), numbers(0..1000));
    subscription.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_comes_again_and_does_not_block() {
    let folder = tempfile::tempdir().unwrap();
    let options = [("redeliverInterval", "300ms"), ("concurrency", "1")];
    let pubsub = open_with(folder.path(), "g", &options).await;
    let inbox = Inbox::refusing("bad", 2);
    let _subscription = pubsub.subscribe(on("t"), inbox.clone()).await.unwrap();
    publish_all(&pubsub, "t", ["bad".to_owned(), "good".to_owned()]).await;
    inbox.wait_for(4).await;
    assert_eq!(inbox.texts(), ["bad", "good", "bad", "bad"]);
    let times: Vec<Instant> = inbox.messages.lock().iter().map(|(_, time)| *time).collect();
    let (first, second) = (times[2] - times[0], times[3] - times[2]);
    assert!(
        first > Duration::from_millis(250) && first < Duration::from_millis(600),
        "{first:?}"
    );
    assert!(
        second > Duration::from_millis(500) && second < Duration::from_millis(1000),
        "{second:?}"
    );
    until_count(folder.path(), "SELECT count(*) FROM pubsub_retries", 0).await;
    until_count(folder.path(), "SELECT count(*) FROM pubsub_messages", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_always_refused_is_given_up_when_so_configured() {
    let folder = tempfile::tempdir().unwrap();
    let pubsub = open_with(folder.path(), "g", &[("redeliverInterval", "1ms"), ("maxRetries", "2")]).await;
    let inbox = Inbox::refusing("bad", 100);
    let _subscription = pubsub.subscribe(on("t"), inbox.clone()).await.unwrap();
    publish_all(&pubsub, "t", ["bad".to_owned(), "panic".to_owned()]).await;
    inbox.wait_for(6).await;
    until_count(folder.path(), "SELECT count(*) FROM pubsub_messages", 0).await;
    assert_eq!(inbox.len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_expire() {
    let folder = tempfile::tempdir().unwrap();
    let pubsub = open_with(folder.path(), "g", &[]).await;
    let inbox = Arc::new(Inbox::default());
    pubsub.subscribe(on("t"), inbox.clone()).await.unwrap().close().await;
    for (text, ttl) in [
        ("0", "0"),
        ("1", "1"),
        ("100", "100"),
        ("bad", "soon"),
        ("negative", "-1"),
    ] {
        let mut short = message("t", text);
        short.metadata.insert("ttlInSeconds".into(), ttl.into());
        pubsub.publish(short).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let _subscription = pubsub.subscribe(on("t"), inbox.clone()).await.unwrap();
    inbox.wait_for(3).await;
    let mut texts = inbox.texts();
    texts.sort();
    assert_eq!(texts, ["100", "bad", "negative"]);
    until_count(folder.path(), "SELECT count(*) FROM pubsub_messages", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_keeps_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let inbox = Arc::new(Inbox::default());
    for round in 0..3 {
        let pubsub = open_with(folder.path(), "g", &[]).await;
        let subscription = pubsub.subscribe(on("t"), inbox.clone()).await.unwrap();
        inbox.wait_for(round * 20).await;
        publish_all(&pubsub, "t", numbers(round * 20..round * 20 + 10)).await;
        inbox.wait_for(round * 20 + 10).await;
        subscription.close().await;
        publish_all(&pubsub, "t", numbers(round * 20 + 10..round * 20 + 20)).await;
        pubsub.close().await;
    }
    assert_eq!(inbox.len(), 50);
    let late = Arc::new(Inbox::default());
    let pubsub = open_with(folder.path(), "late", &[("initialOffset", "oldest")]).await;
    let _subscription = pubsub.subscribe(on("t"), late.clone()).await.unwrap();
    late.wait_for(10).await;
    let mut subscribe = on("t");
    subscribe.metadata.insert("consumerid".into(), "later".into());
    subscribe.metadata.insert("initialoffset".into(), "latest".into());
    let latest = Arc::new(Inbox::default());
    let _other = pubsub.subscribe(subscribe, latest.clone()).await.unwrap();
    publish_all(&pubsub, "t", numbers(60..61)).await;
    latest.wait_for(1).await;
    late.wait_for(11).await;
    assert_eq!(latest.texts(), ["60"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_waits_for_what_is_in_work_and_hands_back_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let first = open_with(folder.path(), "g", &[("concurrency", "2")]).await;
    let second = open_with(folder.path(), "g", &[("concurrency", "2")]).await;
    let gated = Inbox::gated();
    let subscription = first.subscribe(on("t"), gated.clone()).await.unwrap();
    publish_all(&first, "t", numbers(0..10)).await;
    until_count(folder.path(), "SELECT held > 0 FROM pubsub_consumers", 1).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let closing = tokio::spawn(subscription.close());
    let inbox = Arc::new(Inbox::default());
    let _other = second.subscribe(on("t"), inbox.clone()).await.unwrap();
    inbox.wait_for(8).await;
    assert!(!closing.is_finished());
    gated.permits.as_ref().unwrap().add_permits(2);
    closing.await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut all = [gated.texts(), inbox.texts()].concat();
    all.sort();
    assert_eq!(all, numbers(0..10));
    assert_eq!(
        count(folder.path(), "SELECT count(*) FROM pubsub_retries WHERE attempts > 0"),
        0
    );
    first.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sleeps_is_woken() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (
        open_with(folder.path(), "a", &[]).await,
        open_with(folder.path(), "b", &[]).await,
    );
    let inbox = Arc::new(Inbox::default());
    let _subscription = b.subscribe(on("t"), inbox.clone()).await.unwrap();
    let _same_group = b.subscribe(on("t"), inbox.clone()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    // The version that a connection sees changes with each transaction of another one.
    let watcher = Connection::open(folder.path().join("log.db")).unwrap();
    let version = || -> i64 { watcher.query_row("PRAGMA data_version", [], |row| row.get(0)).unwrap() };
    let before = version();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(version(), before, "somebody writes though nothing happens");
    for n in 1..=10 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let began = Instant::now();
        a.publish(message("t", "x")).await.unwrap();
        inbox.wait_for(n).await;
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gives_no_sign_of_life_loses_its_messages() {
    let folder = tempfile::tempdir().unwrap();
    let a = open_with(folder.path(), "g", &[("concurrency", "1")]).await;
    let gated = Inbox::gated();
    let _held = a.subscribe(on("t"), gated.clone()).await.unwrap();
    publish_all(&a, "t", numbers(0..3)).await;
    until_count(folder.path(), "SELECT coalesce(max(held), 0) FROM pubsub_consumers", 3).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    // As if it had stood still for longer than its lease.
    Connection::open(folder.path().join("log.db"))
        .unwrap()
        .execute("UPDATE pubsub_consumers SET lease_until = 1", [])
        .unwrap();
    let b = open_with(folder.path(), "g", &[]).await;
    let inbox = Arc::new(Inbox::default());
    let _subscription = b.subscribe(on("t"), inbox.clone()).await.unwrap();
    inbox.wait_for(3).await;
    // The first one notices and goes on with what comes.
    gated.permits.as_ref().unwrap().add_permits(100);
    until("both work", || {
        let _ = futures_util::FutureExt::now_or_never(a.publish(message("t", "x")));
        gated.len() > 5 || inbox.len() > 10
    })
    .await;
    publish_all(&a, "t", numbers(10..30)).await;
    until("all", || {
        let all = [gated.texts(), inbox.texts()].concat();
        (10..30).all(|n| all.contains(&n.to_string()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_whose_row_is_gone_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let pubsub = open_with(folder.path(), "g", &[]).await;
    let inbox = Arc::new(Inbox::default());
    let subscription = pubsub.subscribe(on("t"), inbox.clone()).await.unwrap();
    publish_all(&pubsub, "t", numbers(0..5)).await;
    inbox.wait_for(5).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    count(folder.path(), "DELETE FROM pubsub_consumers RETURNING id");
    // It sleeps and cannot be woken; the poll that it does when it stops finds out.
    subscription.close().await;
    let _again = pubsub.subscribe(on("t"), inbox.clone()).await.unwrap();
    publish_all(&pubsub, "t", numbers(5..10)).await;
    inbox.wait_for(10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bulks() {
    let folder = tempfile::tempdir().unwrap();
    let pubsub = open_with(folder.path(), "g", &[("redeliverInterval", "10ms")]).await;
    let inbox = Inbox::refusing("7", 1);
    let options = BulkOptions {
        max_messages: 10,
        max_wait: Duration::from_millis(300),
    };
    let subscriber = component::pubsub::PubSub::bulk_subscribe(&pubsub).unwrap();
    let subscription = subscriber
        .bulk_subscribe(on("t"), options, inbox.clone())
        .await
        .unwrap();
    publish_all(&pubsub, "t", numbers(0..15)).await;
    inbox.wait_for(16).await;
    let mut texts = inbox.texts();
    assert_eq!(texts.pop().as_deref(), Some("7"));
    let waited = {
        let messages = inbox.messages.lock();
        messages[14].1 - messages[0].1
    };
    assert!(waited > Duration::from_millis(200), "{waited:?}");
    subscription.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_messages_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let options = [("retention", "1h"), ("unsubscribedLimit", "5")];
    let pubsub = open_with(folder.path(), "g", &options).await;
    pubsub
        .subscribe(on("t"), Arc::new(Inbox::default()))
        .await
        .unwrap()
        .close()
        .await;
    publish_all(&pubsub, "t", numbers(0..1200)).await;
    publish_all(&pubsub, "nobody", numbers(0..20)).await;
    count(
        folder.path(),
        "UPDATE pubsub_messages SET published_at = published_at - 7200000 WHERE seq <= 1100 RETURNING 1",
    );
    pubsub.shared.next_sweep.store(0, Ordering::Relaxed);
    publish_all(&pubsub, "nobody", numbers(20..21)).await;
    let on_topic = |name: &str| {
        format!(
            "SELECT count(*) FROM pubsub_messages WHERE topic_id = (SELECT id FROM pubsub_topics WHERE name = '{name}')"
        )
    };
    until_count(folder.path(), &on_topic("t"), 100).await;
    until_count(folder.path(), &on_topic("nobody"), 5).await;
    let inbox = Arc::new(Inbox::default());
    let _subscription = pubsub.subscribe(on("t"), inbox.clone()).await.unwrap();
    inbox.wait_for(100).await;
    pubsub.close().await;
}

#[tokio::test]
async fn in_memory_and_what_is_wrong() {
    let properties: Properties = [("connectionString", ":memory:")].into_iter().collect();
    let cx = Open {
        app_id: "app".into(),
        ..Open::default()
    };
    let pubsub = PubSub::open(Options::decode(&properties).unwrap(), cx).await.unwrap();
    let inbox = Arc::new(Inbox::default());
    let _subscription = pubsub.subscribe(on("t"), inbox.clone()).await.unwrap();
    pubsub.publish(message("t", "x")).await.unwrap();
    inbox.wait_for(1).await;
    pubsub.ping().await.unwrap();
    let names: Vec<_> = pubsub.features().into_iter().map(Feature::name).collect();
    assert_eq!(names, ["MESSAGE_TTL", "BULK_PUBSUB"]);
    pubsub.close().await;
    assert!(pubsub.publish(message("t", "x")).await.is_err());
    for (properties, told) in [
        (vec![], "missing connection string"),
        (vec![("connectionString", "x.db"), ("concurrency", "0")], "concurrency"),
        (
            vec![("connectionString", "x.db"), ("initialOffset", "middle")],
            "initialOffset",
        ),
    ] {
        let properties: Properties = properties.into_iter().collect();
        let opened = match Options::decode(&properties) {
            Ok(options) => PubSub::open(options, Open::default())
                .await
                .err()
                .map(|error| error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        assert!(opened.as_deref().is_some_and(|text| text.contains(told)), "{opened:?}");
    }
}

#[test]
fn ranges_are_read_as_they_were_written() {
    for (numbers, text) in [
        (&[][..], ""),
        (&[5], "5"),
        (&[1, 2, 3, 7, 9, 10], "1-3,7,9-10"),
        (&[i64::MAX - 1, i64::MAX], "9223372036854775806-9223372036854775807"),
    ] {
        assert_eq!(ranges::write(numbers.iter().copied()), text);
        assert_eq!(ranges::read(text), numbers);
    }
}
