//! The topologies, seen through the components.

use crate::{
    dial::Target,
    options::Connection,
    pubsub::PubSub,
    state::State,
    testing::{Server, free_port},
};
use component::{
    Component, ComponentError, Config, Open, OpenError, Properties, async_trait, pubsub,
    pubsub::PubSub as _,
    state::{Get, Operation, Set, StateStore},
};
use parking_lot::Mutex;
use rustls::{RootCertStore, pki_types::CertificateDer, pki_types::pem::PemObject};
use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::sleep;

fn options<C: Component>(pairs: &[(&str, &str)]) -> C::Options {
    C::Options::decode(&pairs.iter().copied().collect()).expect("decodes")
}

fn set(key: &str, value: &str) -> Set {
    Set {
        key: key.into(),
        value: value.to_owned().into(),
        ..Set::default()
    }
}

fn get(key: &str) -> Get {
    Get {
        key: key.into(),
        ..Get::default()
    }
}

async fn read(state: &State, key: &str) -> Option<bytes::Bytes> {
    state.get(get(key)).await.expect("reads").map(|item| item.data)
}

async fn run(server: &Server, command: &str) -> redis::Value {
    let mut words = command.split(' ');
    let mut command = redis::cmd(words.next().expect("a command"));
    for word in words {
        command.arg(word);
    }
    command.query_async(&mut server.connect().await).await.expect("runs")
}

/// A cluster of masters that share the slots.
async fn cluster<const N: usize>() -> [Server; N] {
    let servers: [Server; N] = std::array::from_fn(|_| {
        let bus = free_port().to_string();
        Server::with(&["--save", "", "--cluster-enabled", "yes", "--cluster-port", &bus])
    });
    let share = 16384 / N;
    for (i, server) in servers.iter().enumerate() {
        let last = if i + 1 == N { 16383 } else { (i + 1) * share - 1 };
        run(server, &format!("CLUSTER ADDSLOTSRANGE {} {last}", i * share)).await;
    }
    let nodes: String = redis::from_redis_value(run(&servers[0], "CLUSTER NODES").await).expect("a list");
    let bus = nodes.split(['@', ' ', ',']).nth(2).expect("the bus port").to_owned();
    for server in &servers[1..] {
        run(server, &format!("CLUSTER MEET 127.0.0.1 {} {bus}", servers[0].port)).await;
    }
    let started = Instant::now();
    for server in &servers {
        loop {
            let info: String = redis::from_redis_value(run(server, "CLUSTER INFO").await).expect("text");
            if info.contains("cluster_state:ok") && info.contains(&format!("cluster_known_nodes:{N}")) {
                break;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "{info}");
            sleep(Duration::from_millis(50)).await;
        }
    }
    servers
}

#[derive(Default)]
struct Seen(Mutex<HashSet<String>>);

#[async_trait]
impl pubsub::Handler for Seen {
    async fn handle(&self, message: pubsub::Message) -> Result<(), ComponentError> {
        let text = String::from_utf8(message.data.to_vec()).expect("text");
        self.0.lock().insert(text);
        Ok(())
    }
}

#[tokio::test]
async fn states_in_a_cluster() {
    let servers = cluster::<3>().await;
    let hosts = format!("{},{}", servers[0].host(), servers[1].host());
    let options = options::<State>(&[("redisHost", &hosts), ("redisType", "cluster")]);
    let state = State::open(options, Open::default()).await.expect("opens");
    let keys: Vec<String> = (0..100).map(|n| format!("k{n}")).collect();
    state
        .bulk_set(keys.iter().map(|key| set(key, key)).collect())
        .await
        .expect("writes");
    let read_all = state
        .bulk_get(keys.iter().map(|key| get(key)).collect(), 10)
        .await
        .expect("reads");
    for item in read_all {
        let found = item.result.expect("reads").expect("is there");
        assert_eq!((found.data, found.etag.as_deref()), (item.key.into(), Some("1")));
    }
    let listing = StateStore::keys_like(&state).expect("has it");
    let (page, token) = listing.keys_like("k%", Some(60), None).await.expect("lists");
    let (rest, end) = listing.keys_like("k%", Some(60), token).await.expect("lists");
    assert_eq!((page.len(), rest.len(), end), (60, 40, None));
    let transactions = state.transactions().expect("has them");
    let both = |a: &str, b: &str| vec![Operation::Upsert(set(a, "x")), Operation::Upsert(set(b, "x"))];
    transactions
        .execute(both("{t}a", "{t}b"), Default::default())
        .await
        .expect("one place");
    transactions
        .execute(both("k1", "k2"), Default::default())
        .await
        .expect_err("two places");
    assert_eq!(read(&state, "{t}b").await, Some("x".into()));
    state.close().await;
}

#[tokio::test]
async fn streams_in_a_cluster() {
    let servers = cluster::<2>().await;
    let host = servers[0].host();
    let options = options::<PubSub>(&[("redisHost", &host), ("redisType", "cluster"), ("consumerID", "app")]);
    let broker = PubSub::open(options, Open::default()).await.expect("opens");
    let seen = Arc::new(Seen::default());
    let mut subscriptions = Vec::new();
    for topic in ["a", "b", "c", "d"] {
        let request = pubsub::Subscribe {
            topic: topic.into(),
            ..Default::default()
        };
        subscriptions.push(broker.subscribe(request, seen.clone()).await.expect("subscribes"));
        for n in 0..20 {
            let message = pubsub::Publish {
                topic: topic.into(),
                data: format!("{topic}{n}").into(),
                ..Default::default()
            };
            broker.publish(message).await.expect("publishes");
        }
    }
    let started = Instant::now();
    while seen.0.lock().len() < 80 {
        assert!(started.elapsed() < Duration::from_secs(10), "messages do not come");
        sleep(Duration::from_millis(10)).await;
    }
    for subscription in subscriptions {
        subscription.close().await;
    }
}

