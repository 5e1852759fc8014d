use super::{pubsub::PubSub as _, *};
use crate::testing::Server;
use component::{Properties, pubsub::Message};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet},
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};
use tokio::time::sleep;

const SOON: [(&str, &str); 2] = [("redeliverInterval", "300ms"), ("processingTimeout", "600ms")];

async fn open(server: &Server, group: &str, more: &[(&str, &str)]) -> PubSub {
    let mut properties: Properties = more.iter().copied().collect();
    properties.set("redisHost", server.host());
    properties.set("consumerID", group);
    let options = Options::decode(&properties).expect("decodes");
    PubSub::open(options, Open::default()).await.expect("opens")
}

fn message(topic: &str, data: &str) -> Publish {
    Publish {
        topic: topic.into(),
        data: data.to_owned().into(),
        ..Publish::default()
    }
}

fn topic(topic: &str) -> Subscribe {
    Subscribe {
        topic: topic.into(),
        ..Subscribe::default()
    }
}

/// Counts how often each message came, and refuses it the first few times.
#[derive(Default)]
struct App {
    came: Mutex<HashMap<String, usize>>,
    last: Mutex<Option<Message>>,
    refuses: usize,
    panics: bool,
    takes: Duration,
    busy: AtomicUsize,
    busiest: AtomicUsize,
}

#[async_trait]
impl Handler for App {
    async fn handle(&self, message: Message) -> Result<(), ComponentError> {
        let busy = self.busy.fetch_add(1, Ordering::SeqCst) + 1;
        self.busiest.fetch_max(busy, Ordering::SeqCst);
        sleep(self.takes).await;
        self.busy.fetch_sub(1, Ordering::SeqCst);
        let data = String::from_utf8(message.data.to_vec()).expect("text");
        *self.last.lock() = Some(message);
        let times = {
            let mut came = self.came.lock();
            let times = came.entry(data).or_default();
            *times += 1;
            *times
        };
        match times <= self.refuses {
            true if self.panics => panic!("as the test wants it"),
            true => Err(ComponentError::transient("not now")),
            false => Ok(()),
        }
    }
}

impl App {
    fn times(&self, data: &str) -> usize {
        self.came.lock().get(data).copied().unwrap_or(0)
    }

    fn seen(&self) -> HashSet<String> {
        self.came.lock().keys().cloned().collect()
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(20), "{what} does not come");
        sleep(Duration::from_millis(5)).await;
    }
}

async fn pending(server: &Server, topic: &str, group: &str) -> u64 {
    let mut redis = server.connect().await;
    let mut command = redis::cmd("XPENDING");
    let answer: Vec<Value> = command
        .arg(topic)
        .arg(group)
        .query_async(&mut redis)
        .await
        .expect("a group");
    redis::from_redis_value(answer.into_iter().next().expect("a number")).expect("a number")
}

async fn until_nothing_is_pending(server: &Server, topic: &str, group: &str) {
    let started = Instant::now();
    while pending(server, topic, group).await > 0 {
        assert!(started.elapsed() < Duration::from_secs(20), "messages stay pending");
        sleep(Duration::from_millis(20)).await;
    }
}

fn numbers(range: std::ops::Range<usize>) -> HashSet<String> {
    range.map(|n| n.to_string()).collect()
}

#[tokio::test]
async fn messages_arrive_with_their_metadata_and_are_acknowledged() {
    let server = Server::start();
    let broker = open(&server, "app", &[]).await;
    broker.publish(message("t", "before")).await.expect("publishes");
    let app = Arc::new(App::default());
    let subscription = broker.subscribe(topic("t"), app.clone()).await.expect("subscribes");
    until("what was published before", || app.times("before") == 1).await;
    let metadata: Metadata = [("a".to_owned(), "b".to_owned())].into();
    let after = Publish {
        metadata: metadata.clone(),
        ..message("t", "after")
    };
    broker.publish(after).await.expect("publishes");
    until("what is published after", || app.times("after") == 1).await;
    let last = app.last.lock().clone().expect("a message");
    assert_eq!((last.topic.as_str(), last.metadata), ("t", metadata));
    until_nothing_is_pending(&server, "t", "app").await;
    let started = Instant::now();
    subscription.close().await;
    assert!(
        started.elapsed() < Duration::from_millis(800),
        "{:?}",
        started.elapsed()
    );
    broker.publish(message("t", "late")).await.expect("publishes");
    sleep(Duration::from_millis(100)).await;
    assert_eq!(app.times("late"), 0);
}

