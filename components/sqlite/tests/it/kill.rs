//! Publishers and consumers are killed (SIGKILL) at any moment; nothing that was acknowledged may be lost.
//!
//! The processes that are killed are this test's own program, run again with a role.

use component::{
    Component, ComponentError, Config, Open, Properties, async_trait,
    pubsub::{Handler, Message, PubSub as _, Publish, Subscribe},
};
use component_sqlite::pubsub::{Options, PubSub};
use std::{
    collections::{HashMap, HashSet},
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

const MESSAGES: usize = 20_000;
const ROLE: &str = "OUTRIGGER_TEST_ROLE";

async fn open(folder: &Path, group: &str) -> PubSub {
    let path = folder.join("log.db").display().to_string();
    let properties: Properties = [("connectionString", path.as_str()), ("consumerID", group)]
        .into_iter()
        .collect();
    PubSub::open(Options::decode(&properties).unwrap(), Open::default())
        .await
        .unwrap()
}

/// Appends what it gets to a file, so that it counts also if the process is killed right after.
struct Recorder(File);

#[async_trait]
impl Handler for Recorder {
    async fn handle(&self, message: Message) -> Result<(), ComponentError> {
        let mut line = message.data.split(|byte| *byte == b' ').next().unwrap().to_vec();
        line.push(b'\n');
        (&self.0).write_all(&line).unwrap();
        Ok(())
    }
}

fn recorder(folder: &Path, group: &str) -> Arc<Recorder> {
    let path = folder.join(format!("{group}.received"));
    Arc::new(Recorder(
        OpenOptions::new().create(true).append(true).open(path).unwrap(),
    ))
}

fn subscribe() -> Subscribe {
    Subscribe {
        topic: "t".into(),
        ..Subscribe::default()
    }
}

/// Takes messages and is never done with them.
struct Hanging;

#[async_trait]
impl Handler for Hanging {
    async fn handle(&self, _: Message) -> Result<(), ComponentError> {
        println!("tells 2");
        std::future::pending().await
    }
}

/// What a process that is to be killed does: `publish FOLDER FIRST`, `consume FOLDER GROUP` or `hang FOLDER GROUP`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a role in the other test"]
async fn child() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let words: Vec<&str> = role.split(' ').collect();
    let folder = PathBuf::from(words[1]);
    if words[0] == "publish" {
        let pubsub = Arc::new(open(&folder, "publisher").await);
        let first: usize = words[2].parse().unwrap();
        let tasks = (0..32).map(|task| tokio::spawn(publish(pubsub.clone(), first + task)));
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    } else {
        let pubsub = open(&folder, words[2]).await;
        let handler: Arc<dyn Handler> = match words[0] {
            "hang" => Arc::new(Hanging),
            _ => recorder(&folder, words[2]),
        };
        let _subscription = pubsub.subscribe(subscribe(), handler).await.unwrap();
        println!("tells 1");
        std::future::pending::<()>().await;
    }
}

async fn publish(pubsub: Arc<PubSub>, first: usize) {
    for n in (first..).step_by(32) {
        let message = Publish {
            topic: "t".into(),
            data: format!("{n} {}", "x".repeat(1000)).into(),
            ..Publish::default()
        };
        pubsub.publish(message).await.unwrap();
        println!("acked {n}");
    }
}

/// Ends with the test, also if the test fails.
struct Process(Child);

impl Process {
    fn start(role: &str) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::child", "--ignored", "--nocapture"])
            .env(ROLE, role)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    /// The numbers that the process tells, each after the given word.
    fn lines(&mut self, word: &'static str) -> impl Iterator<Item = usize> + use<> {
        let output = BufReader::new(self.0.stdout.take().unwrap());
        output.lines().map_while(Result::ok).filter_map(move |line| {
            let (_, number) = line.split_once(&format!("{word} "))?;
            number.parse().ok()
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Publishes in processes that are killed, until enough is acknowledged.
fn publish_and_kill(folder: &Path) -> HashSet<usize> {
    let mut acked = HashSet::new();
    for round in 1.. {
        let mut process = Process::start(&format!("publish {} {}", folder.display(), round * 1_000_000));
        let lines = process.lines("acked");
        let killer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(80 + fastrand::u64(..300)));
            drop(process);
        });
        acked.extend(lines);
        killer.join().unwrap();
        if acked.len() >= MESSAGES {
            println!("{round} publishers were killed");
            break;
        }
    }
    acked
}

fn received(folder: &Path, group: &str) -> HashMap<usize, usize> {
    let text = std::fs::read_to_string(folder.join(format!("{group}.received"))).unwrap();
    let mut counts = HashMap::new();
    for number in text.lines().filter_map(|line| line.parse().ok()) {
        *counts.entry(number).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_processes_are_killed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    // One group is in this process and lives; the two consumers of the other one are killed again and again.
    let calm = open(&path, "calm").await;
    let _subscription = calm.subscribe(subscribe(), recorder(&path, "calm")).await.unwrap();
    let consume = format!("consume {} shaken", path.display());
    let mut consumers: Vec<Process> = (0..2).map(|_| Process::start(&consume)).collect();
    for consumer in &mut consumers {
        assert_eq!(consumer.lines("tells").next(), Some(1));
    }
    let publishing = tokio::task::spawn_blocking({
        let path = path.clone();
        move || publish_and_kill(&path)
    });
    let mut kills = 0;
    while !publishing.is_finished() {
        tokio::time::sleep(Duration::from_millis(50 + fastrand::u64(..150))).await;
        consumers[fastrand::usize(..2)] = Process::start(&consume);
        kills += 1;
    }
    let acked = publishing.await.unwrap();
    let began = Instant::now();
    let missing = |group: &str| {
        let received = received(&path, group);
        acked.iter().filter(|n| !received.contains_key(n)).count()
    };
    while missing("calm") + missing("shaken") > 0 && began.elapsed() < Duration::from_secs(60) {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    println!("drained {:?} after the last kill", began.elapsed());
    for group in ["calm", "shaken"] {
        let received = received(&path, group);
        let twice: usize = received.values().map(|count| count - 1).sum();
        let unacknowledged = received.keys().filter(|n| !acked.contains(n)).count();
        println!(
            "{group}: {} acknowledged, {} missing, {twice} delivered again, {unacknowledged} arrived without acknowledgement",
            acked.len(),
            missing(group)
        );
        assert_eq!(missing(group), 0);
        assert!(group != "calm" || twice == 0);
    }
    println!("{kills} consumers were killed");
    drop(consumers);
    calm.close().await;
    let connection = rusqlite::Connection::open(path.join("log.db")).unwrap();
    let sound: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(sound, "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sleeps_takes_over_from_who_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let pubsub = open(folder.path(), "g").await;
    let mut hanging = Process::start(&format!("hang {} g", folder.path().display()));
    let mut told = hanging.lines("tells");
    assert_eq!(told.next(), Some(1), "it is ready");
    let message = Publish {
        topic: "t".into(),
        data: "5 x".into(),
        ..Publish::default()
    };
    pubsub.publish(message).await.unwrap();
    assert_eq!(told.next(), Some(2), "it has the message");
    let _subscription = pubsub
        .subscribe(subscribe(), recorder(folder.path(), "g"))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(received(folder.path(), "g").is_empty());
    drop(hanging);
    let began = Instant::now();
    while received(folder.path(), "g").is_empty() {
        assert!(began.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("taken over after {:?}", began.elapsed());
    pubsub.close().await;
}
