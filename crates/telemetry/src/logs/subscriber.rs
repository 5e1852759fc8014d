//! The `tracing` subscriber that turns events into lines. It keeps no spans: they are not part of the log.

use std::cell::RefCell;
use std::fmt;

use jiff::{Timestamp, tz::TimeZone};
use std::sync::OnceLock;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};

use super::format::{self, Common, Event, Value};
use super::{Level, Options, Sink, common};

/// Scopes of Dapr begin with this; everything else comes from libraries.
const OURS: &str = "dapr";

/// The longest line buffer that is kept for the next line.
const KEPT: usize = 8 * 1024;

pub(super) struct Lines {
    level: Level,
    json: bool,
    common: Common,
    sink: Sink,
}

impl Lines {
    pub(super) fn new(options: &Options, sink: Sink) -> Lines {
        Lines {
            level: options.level,
            json: options.json,
            common: common(options),
            sink,
        }
    }

    fn write(&self, event: &Event) {
        thread_local! {
            static LINE: RefCell<String> = const { RefCell::new(String::new()) };
        }
        let render = if self.json { format::json } else { format::text };
        LINE.with_borrow_mut(|line| {
            line.clear();
            render(
                line,
                &Timestamp::now().to_zoned(local_zone().clone()),
                &self.common,
                event,
            );
            self.sink.write(line.as_bytes());
            line.shrink_to(KEPT);
        });
    }
}

/// The time zone of the machine. It is read from its file: to find out its name, the whole database would have to be
/// walked, which takes longer than all the rest of a start.
fn local_zone() -> &'static TimeZone {
    static ZONE: OnceLock<TimeZone> = OnceLock::new();
    ZONE.get_or_init(|| match std::env::var_os("TZ") {
        Some(_) => TimeZone::system(),
        None => match std::fs::read("/etc/localtime") {
            Ok(bytes) => TimeZone::tzif("Local", &bytes).unwrap_or_else(|_| TimeZone::system()),
            Err(_) if cfg!(unix) => TimeZone::UTC,
            Err(_) => TimeZone::system(),
        },
    })
}

fn level_of(level: tracing::Level) -> Level {
    match level {
        tracing::Level::ERROR => Level::Error,
        tracing::Level::WARN => Level::Warn,
        tracing::Level::INFO => Level::Info,
        _ => Level::Debug,
    }
}

impl Subscriber for Lines {
    /// An error may turn out to be fatal, so errors always come this far.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        if metadata.is_span() || *metadata.level() == tracing::Level::TRACE {
            return false;
        }
        let level = level_of(*metadata.level());
        let ours = metadata.target().starts_with(OURS);
        let limit = if ours { self.level } else { self.level.min(Level::Warn) };
        level <= limit.max(Level::Error)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match self.level {
            Level::Fatal | Level::Error => LevelFilter::ERROR,
            Level::Warn => LevelFilter::WARN,
            Level::Info => LevelFilter::INFO,
            Level::Debug => LevelFilter::DEBUG,
        })
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let metadata = event.metadata();
        let mut line = Event {
            level: level_of(*metadata.level()).as_str(),
            scope: metadata.target().to_owned(),
            ..Event::default()
        };
        event.record(&mut Fields(&mut line));
        if self.level == Level::Fatal && line.level != Level::Fatal.as_str() {
            return;
        }
        self.write(&line);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Fields<'a>(&'a mut Event);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::Text(text) | Value::Plain(text)) => self.0.message = text,
            ("level", Value::Text(text)) if text == Level::Fatal.as_str() => self.0.level = Level::Fatal.as_str(),
            ("scope", Value::Text(text)) => self.0.scope = text,
            // fields of the bridge from the `log` crate
            (name, _) if name.starts_with("log.") => {}
            (name, value) => self.0.fields.push((name.strip_prefix("r#").unwrap_or(name), value)),
        }
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, Value::Text(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Value::Text(value.to_owned()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let plain = format::printed(value);
        self.put(
            field,
            if value.is_finite() {
                plain
            } else {
                Value::Text(value.to_string())
            },
        );
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, format::printed(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, format::printed(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, format::printed(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, Value::Text(value.to_string()));
    }
}
