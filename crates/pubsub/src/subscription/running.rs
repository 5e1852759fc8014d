//! One subscription while it runs: it stands at a component, follows the component's replacement, and is closed in order.

use super::{
    LOG,
    bulk::Gather,
    deliver::{Delivery, Target},
    spec::{Compiled, Spec},
};
use crate::{
    Shared,
    access::{Access, Component},
};
use component::{
    ComponentError,
    pubsub::{BulkHandler, Handler, Subscribe, Subscription},
};
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, oneshot},
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// The components that subscriptions stand at, so that what was replaced is known to be free.
#[derive(Default)]
pub(crate) struct Uses {
    uses: Mutex<HashMap<u64, Component>>,
    freed: Notify,
}

/// A subscription's use of a component.
struct Use {
    shared: Arc<Shared>,
    id: u64,
}

impl Drop for Use {
    fn drop(&mut self) {
        self.shared.uses.uses.lock().remove(&self.id);
        self.shared.uses.freed.notify_waiters();
    }
}

impl Uses {
    fn add(shared: &Arc<Shared>, component: &Component) -> Use {
        let id = shared.next_id();
        shared.uses.uses.lock().insert(id, component.clone());
        Use {
            shared: shared.clone(),
            id,
        }
    }

    /// The components in use, each once.
    pub(crate) fn components(&self) -> Vec<Component> {
        let mut all: Vec<Component> = Vec::new();
        for component in self.uses.lock().values() {
            if !all.iter().any(|other| Arc::ptr_eq(other, component)) {
                all.push(component.clone());
            }
        }
        all
    }

    /// Waits until all components in use satisfy `wanted`.
    pub(crate) async fn wait_until_all(&self, wanted: impl Fn(&Component) -> bool) {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if self.uses.lock().values().all(&wanted) {
                return;
            }
            freed.await;
        }
    }
}

/// Why a subscription does not stand.
#[derive(Debug)]
pub(crate) enum Unable {
    /// The component is not loaded.
    Missing,
    /// The component's scopes do not let the application subscribe.
    Denied(String),
    /// The broker refused.
    Broker(ComponentError),
}

/// A subscription that stands.
pub(crate) struct Standing {
    subscription: Subscription,
    component: Component,
    closed: CancellationToken,
    flush: CancellationToken,
    _gather: Option<AbortOnDropHandle<()>>,
    _use: Use,
}

impl Standing {
    /// Subscribes.
    pub(crate) async fn new(shared: &Arc<Shared>, compiled: &Compiled, target: &Target) -> Result<Self, Unable> {
        let spec = &*compiled.spec;
        let Spec { pubsub, topic, .. } = spec;
        let component = shared
            .runtime
            .peek()
            .pubsub
            .get(pubsub)
            .cloned()
            .ok_or(Unable::Missing)?;
        let (broker_topic, immediate) = {
            let access = Access::of(&component, &shared.runtime.info);
            if !access.may_subscribe(topic) {
                return Err(Unable::Denied(format!(
                    "subscription to topic '{topic}' on pubsub '{pubsub}' is not allowed"
                )));
            }
            (access.broker_topic(topic), access.immediate)
        };
        let (closed, flush) = (CancellationToken::new(), CancellationToken::new());
        let lease = Uses::add(shared, &component);
        let delivery = Arc::new(Delivery::new(
            shared,
            compiled,
            &component,
            target.clone(),
            closed.clone(),
        ));
        let request = Subscribe {
            topic: broker_topic,
            metadata: spec.component_metadata(),
        };
        let mut gather = None;
        let subscribed = match (spec.bulk, component.instance.bulk_subscribe()) {
            (None, _) => {
                component
                    .instance
                    .subscribe(request, delivery as Arc<dyn Handler>)
                    .await
            }
            (Some(bulk), Some(broker)) => {
                broker
                    .bulk_subscribe(request, bulk.options(), delivery as Arc<dyn BulkHandler>)
                    .await
            }
            (Some(_), None) if immediate => {
                component
                    .instance
                    .subscribe(request, Arc::new(Gather::immediate(delivery)))
                    .await
            }
            (Some(bulk), None) => {
                let (handler, task) = Gather::new(delivery, bulk, flush.clone());
                gather = Some(AbortOnDropHandle::new(tokio::spawn(task)));
                component.instance.subscribe(request, Arc::new(handler)).await
            }
        };
        Ok(Self {
            subscription: subscribed.map_err(Unable::Broker)?,
            component,
            closed,
            flush,
            _gather: gather,
            _use: lease,
        })
    }