#[tokio::test]
async fn each_group_gets_all_and_its_members_share() {
    let server = Server::start();
    let (one, two) = (open(&server, "one", &[]).await, open(&server, "two", &[]).await);
    let apps: Vec<Arc<App>> = (0..3).map(|_| Arc::default()).collect();
    let mut subscriptions = Vec::new();
    for (broker, app) in [(&one, &apps[0]), (&one, &apps[1]), (&two, &apps[2])] {
        subscriptions.push(broker.subscribe(topic("t"), app.clone()).await.expect("subscribes"));
    }
    for n in 0..2000 {
        one.publish(message("t", &n.to_string())).await.expect("publishes");
    }
    let shared = || apps[0].came.lock().len() + apps[1].came.lock().len();
    until("everything", || apps[2].came.lock().len() == 2000 && shared() == 2000).await;
    assert!(apps[0].seen().is_disjoint(&apps[1].seen()));
    for group in ["one", "two"] {
        until_nothing_is_pending(&server, "t", group).await;
    }
    for subscription in subscriptions {
        subscription.close().await;
    }
}

#[tokio::test]
async fn a_refused_message_comes_again_until_it_is_taken() {
    let server = Server::start();
    let broker = open(&server, "app", &[]).await;
    for panics in [false, true] {
        let app = Arc::new(App {
            refuses: 3,
            panics,
            ..App::default()
        });
        let name = format!("t{panics}");
        let subscription = broker.subscribe(topic(&name), app.clone()).await.expect("subscribes");
        broker.publish(message(&name, "x")).await.expect("publishes");
        let started = Instant::now();
        until("the fourth delivery", || app.times("x") == 4).await;
        // The default interval is a minute; one's own failures do not wait for it.
        assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
        until_nothing_is_pending(&server, &name, "app").await;
        sleep(Duration::from_millis(200)).await;
        assert_eq!(app.times("x"), 4);
        subscription.close().await;
    }
}

#[tokio::test]
async fn a_refused_message_does_not_hold_up_others() {
    let server = Server::start();
    let broker = open(&server, "app", &[("concurrency", "1"), ("queueDepth", "2")]).await;
    let app = Arc::new(App {
        refuses: 1,
        ..App::default()
    });
    let subscription = broker.subscribe(topic("t"), app.clone()).await.expect("subscribes");
    for n in 0..50 {
        broker.publish(message("t", &n.to_string())).await.expect("publishes");
    }
    until("each message twice", || {
        app.came.lock().values().filter(|times| **times == 2).count() == 50
    })
    .await;
    until_nothing_is_pending(&server, "t", "app").await;
    assert_eq!(app.busiest.load(Ordering::SeqCst), 1);
    subscription.close().await;
}

#[tokio::test]
async fn what_a_dead_consumer_held_is_taken_over() {
    let server = Server::start();
    let broker = open(&server, "app", &SOON).await;
    for n in 0..250 {
        broker.publish(message("t", &n.to_string())).await.expect("publishes");
    }
    let mut redis = server.connect().await;
    for words in [
        "XGROUP CREATE t app 0",
        "XREADGROUP GROUP app dead COUNT 250 STREAMS t >",
    ] {
        let mut command = Cmd::new();
        for word in words.split(' ') {
            command.arg(word);
        }
        command.exec_async(&mut redis).await.expect("runs");
    }
    let app = Arc::new(App::default());
    let started = Instant::now();
    let subscription = broker.subscribe(topic("t"), app.clone()).await.expect("subscribes");
    until("all that the dead consumer held", || app.seen() == numbers(0..250)).await;
    assert!(
        started.elapsed() >= Duration::from_millis(500),
        "not before its time is over"
    );
    assert!(started.elapsed() < Duration::from_secs(5));
    until_nothing_is_pending(&server, "t", "app").await;
    assert!(app.came.lock().values().all(|times| *times == 1));
    subscription.close().await;
}

