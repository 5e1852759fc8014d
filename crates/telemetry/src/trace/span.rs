//! A span while it lasts, and what is exported of it.

use std::borrow::Cow;
use std::time::SystemTime;

use super::batch::Queue;
use super::context::TraceContext;

/// The side of a call on which a span is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Inside one program.
    #[default]
    Internal,
    /// The one who answers.
    Server,
    /// The one who calls.
    Client,
    /// The one who sends a message.
    Producer,
    /// The one who receives a message.
    Consumer,
}

/// How a span ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Nobody said.
    #[default]
    Unset,
    /// Well.
    Ok,
    /// Not well.
    Error(Cow<'static, str>),
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text.
    Text(Cow<'static, str>),
    /// A whole number.
    Int(i64),
    /// Any number.
    Float(f64),
    /// Yes or no.
    Bool(bool),
}

impl From<&'static str> for Value {
    fn from(value: &'static str) -> Value {
        Value::Text(Cow::Borrowed(value))
    }
}

impl From<String> for Value {
    fn from(value: String) -> Value {
        Value::Text(Cow::Owned(value))
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Value {
        Value::Int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Value {
        Value::Float(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Bool(value)
    }
}

/// An attribute's key and value.
pub type Attribute = (Cow<'static, str>, Value);

/// Something that happened during a span.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// What.
    pub name: Cow<'static, str>,
    /// When.
    pub time: SystemTime,
    /// More about it.
    pub attributes: Vec<Attribute>,
}

/// What is exported of a span.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanData {
    /// The ids of the span.
    pub context: TraceContext,
    /// The id of its parent, or zeros.
    pub parent_span_id: [u8; 8],
    /// Its name.
    pub name: Cow<'static, str>,
    /// Its side.
    pub kind: Kind,
    /// When it began.
    pub start: SystemTime,
    /// When it ended.
    pub end: SystemTime,
    /// Attributes, in the order in which they were set.
    pub attributes: Vec<Attribute>,
    /// Events, in the order in which they came.
    pub events: Vec<Event>,
    /// How it ended.
    pub status: Status,
}

/// A span while it lasts. Dropping it ends it. One that is not recorded is only a context.
#[derive(Debug, Default)]
pub struct Span {
    context: TraceContext,
    recording: Option<Box<Recording>>,
}

#[derive(Debug)]
pub(super) struct Recording {
    pub(super) data: SpanData,
    pub(super) queue: Queue,
}

impl Span {
    pub(super) fn unrecorded(context: TraceContext) -> Span {
        Span {
            context,
            recording: None,
        }
    }

    pub(super) fn recorded(data: SpanData, queue: Queue) -> Span {
        Span {
            context: data.context.clone(),
            recording: Some(Box::new(Recording { data, queue })),
        }
    }

    /// The context to propagate. When tracing is off it is the one that came in, or zeros.
    pub fn context(&self) -> &TraceContext {
        &self.context
    }

    /// Whether anything that is set will be seen: ask before computing what costs.
    pub fn is_recording(&self) -> bool {
        self.recording.is_some()
    }

    /// Sets an attribute. One that is there already gets the new value.
    pub fn set_attribute(&mut self, key: &'static str, value: impl Into<Value>) {
        self.set_attribute_with(key, || value.into());
    }

    /// Sets an attribute whose value is computed only when the span is recorded.
    pub fn set_attribute_with(&mut self, key: &'static str, value: impl FnOnce() -> Value) {
        let Some(recording) = &mut self.recording else { return };
        let attributes = &mut recording.data.attributes;
        match attributes.iter_mut().find(|(own, _)| own == key) {
            Some((_, own)) => *own = value(),
            None => attributes.push((Cow::Borrowed(key), value())),
        }
    }

    /// Notes something that happens now.
    pub fn add_event(&mut self, name: impl Into<Cow<'static, str>>, attributes: Vec<Attribute>) {
        if let Some(recording) = &mut self.recording {
            recording.data.events.push(Event {
                name: name.into(),
                time: SystemTime::now(),
                attributes,
            });
        }
    }

    /// Gives the span another name.
    pub fn set_name(&mut self, name: impl Into<Cow<'static, str>>) {
        if let Some(recording) = &mut self.recording {
            recording.data.name = name.into();
        }
    }

    /// Says how it ended.
    pub fn set_status(&mut self, status: Status) {
        if let Some(recording) = &mut self.recording {
            recording.data.status = status;
        }
    }

    /// Says that it ended badly.
    pub fn set_error(&mut self, error: &dyn std::fmt::Display) {
        if self.is_recording() {
            self.set_status(Status::Error(error.to_string().into()));
        }
    }

    /// Ends it now, as dropping it does.
    pub fn end(self) {}

    /// Ends it at a time of the caller's.
    pub fn end_at(mut self, end: SystemTime) {
        self.finish(end);
    }

    fn finish(&mut self, end: SystemTime) {
        if let Some(mut recording) = self.recording.take() {
            recording.data.end = end;
            recording.queue.push(recording.data);
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if self.recording.is_some() {
            self.finish(SystemTime::now());
        }
    }
}
