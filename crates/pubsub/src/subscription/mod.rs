//! Subscriptions: where they come from, and when they run.

mod bulk;
mod declared;
mod deliver;
mod deliver_grpc;
mod deliver_http;
mod programmatic;
mod routes;
mod running;
mod spec;
mod stream;

use crate::Shared;
use app::App;
use declared::Declared;
use deliver::Target;
use futures_util::future::join_all;
use parking_lot::Mutex;
use running::{Backoff, Running, keep_up};
use spec::{Compiled, Key, Spec, merge};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use wire::runtime::v1::PubsubSubscription;

pub use declared::check;
pub(crate) use running::Uses;

const LOG: &str = "dapr.runtime.processor.subscription";
const LOG_HTTP: &str = "dapr.runtime.processor.pubsub.subscription.http";
const LOG_GRPC: &str = "dapr.runtime.processor.pubsub.subscription.grpc";
const LOG_STREAM: &str = "dapr.runtime.processor.pubsub.subscription.streaming";

/// How long a start waits for brokers that do not answer; they are waited for in the background then.
const FIRST_TRY: Duration = Duration::from_secs(10);
/// How long brokers may take to hold back deliveries when the sidecar ends.
const PAUSE: Duration = Duration::from_secs(5);

/// All subscriptions of the sidecar.
pub(crate) struct Subscriptions {
    shared: Arc<Shared>,
    ask_app: bool,
    state: Mutex<State>,
    /// Cancelled when nothing is taken in any more.
    stopping: CancellationToken,
    /// Counts how often the state of the application was followed.
    settled: watch::Sender<u64>,
    tasks: TaskTracker,
}

#[derive(Default)]
struct State {
    declared: Vec<Declared>,
    programmatic: Vec<Compiled>,
    /// What files and the application say, as one list.
    wanted: Vec<Compiled>,
    streams: BTreeMap<u64, Arc<Spec>>,
    /// Whether the application takes messages.
    active: bool,
    stopped: bool,
    running: HashMap<Key, Running>,
    /// Subscriptions that are being closed; another one for the same topic begins when they are.
    ending: HashMap<Key, JoinHandle<()>>,
}

impl State {
    /// Works out what is wanted.
    fn refresh(&mut self) {
        let declared = self.declared.iter().filter_map(|one| one.compiled.clone());
        self.wanted = merge(&declared.collect::<Vec<_>>(), &self.programmatic);
    }

    fn end(&mut self, key: &Key) {
        if let Some(running) = self.running.remove(key) {
            running.cancel.cancel();
            self.ending.insert(key.clone(), running.task);
        }
    }
}

impl Subscriptions {
    pub(crate) fn new(shared: Arc<Shared>, ask_app: bool, stopping: CancellationToken) -> Arc<Self> {
        let mut state = State {
            declared: declared::update(&[], &shared.runtime.peek().subscriptions),
            ..State::default()
        };
        state.refresh();
        Arc::new(Self {
            shared,
            ask_app,
            state: Mutex::new(state),
            stopping,
            settled: watch::Sender::new(0),
            tasks: TaskTracker::new(),
        })
    }

    /// All subscriptions, those of streams last.
    pub(crate) fn list(&self) -> Vec<PubsubSubscription> {
        let state = self.state.lock();
        let all = state.wanted.iter().map(|one| &one.spec).chain(state.streams.values());
        all.map(|spec| spec.listed()).collect()
    }

    /// Begins to follow the application. Returns when its subscriptions stand, or at once if it is not well.
    pub(crate) async fn start(self: &Arc<Self>) {
        let Some(app) = self.shared.app.clone() else { return };
        if !self.ask_app {
            tracing::info!(target: "dapr.runtime", "Skipping programmatic subscription loading");
        }
        let well = app.health().is_well();
        let mut settled = self.settled.subscribe();
        self.tasks.spawn(self.clone().follow(app));
        if well {
            tokio::select! {
                () = self.stopping.cancelled() => {}
                _ = settled.changed() => {}
            }
        }
    }

