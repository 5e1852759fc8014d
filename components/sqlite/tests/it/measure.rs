//! Figures, not checks: `cargo test --release -p component-sqlite --test it -- --ignored --nocapture measure`.

use bytes::Bytes;
use component::{
    Component, ComponentError, Config, Open, Properties, async_trait,
    pubsub::{Handler, Message, PubSub as _, Publish, Subscribe},
    state::{Get, Set, StateStore},
};
use component_sqlite::{
    pubsub::PubSub,
    state::{Options, State},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// Processor time of this process.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

async fn rate<F, Fut>(name: &str, tasks: usize, each: usize, call: F)
where
    F: Fn(usize, usize) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    let (began, before) = (Instant::now(), processor_time());
    let running = (0..tasks).map(|task| {
        let call = call.clone();
        tokio::spawn(async move {
            for n in 0..each {
                call(task, n).await;
            }
        })
    });
    for task in running.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let count = (tasks * each) as f64;
    println!(
        "{name}: {:.0}/s, {:.1} us of processor time each",
        count / began.elapsed().as_secs_f64(),
        (processor_time() - before).as_secs_f64() * 1e6 / count
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures"]
async fn measure_state() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.db").display().to_string();
    let properties: Properties = [("connectionString", path)].into_iter().collect();
    let store = State::open(Options::decode(&properties).unwrap(), Open::default())
        .await
        .unwrap();
    let store = Arc::new(store);
    let value = Bytes::from(format!("\"{}\"", "x".repeat(1024)));
    let set = |keys: usize| {
        let (store, value) = (store.clone(), value.clone());
        move |task: usize, n: usize| {
            let (store, value) = (store.clone(), value.clone());
            async move {
                let key = format!("app||{}", (task * 7919 + n) % keys);
                store
                    .set(Set {
                        key,
                        value,
                        ..Set::default()
                    })
                    .await
                    .unwrap();
            }
        }
    };
    for tasks in [1, 16, 64, 256] {
        rate(&format!("set, one key, {tasks} at once"), tasks, 30_000 / 64, set(1)).await;
    }
    rate("set, 10000 keys, 64 at once", 64, 1000, set(10_000)).await;
    let get = move |task: usize, n: usize| {
        let store = store.clone();
        async move {
            let key = format!("app||{}", (task * 7919 + n) % 10_000);
            assert!(store.get(Get { key, ..Get::default() }).await.unwrap().is_some());
        }
    };
    rate("get, 10000 keys, 64 at once", 64, 5000, get).await;
}

#[derive(Default)]
struct Counter(AtomicUsize);

#[async_trait]
impl Handler for Counter {
    async fn handle(&self, _: Message) -> Result<(), ComponentError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

impl Counter {
    async fn reaches(&self, count: usize) {
        while self.0.load(Ordering::Relaxed) < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures"]
async fn measure_pubsub() {
    const MESSAGES: usize = 64_000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db").display().to_string();
    let open = async |group: &str| {
        let properties: Properties = [("connectionString", path.as_str()), ("consumerID", group)]
            .into_iter()
            .collect();
        let options = component_sqlite::pubsub::Options::decode(&properties).unwrap();
        Arc::new(PubSub::open(options, Open::default()).await.unwrap())
    };
    let (publisher, consumer) = (open("a").await, open("b").await);
    let subscribe = Subscribe {
        topic: "t".into(),
        ..Subscribe::default()
    };
    let publish = |pubsub: Arc<PubSub>| {
        let data = Bytes::from("x".repeat(1024));
        move |_: usize, _: usize| {
            let (pubsub, data) = (pubsub.clone(), data.clone());
            async move {
                let topic = "t".to_owned();
                pubsub
                    .publish(Publish {
                        topic,
                        data,
                        ..Publish::default()
                    })
                    .await
                    .unwrap();
            }
        }
    };
    for tasks in [1, 16, 64, 256] {
        let each = MESSAGES / 64;
        rate(
            &format!("publish, no subscriber, {tasks} at once"),
            tasks,
            each,
            publish(publisher.clone()),
        )
        .await;
    }
    for (name, from) in [("same sidecar", consumer.clone()), ("another sidecar", publisher)] {
        for tasks in [1, 16, 64, 256] {
            let (count, each) = (Arc::new(Counter::default()), MESSAGES / 64);
            let subscription = consumer.subscribe(subscribe.clone(), count.clone()).await.unwrap();
            let (began, before) = (Instant::now(), processor_time());
            rate(
                &format!("publish, {name} subscribes, {tasks} at once"),
                tasks,
                each,
                publish(from.clone()),
            )
            .await;
            count.reaches(tasks * each).await;
            let total = (tasks * each) as f64;
            println!(
                "  delivered {:.0}/s, {:.1} us of processor time each",
                total / began.elapsed().as_secs_f64(),
                (processor_time() - before).as_secs_f64() * 1e6 / total
            );
            subscription.close().await;
        }
    }
    rate("publish for later", 64, MESSAGES / 64, publish(consumer.clone())).await;
    let count = Arc::new(Counter::default());
    let (began, before) = (Instant::now(), processor_time());
    let _subscription = consumer.subscribe(subscribe, count.clone()).await.unwrap();
    count.reaches(MESSAGES).await;
    println!(
        "a backlog is consumed: {:.0}/s, {:.1} us of processor time each",
        MESSAGES as f64 / began.elapsed().as_secs_f64(),
        (processor_time() - before).as_secs_f64() * 1e6 / MESSAGES as f64
    );
}