#[tokio::test]
async fn a_slow_handler_keeps_its_message() {
    let server = Server::start();
    let (one, two) = (open(&server, "app", &SOON).await, open(&server, "app", &SOON).await);
    let slow = Arc::new(App {
        takes: Duration::from_secs(3),
        ..App::default()
    });
    let first = one.subscribe(topic("t"), slow.clone()).await.expect("subscribes");
    one.publish(message("t", "x")).await.expect("publishes");
    until("the message", || slow.busy.load(Ordering::SeqCst) == 1).await;
    let other = Arc::new(App::default());
    let second = two.subscribe(topic("t"), other.clone()).await.expect("subscribes");
    // Closing waits for the handler, and the message stays with it meanwhile.
    first.close().await;
    assert_eq!((slow.times("x"), other.times("x")), (1, 0));
    until_nothing_is_pending(&server, "t", "app").await;
    second.close().await;
}

#[tokio::test]
async fn closing_gives_back_what_was_not_begun() {
    let server = Server::start();
    let more = [("redeliverInterval", "300ms"), ("processingTimeout", "1h")];
    let mut short = more.to_vec();
    short.push(("concurrency", "1"));
    let (one, two) = (open(&server, "app", &short).await, open(&server, "app", &more).await);
    for n in 0..20 {
        one.publish(message("t", &n.to_string())).await.expect("publishes");
    }
    let slow = Arc::new(App {
        takes: Duration::from_millis(200),
        refuses: 1,
        ..App::default()
    });
    let first = one.subscribe(topic("t"), slow.clone()).await.expect("subscribes");
    until("the first message", || slow.came.lock().len() == 1).await;
    first.close().await;
    let begun = slow.came.lock().len();
    assert!(begun < 20);
    let other = Arc::new(App::default());
    let second = two.subscribe(topic("t"), other.clone()).await.expect("subscribes");
    until("the rest, and what was refused", || other.came.lock().len() == 20).await;
    second.close().await;
}

#[tokio::test]
async fn without_redelivery_a_refused_message_stays_pending() {
    let server = Server::start();
    let broker = open(&server, "app", &[("redeliverInterval", "0")]).await;
    let app = Arc::new(App {
        refuses: 1,
        ..App::default()
    });
    let subscription = broker.subscribe(topic("t"), app.clone()).await.expect("subscribes");
    broker.publish(message("t", "x")).await.expect("publishes");
    until("the message", || app.times("x") == 1).await;
    sleep(Duration::from_millis(500)).await;
    assert_eq!(app.times("x"), 1);
    assert_eq!(pending(&server, "t", "app").await, 1);
    subscription.close().await;
}

#[tokio::test]
async fn bulks_and_limits() {
    let server = Server::start();
    let broker = open(&server, "app", &[("maxLenApprox", "1000"), ("streamTTL", "1h")]).await;
    let app = Arc::new(App::default());
    let subscription = broker.subscribe(topic("t"), app.clone()).await.expect("subscribes");
    let entries = (0..1500).map(|n| BulkEntry {
        entry_id: n.to_string(),
        data: n.to_string().into(),
        ..BulkEntry::default()
    });
    let bulk = BulkPublish {
        topic: "t".into(),
        entries: entries.collect(),
        ..BulkPublish::default()
    };
    let publisher = pubsub::PubSub::bulk_publish(&broker).expect("has it");
    assert!(
        publisher
            .bulk_publish(bulk.clone())
            .await
            .expect("publishes")
            .is_empty()
    );
    until("the last one", || app.times("1499") == 1).await;
    let mut redis = server.connect().await;
    let length: u64 = redis::cmd("XLEN")
        .arg("t")
        .query_async(&mut redis)
        .await
        .expect("a stream");
    assert!((1000..1200).contains(&length), "{length}");
    // Into a key that is no stream nothing can be published.
    redis::cmd("SET")
        .arg("text")
        .arg("x")
        .exec_async(&mut redis)
        .await
        .expect("sets");
    let failed = publisher
        .bulk_publish(BulkPublish {
            topic: "text".into(),
            ..bulk
        })
        .await
        .expect("an answer");
    assert_eq!(failed.len(), 1500);
    assert!(!failed[0].1.is_transient());
    broker.publish(message("text", "x")).await.expect_err("is no stream");
    subscription.close().await;
}

