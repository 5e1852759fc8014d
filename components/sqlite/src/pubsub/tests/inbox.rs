//! A handler that tests look into.

use super::until;
use component::{
    ComponentError, async_trait,
    pubsub::{BulkHandler, BulkMessage, FailedEntries, Handler, Message},
};
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc, time::Instant};
use tokio::sync::Semaphore;

/// Writes down what it gets.
#[derive(Default)]
pub(super) struct Inbox {
    pub(super) messages: Mutex<Vec<(Message, Instant)>>,
    /// How often each text is refused.
    refusals: Mutex<HashMap<String, u32>>,
    /// If given, each message waits for a permit.
    pub(super) permits: Option<Semaphore>,
}

#[async_trait]
impl Handler for Inbox {
    async fn handle(&self, message: Message) -> Result<(), ComponentError> {
        if let Some(permits) = &self.permits {
            permits.acquire().await.unwrap().forget();
        }
        let text = String::from_utf8(message.data.to_vec()).unwrap();
        self.messages.lock().push((message, Instant::now()));
        assert!(text != "panic", "a handler's fault");
        match self.refusals.lock().get_mut(&text) {
            Some(left) if *left > 0 => {
                *left -= 1;
                Err(ComponentError::transient("refused"))
            }
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl BulkHandler for Inbox {
    async fn handle(&self, message: BulkMessage) -> FailedEntries {
        let mut failed = Vec::new();
        for entry in message.entries {
            let single = Message {
                topic: format!("{}:{}", message.topic, entry.entry_id),
                data: entry.data,
                content_type: Some(entry.content_type),
                metadata: entry.metadata,
            };
            if let Err(error) = Handler::handle(self, single).await {
                failed.push((entry.entry_id, error));
            }
        }
        failed
    }
}

impl Inbox {
    pub(super) fn refusing(text: &str, times: u32) -> Arc<Self> {
        let inbox = Self::default();
        inbox.refusals.lock().insert(text.into(), times);
        Arc::new(inbox)
    }

    pub(super) fn gated() -> Arc<Self> {
        Arc::new(Self {
            permits: Some(Semaphore::new(0)),
            ..Self::default()
        })
    }

    pub(super) fn texts(&self) -> Vec<String> {
        let messages = self.messages.lock();
        messages
            .iter()
            .map(|(message, _)| String::from_utf8_lossy(&message.data).into_owned())
            .collect()
    }

    pub(super) fn len(&self) -> usize {
        self.messages.lock().len()
    }

    pub(super) async fn wait_for(&self, count: usize) {
        until(&format!("{count} messages"), || self.len() >= count).await;
    }
}
