//! What starts spans.

use std::borrow::Cow;
use std::fmt::Display;
use std::sync::Arc;
use std::time::SystemTime;

use super::batch::Queue;
use super::context::TraceContext;
use super::sampler::Sampler;
use super::span::{Kind, Span, SpanData, Status};

/// Starts spans. Cheap to clone; when it is off, spans cost nothing.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    sampler: Sampler,
    queue: Option<Queue>,
    off: bool,
}

impl Tracer {
    /// Tracing is not configured.
    pub fn off() -> Tracer {
        Tracer(None)
    }

    pub(super) fn off_with(sampler: Sampler) -> Tracer {
        Tracer(Some(Arc::new(Inner {
            sampler,
            queue: None,
            off: true,
        })))
    }

    pub(super) fn new(sampler: Sampler, queue: Option<Queue>) -> Tracer {
        Tracer(Some(Arc::new(Inner {
            sampler,
            queue,
            off: false,
        })))
    }

    /// Whether spans have ids of their own.
    pub fn is_on(&self) -> bool {
        self.on().is_some()
    }

    /// The sampler, when tracing is configured.
    pub fn sampler(&self) -> Option<Sampler> {
        self.0.as_ref().map(|inner| inner.sampler)
    }

    /// Starts a span now. The name is made only when the span is recorded: give `format_args!` where it has parts.
    pub fn start(&self, name: impl Display, parent: Option<&TraceContext>, kind: Kind) -> Span {
        self.build(name, parent, kind).start()
    }

    /// The same, with more to say about the span.
    pub fn build<'a, N: Display>(&self, name: N, parent: Option<&'a TraceContext>, kind: Kind) -> Builder<'a, N> {
        Builder {
            tracer: self.clone(),
            name,
            parent,
            kind,
            start: None,
            trace_id: None,
            span_id: None,
        }
    }

    /// Waits until every span that has ended is exported.
    pub async fn flush(&self) {
        if let Some(queue) = self.on().and_then(|inner| inner.queue.as_ref()) {
            queue.flush().await;
        }
    }

    fn on(&self) -> Option<&Inner> {
        self.0.as_deref().filter(|inner| !inner.off)
    }
}

/// A span that is about to start.
#[derive(Debug)]
pub struct Builder<'a, N> {
    tracer: Tracer,
    name: N,
    parent: Option<&'a TraceContext>,
    kind: Kind,
    start: Option<SystemTime>,
    trace_id: Option<[u8; 16]>,
    span_id: Option<[u8; 8]>,
}

impl<N: Display> Builder<'_, N> {
    /// It began at this time.
    pub fn started_at(mut self, start: SystemTime) -> Self {
        self.start = Some(start);
        self
    }

    /// It has this id, which was given out before.
    pub fn with_span_id(mut self, span_id: [u8; 8]) -> Self {
        self.span_id = Some(span_id);
        self
    }

    /// It belongs to this trace, if it has no parent.
    pub fn with_trace_id(mut self, trace_id: [u8; 16]) -> Self {
        self.trace_id = Some(trace_id);
        self
    }

    /// Starts it.
    pub fn start(self) -> Span {
        let Some(tracer) = self.tracer.on() else {
            return Span::unrecorded(self.parent.cloned().unwrap_or_default());
        };
        let parent = self.parent.filter(|parent| parent.is_valid());
        let context = self.context(parent, &tracer.sampler);
        match &tracer.queue {
            Some(queue) if context.is_sampled() => Span::recorded(self.data(parent, context), queue.clone()),
            _ => Span::unrecorded(context),
        }
    }

    fn context(&self, parent: Option<&TraceContext>, sampler: &Sampler) -> TraceContext {
        let root = || self.trace_id.unwrap_or_else(|| fastrand::u128(1..).to_be_bytes());
        let trace_id = parent.map_or_else(root, |parent| parent.trace_id);
        let span_id = self.span_id.unwrap_or_else(|| fastrand::u64(1..).to_be_bytes());
        let state = parent.and_then(|parent| parent.state.clone());
        let sampled = sampler.samples(parent, &trace_id);
        TraceContext {
            trace_id,
            span_id,
            flags: 0,
            state,
        }
        .with_sampled(sampled)
    }

    fn data(&self, parent: Option<&TraceContext>, context: TraceContext) -> SpanData {
        let start = self.start.unwrap_or_else(SystemTime::now);
        SpanData {
            context,
            parent_span_id: parent.map(|parent| parent.span_id).unwrap_or_default(),
            name: Cow::Owned(self.name.to_string()),
            kind: self.kind,
            start,
            end: start,
            attributes: Vec::new(),
            events: Vec::new(),
            status: Status::Unset,
        }
    }
}