    /// Subscribes while the application is well.
    async fn follow(self: Arc<Self>, app: Arc<App>) {
        let mut health = app.health().watch();
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => return,
                well = health.wait_for(|well| *well) => if well.is_err() { return },
            }
            tokio::select! {
                () = self.stopping.cancelled() => return,
                () = self.take_up(&app) => {}
            }
            tokio::select! {
                () = self.stopping.cancelled() => return,
                well = health.wait_for(|well| !*well) => if well.is_err() { return },
            }
            self.let_go();
        }
    }

    /// Asks the application for its subscriptions and subscribes; asks again while there is hope.
    async fn take_up(&self, app: &Arc<App>) {
        let mut pause = Backoff::default();
        loop {
            let asked = if self.ask_app {
                let policies = self.shared.runtime.peek().policies.clone();
                programmatic::ask(app, &self.shared.runtime.info.app_id, &policies, &self.stopping).await
            } else {
                Ok(Vec::new())
            };
            let again = match asked {
                Ok(specs) => {
                    self.activate(specs).await;
                    false
                }
                Err(failed) => {
                    tracing::error!(target: LOG, "error getting topics from app: {failed}");
                    tracing::warn!(target: "dapr.runtime", "failed to subscribe to topics: error getting topics from app: {failed}");
                    failed.transient && app.health().is_well()
                }
            };
            self.settled.send_modify(|count| *count += 1);
            if !again {
                return;
            }
            tokio::time::sleep(pause.next()).await;
        }
    }

    async fn activate(&self, specs: Vec<Spec>) {
        log_topics(&specs);
        let tried = {
            let mut state = self.state.lock();
            state.programmatic = specs.into_iter().filter_map(Compiled::new).collect();
            state.active = true;
            state.refresh();
            self.apply(&mut state)
        };
        first_tries(tried).await;
    }

    /// Ends the subscriptions whose messages the application would get.
    fn let_go(&self) {
        let mut state = self.state.lock();
        state.active = false;
        let keys: Vec<Key> = state.running.keys().cloned().collect();
        keys.iter().for_each(|key| state.end(key));
    }

    /// Makes what runs what is wanted. Returns what tells of the first attempts.
    fn apply(&self, state: &mut State) -> Vec<oneshot::Receiver<()>> {
        let Some(app) = self.shared.app.as_ref().filter(|_| state.active && !state.stopped) else {
            return Vec::new();
        };
        state.ending.retain(|_, task| !task.is_finished());
        let wanted: HashMap<Key, Compiled> = state.wanted.iter().map(|one| (one.spec.key(), one.clone())).collect();
        let over = state
            .running
            .iter()
            .filter(|(key, running)| wanted.get(*key).is_none_or(|one| one.spec != running.spec));
        for key in over.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            state.end(&key);
        }
        let mut tries = Vec::new();
        for (key, one) in wanted {
            if state.running.contains_key(&key) {
                continue;
            }
            let (tried, first) = oneshot::channel();
            let cancel = self.shared.dropped.child_token();
            let after = state.ending.remove(&key);
            let spec = one.spec.clone();
            let work = keep_up(self.shared.clone(), one, Target::of(app), cancel.clone(), after, tried);
            let task = self.tasks.spawn(work);
            state.running.insert(key, Running { spec, cancel, task });
            tries.push(first);
        }
        tries
    }

    /// Takes up what has changed in the snapshot. Returns when new subscriptions were tried, and nothing stands at a component
    /// any more that was replaced or removed.
    pub(crate) async fn reload(&self) {
        let tried = {
            let mut state = self.state.lock();
            let resources = self.shared.runtime.peek().subscriptions.clone();
            state.declared = declared::update(&state.declared, &resources);
            state.refresh();
            self.apply(&mut state)
        };
        self.shared.changed.send_modify(|generation| *generation += 1);
        first_tries(tried).await;
        self.shared
            .uses
            .wait_until_all(|component| self.shared.is_current(component))
            .await;
    }

    /// Ends all tasks without waiting for them.
    pub(crate) fn abandon(&self) {
        self.stopping.cancel();
    }

    /// Takes nothing in any more, and waits until what is in flight is done with.
    pub(crate) async fn stop(&self) {
        self.stopping.cancel();
        let components = self.shared.uses.components();
        let pauses = components.iter().map(|component| async move {
            match tokio::time::timeout(PAUSE, component.instance.pause()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(target: LOG, "pubsub {} does not hold back deliveries: {error}", component.name),
                Err(_) => tracing::warn!(target: LOG, "pubsub {} does not answer when it is asked to hold back deliveries", component.name),
            }
        });
        join_all(pauses).await;
        {
            let mut state = self.state.lock();
            state.stopped = true;
            state.running.values().for_each(|running| running.cancel.cancel());
        }
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn first_tries(tried: Vec<oneshot::Receiver<()>>) {
    if tokio::time::timeout(FIRST_TRY, join_all(tried)).await.is_err() {
        tracing::warn!(target: LOG, "some message brokers have not answered yet; subscribing goes on");
    }
}

fn log_topics(specs: &[Spec]) {
    let mut topics: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for spec in specs {
        topics.entry(&spec.pubsub).or_default().push(&spec.topic);
    }
    for (pubsub, topics) in topics {
        tracing::info!(target: LOG, "app is subscribed to the following topics: [[{}]] through pubsub={pubsub}", topics.join(" "));
    }
}