#[tokio::test]
async fn a_lost_group_is_made_again() {
    let server = Server::start();
    let broker = open(&server, "app", &SOON).await;
    let app = Arc::new(App::default());
    let subscription = broker.subscribe(topic("t"), app.clone()).await.expect("subscribes");
    broker.publish(message("t", "before")).await.expect("publishes");
    until("the first", || app.times("before") == 1).await;
    let mut redis = server.connect().await;
    redis::cmd("FLUSHALL").exec_async(&mut redis).await.expect("flushes");
    broker.publish(message("t", "after")).await.expect("publishes");
    until("the second", || app.times("after") == 1).await;
    until_nothing_is_pending(&server, "t", "app").await;
    subscription.close().await;
}

/// Publishes numbers until told to stop; returns those that Redis has confirmed.
async fn publish_numbers(broker: &PubSub, stop: impl Fn() -> bool) -> HashSet<String> {
    let mut confirmed = HashSet::new();
    for n in 0.. {
        if stop() {
            break;
        }
        let text = n.to_string();
        match broker.publish(message("t", &text)).await {
            Ok(()) => {
                confirmed.insert(text);
            }
            Err(error) => {
                assert!(error.is_transient(), "{error}");
                sleep(Duration::from_millis(20)).await;
            }
        }
        sleep(Duration::from_millis(1)).await;
    }
    confirmed
}

#[tokio::test]
async fn nothing_confirmed_is_lost_when_redis_is_killed() {
    let mut server = Server::durable();
    let broker = open(&server, "app", &SOON).await;
    let app = Arc::new(App {
        takes: Duration::from_millis(5),
        ..App::default()
    });
    let subscription = broker.subscribe(topic("t"), app.clone()).await.expect("subscribes");
    let stop = std::sync::atomic::AtomicBool::new(false);
    let chaos = async {
        for _ in 0..3 {
            sleep(Duration::from_millis(500)).await;
            server.kill();
            sleep(Duration::from_millis(500)).await;
            server.restart();
        }
        sleep(Duration::from_millis(500)).await;
        stop.store(true, Ordering::SeqCst);
    };
    let (confirmed, ()) = tokio::join!(publish_numbers(&broker, || stop.load(Ordering::SeqCst)), chaos);
    assert!(confirmed.len() > 100, "{}", confirmed.len());
    until("all that was confirmed", || app.seen().is_superset(&confirmed)).await;
    until_nothing_is_pending(&server, "t", "app").await;
    subscription.close().await;
}

#[tokio::test]
async fn nothing_confirmed_is_lost_when_redis_hangs() {
    let server = Server::start();
    let mut more = SOON.to_vec();
    more.push(("readTimeout", "1s"));
    let broker = open(&server, "app", &more).await;
    let app = Arc::new(App {
        takes: Duration::from_millis(5),
        ..App::default()
    });
    let subscription = broker.subscribe(topic("t"), app.clone()).await.expect("subscribes");
    let stop = std::sync::atomic::AtomicBool::new(false);
    let chaos = async {
        sleep(Duration::from_millis(500)).await;
        server.signal("STOP");
        sleep(Duration::from_secs(5)).await;
        server.signal("CONT");
        sleep(Duration::from_millis(1000)).await;
        stop.store(true, Ordering::SeqCst);
    };
    let (confirmed, ()) = tokio::join!(publish_numbers(&broker, || stop.load(Ordering::SeqCst)), chaos);
    assert!(confirmed.len() > 100, "{}", confirmed.len());
    until("all that was confirmed", || app.seen().is_superset(&confirmed)).await;
    until_nothing_is_pending(&server, "t", "app").await;
    subscription.close().await;
}

#[tokio::test]
async fn closing_without_redis_ends_soon() {
    let mut server = Server::start();
    let broker = open(&server, "app", &SOON).await;
    let app = Arc::new(App::default());
    let subscription = broker.subscribe(topic("t"), app.clone()).await.expect("subscribes");
    server.kill();
    broker.publish(message("t", "x")).await.expect_err("is gone");
    let started = Instant::now();
    subscription.close().await;
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    broker.close().await;
}
