//! Publishing messages together.

use crate::{
    PubSub,
    access::{Access, Component},
    cloud_event::Wrap,
    content,
    error::Error,
    publish::{Refused, failure, find, forbidden, raw_flag, trace},
};
use api::{ApiError, Cx};
use component::{
    ComponentError,
    pubsub::{BulkEntry, BulkPublish, FailedEntries, Publish},
};
use futures_util::{StreamExt, stream};
use outgoing::{CallCx, CallError, ComponentKind};
use parking_lot::Mutex;
use std::{collections::HashSet, time::Instant};
use wire::runtime::v1::{BulkPublishRequest, BulkPublishResponse, BulkPublishResponseFailedEntry};

/// How many messages of a bulk are on their way to a broker that takes them one by one.
const CONCURRENCY: usize = 100;

/// What became of a bulk: entries that failed, and why.
pub(crate) type Failed = Vec<(String, String)>;

impl PubSub {
    /// Publishes messages together. An error if all of them failed.
    pub async fn bulk_publish(&self, cx: &Cx, request: BulkPublishRequest) -> Result<BulkPublishResponse, ApiError> {
        let (pubsub, topic, count) = (
            request.pubsub_name.clone(),
            request.topic.clone(),
            request.entries.len(),
        );
        let failed = self.bulk(cx, request).await?;
        if count > 0 && failed.len() == count {
            let why = failed.into_iter().next().map(|(_, why)| why).unwrap_or_default();
            return Err(Error::Publish { pubsub, topic, why }.into());
        }
        let entries = failed
            .into_iter()
            .map(|(entry_id, error)| BulkPublishResponseFailedEntry { entry_id, error });
        Ok(BulkPublishResponse {
            failed_entries: entries.collect(),
        })
    }

    /// Publishes messages together; returns those that failed.
    pub(crate) async fn bulk(&self, cx: &Cx, request: BulkPublishRequest) -> Result<Failed, ApiError> {
        let component = find(&cx.snapshot, &request.pubsub_name, &request.topic)?;
        let raw = raw_flag(&request.pubsub_name, &request.metadata)?;
        let (pubsub, topic, app_id) = (&request.pubsub_name, &request.topic, &cx.info().app_id);
        let mut ids = HashSet::with_capacity(request.entries.len());
        if !request
            .entries
            .iter()
            .all(|e| !e.entry_id.is_empty() && ids.insert(e.entry_id.as_str()))
        {
            let why = "entryId is duplicated or not present for entry".into();
            let (pubsub, topic, app) = (pubsub.clone(), topic.clone(), app_id.clone());
            return Err(Error::MarshalEvents {
                pubsub,
                topic,
                app,
                why,
            }
            .into());
        }
        let access = Access::of(component, cx.info());
        let metrics = &self.shared.metrics;
        let started = Instant::now();
        if !access.may_publish(topic) {
            metrics.pubsub_bulk_egress(pubsub, topic, false, started.elapsed());
            return Err(forbidden(pubsub, topic, app_id).into());
        }
        let (pubsub, topic) = (pubsub.clone(), topic.clone());
        let publish = BulkPublish {
            topic: access.broker_topic(&topic),
            metadata: request.metadata.clone(),
            entries: entries(cx, &access, request, raw)?,
        };
        if publish.entries.is_empty() {
            return Ok(Failed::new());
        }
        let failed = self.hand_over_all(cx, component, publish).await;
        metrics.pubsub_bulk_egress(&pubsub, &topic, failed.is_empty(), started.elapsed());
        Ok(failed)
    }

    /// Gives messages to their broker as the policies for the component say: what is repeated is only what failed.
    async fn hand_over_all(&self, cx: &Cx, component: &Component, publish: BulkPublish) -> Failed {
        let policy = cx
            .snapshot
            .policies
            .component_outbound(&component.name, ComponentKind::PubSub);
        let ids: Vec<String> = publish.entries.iter().map(|entry| entry.entry_id.clone()).collect();
        let retries = policy.may_retry();
        let pending = Mutex::new(publish);
        let attempt = |_| async {
            let now = if retries {
                pending.lock().clone()
            } else {
                std::mem::take(&mut *pending.lock())
            };
            let failed = publish_all(component, now)
                .await
                .map_err(|e| Refused::new(e, cx.transport))?;
            if retries {
                pending
                    .lock()
                    .entries
                    .retain(|entry| failed.iter().any(|(id, _)| *id == entry.entry_id));
            }
            Ok(failed)
        };
        let check = |failed: &FailedEntries| failure(failed.iter().map(|(_, error)| error), cx.transport);
        let result = policy
            .run_checked(&CallCx::new(&self.shared.never), attempt, check)
            .await;
        match result {
            Ok(failed) => failed.into_iter().map(|(id, error)| (id, error.message)).collect(),
            Err(error) => {
                let error: CallError<Refused> = error;
                let left = pending.into_inner().entries;
                let left: Vec<String> = if retries {
                    left.into_iter().map(|entry| entry.entry_id).collect()
                } else {
                    ids
                };
                left.into_iter().map(|id| (id, error.to_string())).collect()
            }
        }
    }
}

/// The messages as the broker gets them.
fn entries(cx: &Cx, access: &Access, request: BulkPublishRequest, raw: bool) -> Result<Vec<BulkEntry>, Error> {
    let BulkPublishRequest {
        pubsub_name: pubsub,
        topic,
        entries,
        metadata: common,
    } = request;
    let (traceparent, tracestate) = trace(cx);
    let app_id = &cx.info().app_id;
    let wrapped = entries.into_iter().map(|entry| {
        let mut metadata = entry.metadata;
        if raw {
            return Ok(BulkEntry {
                entry_id: entry.entry_id,
                data: entry.event,
                content_type: entry.content_type,
                metadata,
            });
        }
        for (key, value) in &common {
            metadata.entry(key.clone()).or_insert_with(|| value.clone());
        }
        let wrap = Wrap {
            app_id,
            pubsub: &pubsub,
            topic: &topic,
            content_type: &entry.content_type,
            traceparent: &traceparent,
            tracestate,
            component_expires: access.expires,
        };
        let data = wrap
            .envelope(&entry.event, &metadata)
            .map_err(|why| Error::CloudEvent {
                pubsub: pubsub.clone(),
                app: app_id.clone(),
                why,
            })?;
        Ok(BulkEntry {
            entry_id: entry.entry_id,
            data,
            content_type: content::CLOUD_EVENT.into(),
            metadata,
        })
    });
    wrapped.collect()
}

/// One attempt: by the broker's own means, or one by one.
async fn publish_all(component: &Component, request: BulkPublish) -> Result<FailedEntries, ComponentError> {
    if let Some(broker) = component.instance.bulk_publish() {
        return broker.bulk_publish(request).await;
    }
    let topic = &request.topic;
    let each = request.entries.into_iter().map(|entry| async move {
        let publish = Publish {
            topic: topic.clone(),
            data: entry.data,
            content_type: Some(entry.content_type).filter(|t| !t.is_empty()),
            metadata: entry.metadata,
        };
        let error = component.instance.publish(publish).await.err()?;
        Some((entry.entry_id, error))
    });
    Ok(stream::iter(each)
        .buffer_unordered(CONCURRENCY)
        .filter_map(std::future::ready)
        .collect()
        .await)
}
