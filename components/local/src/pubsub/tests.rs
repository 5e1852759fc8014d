use super::*;
use component::ErrorKind;
use parking_lot::Mutex;
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};

/// Notes what it gets. Each message needs a permit.
struct Notes {
    seen: Mutex<Vec<String>>,
    permits: Semaphore,
    at_once: AtomicUsize,
}

impl Notes {
    fn new(permits: usize) -> Arc<Self> {
        Arc::new(Self {
            seen: Mutex::default(),
            permits: Semaphore::new(permits),
            at_once: AtomicUsize::new(0),
        })
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().clone()
    }

    async fn wait_for(&self, count: usize) {
        let enough = async {
            while self.seen.lock().len() < count {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(Duration::from_secs(10), enough).await.expect("they arrive");
    }
}

#[async_trait]
impl Handler for Notes {
    async fn handle(&self, message: Message) -> Result<(), ComponentError> {
        assert_eq!(self.at_once.fetch_add(1, Ordering::SeqCst), 0, "one at a time");
        self.permits.acquire().await.expect("open").forget();
        let text = format!("{}={}", message.topic, String::from_utf8_lossy(&message.data));
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        self.seen.lock().push(text.clone());
        match text.as_str() {
            "a=panic" => panic!("as asked"),
            "a=fail" => Err(ComponentError::new(ErrorKind::Transient, "as asked")),
            _ => Ok(()),
        }
    }
}

const MANY: usize = Semaphore::MAX_PERMITS;

async fn open() -> Arc<Broker> {
    Arc::new(Broker::open((), Open::default()).await.expect("opens"))
}

async fn subscribe(broker: &Broker, topic: &str, notes: &Arc<Notes>) -> Subscription {
    let request = Subscribe {
        topic: topic.into(),
        ..Subscribe::default()
    };
    broker.subscribe(request, notes.clone()).await.expect("subscribes")
}

async fn publish(broker: &Broker, topic: &str, text: &str) {
    let request = Publish {
        topic: topic.into(),
        data: text.to_owned().into(),
        ..Publish::default()
    };
    broker.publish(request).await.expect("publishes");
}

#[tokio::test]
async fn each_subscription_gets_every_message_of_its_topic_in_order() {
    let broker = open().await;
    publish(&broker, "a", "nobody is there").await;
    let (first, second, other) = (Notes::new(MANY), Notes::new(MANY), Notes::new(MANY));
    let _standing = [
        subscribe(&broker, "a", &first).await,
        subscribe(&broker, "a", &second).await,
        subscribe(&broker, "b", &other).await,
    ];
    for i in 0..1000 {
        publish(&broker, "a", &i.to_string()).await;
    }
    publish(&broker, "b", "x").await;
    let expected: Vec<String> = (0..1000).map(|i| format!("a={i}")).collect();
    for notes in [&first, &second] {
        notes.wait_for(1000).await;
        assert_eq!(notes.seen(), expected);
    }
    other.wait_for(1).await;
    assert_eq!(other.seen(), ["b=x"]);
}

#[tokio::test]
async fn a_star_at_the_end_stands_for_the_rest_of_the_topic() {
    let broker = open().await;
    let (some, all) = (Notes::new(MANY), Notes::new(MANY));
    let _standing = [
        subscribe(&broker, "orders*", &some).await,
        subscribe(&broker, "*", &all).await,
    ];
    for topic in ["orders", "orders/new", "ordersX", "other", "orders*"] {
        publish(&broker, topic, "1").await;
    }
    all.wait_for(5).await;
    some.wait_for(3).await;
    assert_eq!(some.seen(), ["orders/new=1", "ordersX=1", "orders*=1"]);
}

#[tokio::test]
async fn what_a_handler_refuses_or_panics_at_does_not_end_the_subscription() {
    let broker = open().await;
    let notes = Notes::new(MANY);
    let _standing = subscribe(&broker, "a", &notes).await;
    for text in ["fail", "panic", "good"] {
        publish(&broker, "a", text).await;
    }
    notes.wait_for(3).await;
    assert_eq!(notes.seen(), ["a=fail", "a=panic", "a=good"]);
}

#[tokio::test]
async fn a_slow_subscription_holds_up_only_who_publishes_to_it() {
    let broker = open().await;
    let (slow, fast) = (Notes::new(0), Notes::new(MANY));
    let _standing = [
        subscribe(&broker, "slow", &slow).await,
        subscribe(&broker, "fast", &fast).await,
    ];
    let publisher = tokio::spawn({
        let broker = broker.clone();
        async move {
            for i in 0..500 {
                publish(&broker, "slow", &i.to_string()).await;
            }
        }
    });
    for _ in 0..500 {
        publish(&broker, "fast", "x").await;
    }
    fast.wait_for(500).await;
    assert!(!publisher.is_finished());
    slow.permits.add_permits(500);
    slow.wait_for(500).await;
    publisher.await.expect("ends");
}

#[tokio::test]
async fn closing_hands_over_what_was_acknowledged_and_lets_waiting_publishers_go() {
    let broker = open().await;
    let notes = Notes::new(0);
    let standing = subscribe(&broker, "a", &notes).await;
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let publisher = tokio::spawn({
        let (broker, acknowledged) = (broker.clone(), acknowledged.clone());
        async move {
            for i in 0..QUEUE + 10 {
                publish(&broker, "a", &i.to_string()).await;
                acknowledged.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    while acknowledged.load(Ordering::SeqCst) < QUEUE {
        sleep(Duration::from_millis(1)).await;
    }
    let closing = tokio::spawn(standing.close());
    notes.permits.add_permits(QUEUE * 2);
    timeout(Duration::from_secs(10), closing)
        .await
        .expect("in time")
        .expect("closes");
    timeout(Duration::from_secs(10), publisher)
        .await
        .expect("in time")
        .expect("ends");
    let seen = notes.seen();
    assert!(seen.len() >= QUEUE);
    assert!(seen.iter().enumerate().all(|(i, text)| *text == format!("a={i}")));
    assert!(broker.topics.read().exact.is_empty());
}

#[tokio::test]
async fn nothing_stays_of_subscriptions_that_ended() {
    let broker = open().await;
    let notes = Notes::new(MANY);
    for i in 0..100 {
        subscribe(&broker, &format!("t{i}"), &notes).await.close().await;
        subscribe(&broker, &format!("t{i}*"), &notes).await.close().await;
        drop(subscribe(&broker, "dropped", &notes).await);
    }
    let gone = async {
        while !broker.topics.read().exact.is_empty() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(10), gone).await.expect("they leave");
    assert!(broker.topics.read().prefixes.is_empty());
}

#[tokio::test]
async fn closing_the_broker_ends_its_subscriptions() {
    let broker = open().await;
    let notes = Notes::new(MANY);
    let standing = subscribe(&broker, "a", &notes).await;
    publish(&broker, "a", "1").await;
    broker.close().await;
    publish(&broker, "a", "2").await;
    timeout(Duration::from_secs(10), standing.close()).await.expect("ends");
    assert_eq!(notes.seen(), ["a=1"]);
}