    /// Whether its component is still the one that is loaded.
    pub(crate) fn is_current(&self, shared: &Shared) -> bool {
        shared.is_current(&self.component)
    }

    /// Takes nothing in any more, and waits until what is in flight is done with.
    pub(crate) async fn close(self) {
        self.flush.cancel();
        self.subscription.close().await;
        self.closed.cancel();
    }
}

/// A subscription that is kept up.
pub(crate) struct Running {
    pub(crate) spec: Arc<Spec>,
    pub(crate) cancel: CancellationToken,
    pub(crate) task: JoinHandle<()>,
}

/// Keeps a subscription up until it is cancelled: subscribes, again where that failed, and anew where the component was
/// replaced. `after` is what must have ended before. `tried` is told of the first attempt.
pub(crate) async fn keep_up(
    shared: Arc<Shared>,
    compiled: Compiled,
    target: Target,
    cancel: CancellationToken,
    after: Option<JoinHandle<()>>,
    tried: oneshot::Sender<()>,
) {
    let mut tried = Some(tried);
    if let Some(after) = after {
        let _ended = after.await;
    }
    let mut changed = shared.changed.subscribe();
    let mut pause = Backoff::default();
    while !cancel.is_cancelled() {
        changed.mark_unchanged();
        let standing = tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            standing = Standing::new(&shared, &compiled, &target) => standing,
        };
        if let Some(tried) = tried.take() {
            // Whoever asked may have stopped waiting.
            let _told = tried.send(());
        }
        match standing {
            Ok(standing) => {
                pause = Backoff::default();
                loop {
                    tokio::select! {
                        () = cancel.cancelled() => break,
                        _ = changed.changed() => if !standing.is_current(&shared) { break },
                    }
                }
                standing.close().await;
            }
            Err(unable) => {
                let wait = log(&compiled.spec, &unable).then(|| pause.next());
                tokio::select! {
                    () = cancel.cancelled() => return,
                    _ = changed.changed() => {}
                    () = sleep(wait) => {}
                }
            }
        }
    }
}

/// Says why a subscription does not stand; returns whether trying again may help.
fn log(Spec { pubsub, topic, .. }: &Spec, unable: &Unable) -> bool {
    match unable {
        Unable::Missing => {
            tracing::warn!(target: LOG, "pubsub {pubsub} is not loaded: topic {topic} is not subscribed to before it is");
            false
        }
        Unable::Denied(why) => {
            tracing::error!(target: LOG, "Failed to start subscription for pubsub {pubsub}, topic {topic}: {why}");
            false
        }
        Unable::Broker(error) => {
            tracing::error!(target: LOG, "Failed to start subscription for pubsub {pubsub}, topic {topic}: {error}. Will retry.");
            true
        }
    }
}

/// Pauses of any length up to a limit that grows.
pub(crate) struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(Duration::from_millis(500))
    }
}

impl Backoff {
    /// The next pause.
    pub(crate) fn next(&mut self) -> Duration {
        let limit = self.0;
        self.0 = (limit * 2).min(Duration::from_secs(30));
        limit.mul_f64(fastrand::f64())
    }
}

/// Waits; without a time for ever.
pub(crate) async fn sleep(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}