#[tokio::test]
async fn a_cluster_that_was_gone_is_found_again() {
    let [mut server] = cluster::<1>().await;
    let host = server.host();
    let pairs = [("redisHost", &*host), ("redisType", "cluster"), ("consumerID", "app")];
    let state = State::open(options::<State>(&pairs), Open::default())
        .await
        .expect("opens");
    let broker = PubSub::open(options::<PubSub>(&pairs), Open::default())
        .await
        .expect("opens");
    let seen = Arc::new(Seen::default());
    let request = pubsub::Subscribe {
        topic: "t".into(),
        ..Default::default()
    };
    let subscription = broker.subscribe(request, seen.clone()).await.expect("subscribes");
    state.set(set("k", "before")).await.expect("writes");
    server.kill();
    for _ in 0..3 {
        let started = Instant::now();
        let error = state.set(set("k", "meanwhile")).await.expect_err("is gone");
        assert!(error.is_transient(), "{error}");
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        sleep(Duration::from_millis(300)).await;
    }
    server.restart();
    let started = Instant::now();
    while state.set(set("k", "after")).await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(10), "is not found again");
        sleep(Duration::from_millis(50)).await;
    }
    let message = pubsub::Publish {
        topic: "t".into(),
        data: "after".into(),
        ..Default::default()
    };
    while broker.publish(message.clone()).await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(10), "is not found again");
        sleep(Duration::from_millis(50)).await;
    }
    while seen.0.lock().is_empty() {
        assert!(started.elapsed() < Duration::from_secs(15), "messages do not come");
        sleep(Duration::from_millis(10)).await;
    }
    subscription.close().await;
}

#[tokio::test]
async fn sentinels_lead_to_the_new_master() {
    let mut master = Server::start();
    let replica = Server::with(&["--save", "", "--replicaof", "127.0.0.1", &master.port.to_string()]);
    let sentinel = Server::sentinel(&format!(
        "sentinel monitor main 127.0.0.1 {} 1\nsentinel down-after-milliseconds main 500\nsentinel failover-timeout main 2000\n",
        master.port
    ));
    let hosts = format!("127.0.0.1:{},{}", free_port(), sentinel.host());
    let pairs = [
        ("redisHost", &*hosts),
        ("failover", "true"),
        ("sentinelMasterName", "main"),
    ];
    let state = State::open(options::<State>(&pairs), Open::default())
        .await
        .expect("opens");
    state.set(set("k", "before")).await.expect("writes");
    let started = Instant::now();
    loop {
        let info: String = redis::from_redis_value(run(&sentinel, "INFO sentinel").await).expect("text");
        if info.contains("slaves=1") && read(&state, "k").await.is_some() {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{info}");
        sleep(Duration::from_millis(100)).await;
    }
    master.kill();
    let started = Instant::now();
    while state.set(set("k", "after")).await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(30), "no new master");
        sleep(Duration::from_millis(100)).await;
    }
    let held: String = redis::from_redis_value(run(&replica, "HGET k data").await).expect("text");
    assert_eq!(held, "after");
    let unknown = [
        ("redisHost", &*hosts),
        ("failover", "true"),
        ("sentinelMasterName", "other"),
    ];
    let error = State::open(options::<State>(&unknown), Open::default())
        .await
        .err()
        .expect("no such master");
    assert!(error.to_string().contains("other"), "{error}");
}

#[tokio::test]
async fn certificates_are_verified_unless_told_otherwise() {
    let issued = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let folder = tempfile::tempdir().expect("a folder");
    let (cert, key) = (folder.path().join("cert"), folder.path().join("key"));
    std::fs::write(&cert, issued.cert.pem()).expect("writes");
    std::fs::write(&key, issued.signing_key.serialize_pem()).expect("writes");
    let port = free_port();
    let server = Server::with(&[
        "--save",
        "",
        "--tls-port",
        &port.to_string(),
        "--tls-auth-clients",
        "yes",
        "--tls-cert-file",
        &cert.to_string_lossy(),
        "--tls-key-file",
        &key.to_string_lossy(),
        "--tls-ca-cert-file",
        &cert.to_string_lossy(),
    ]);
    let host = format!("localhost:{port}");
    let (cert, key) = (issued.cert.pem(), issued.signing_key.serialize_pem());
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(cert.as_bytes()).expect("PEM"))
        .expect("a root");
    let try_with = async |more: &[(&str, &str)], roots: Option<RootCertStore>| -> Result<State, OpenError> {
        let mut properties: Properties = more.iter().copied().collect();
        properties.set("redisHost", &host);
        properties.set("enableTLS", "true");
        properties.set("redisMaxRetries", "0");
        let target = Target::new(&Connection::decode(&properties)?, roots)?;
        State::start(Config::decode(&properties)?, Arc::new(target)).await
    };
    let mine = [("clientCert", cert.as_str()), ("clientKey", key.as_str())];
    let state = try_with(&mine, Some(roots.clone())).await.expect("is trusted");
    state.set(set("k", "v")).await.expect("writes");
    assert_eq!(read(&state, "k").await, Some("v".into()));
    let mut insecure = mine.to_vec();
    insecure.push(("insecureSkipTLSVerify", "true"));
    try_with(&insecure, None).await.expect("takes any");
    let error = try_with(&mine, None).await.err().expect("is not trusted by the system");
    assert!(error.to_string().contains("certificate"), "{error}");
    try_with(&[], Some(roots))
        .await
        .err()
        .expect("the server wants a certificate");
    try_with(&[("clientCert", "x"), ("clientKey", "y")], None)
        .await
        .err()
        .expect("no PEM");
    drop(server);
}
