use std::io::Write;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use parking_lot::Mutex;

use super::format::{self, Common, Event, Value};
use super::*;

fn line(render: fn(&mut String, &jiff::Zoned, &Common, &Event), event: &Event) -> String {
    let time = Timestamp::new(1_767_225_600, 120_000_000)
        .expect("time")
        .to_zoned(TimeZone::UTC);
    let common = Common {
        app_id: "my app".into(),
        instance: "host-1".into(),
        version: "1.18.3".into(),
    };
    let mut out = String::new();
    render(&mut out, &time, &common, event);
    out
}

fn event(message: &str, fields: Vec<(&'static str, Value)>) -> Event {
    Event {
        level: "info",
        scope: "dapr.runtime".into(),
        message: message.into(),
        fields,
    }
}

#[test]
fn text_is_that_of_logrus() {
    assert_eq!(
        line(
            format::text,
            &event("Component loaded: dapr (state.in-memory/v1)", vec![])
        ),
        "time=\"2026-01-01T00:00:00.12Z\" level=info msg=\"Component loaded: dapr (state.in-memory/v1)\" \
         app_id=\"my app\" instance=host-1 scope=dapr.runtime type=log ver=1.18.3\n"
    );
}

#[test]
fn fields_stand_in_alphabetical_order_and_replace_common_ones() {
    let fields = vec![
        ("useragent", Value::Text("curl/8.0".into())),
        ("type", Value::Text("request".into())),
        ("duration", Value::Plain("12".into())),
        ("size", Value::Text(String::new())),
    ];
    assert_eq!(
        line(format::text, &event("Called", fields)),
        "time=\"2026-01-01T00:00:00.12Z\" level=info msg=Called app_id=\"my app\" duration=12 instance=host-1 \
         scope=dapr.runtime size= type=request useragent=curl/8.0 ver=1.18.3\n"
    );
}

#[test]
fn json_has_its_keys_in_alphabetical_order() {
    let fields = vec![("code", Value::Plain("204".into()))];
    assert_eq!(
        line(format::json, &event("a \"b\" <c>\n\x01é", fields)),
        "{\"app_id\":\"my app\",\"code\":204,\"instance\":\"host-1\",\"level\":\"info\",\
         \"msg\":\"a \\\"b\\\" \\u003cc\\u003e\\n\\u0001é\",\"scope\":\"dapr.runtime\",\
         \"time\":\"2026-01-01T00:00:00.12Z\",\"type\":\"log\",\"ver\":\"1.18.3\"}\n"
    );
}

#[test]
fn quoting_is_gos() {
    let cases = [
        ("plain", "\"plain\""),
        ("say \"hi\"\n", "\"say \\\"hi\\\"\\n\""),
        ("\\ \t \x07 \x1b \x7f", "\"\\\\ \\t \\a \\x1b \\x7f\""),
        ("é 日 😀", "\"é 日 😀\""),
        ("\u{a0}\u{200b}\u{2028}\u{feff}", "\"\\u00a0\\u200b\\u2028\\ufeff\""),
        ("\u{e000}\u{10ffff}", "\"\\ue000\\U0010ffff\""),
        ("e\u{301}", "\"e\u{301}\""),
        ("it's", "\"it's\""),
    ];
    for (text, expected) in cases {
        let mut out = String::new();
        format::push_quoted(&mut out, text);
        assert_eq!(out, expected);
    }
}

#[test]
fn times_have_their_offset_and_no_idle_zeros() {
    let render = |seconds, nanoseconds, offset| {
        let zone = TimeZone::fixed(Offset::from_seconds(offset).expect("offset"));
        let time = Timestamp::new(seconds, nanoseconds).expect("time").to_zoned(zone);
        let mut out = String::new();
        format::text(&mut out, &time, &Common::default(), &Event::default());
        out.split('"').nth(1).expect("time").to_owned()
    };
    assert_eq!(render(1_767_225_600, 0, 0), "2026-01-01T00:00:00Z");
    assert_eq!(render(1_767_225_600, 5, 7200), "2026-01-01T02:00:00.000000005+02:00");
    assert_eq!(
        render(1_767_225_600, 10_000, -12_600),
        "2025-12-31T20:30:00.00001-03:30"
    );
}

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn logged(level: Level, json: bool, log: impl FnOnce()) -> Vec<String> {
    let captured = Captured::default();
    let options = Options {
        level,
        json,
        version: "edge".into(),
        ..Options::default()
    };
    let guard = init_thread(&options, Box::new(captured.clone()));
    log();
    drop(guard);
    let text = String::from_utf8(captured.0.lock().clone()).expect("text");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn events_become_lines() {
    let lines = logged(Level::Info, false, || {
        tracing::info!(target: "dapr.runtime.http-info", method = "GET /", code = 200, r#type = "request", "HTTP API Called");
        tracing::debug!(target: "dapr.runtime", "not shown");
        tracing::info!(target: "hyper::client", "not shown either");
        tracing::warn!(target: "h2", "a library {}", "warns");
        crate::fatal!(target: "dapr.runtime", "Fatal error from runtime: {}", "no");
    });
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(
        lines[0].contains(" level=info msg=\"HTTP API Called\" code=200 instance="),
        "{}",
        lines[0]
    );
    assert!(
        lines[0].contains(" method=\"GET /\" scope=dapr.runtime.http-info type=request ver=edge"),
        "{}",
        lines[0]
    );
    assert!(
        lines[1].contains(" level=warning msg=\"a library warns\""),
        "{}",
        lines[1]
    );
    assert!(
        lines[2].contains(" level=fatal msg=\"Fatal error from runtime: no\""),
        "{}",
        lines[2]
    );
}

#[test]
fn the_level_fatal_shows_only_fatal_lines() {
    let lines = logged(Level::Fatal, true, || {
        tracing::error!(target: "dapr.runtime", "not shown");
        crate::fatal!(target: "dapr", scope = "dapr.sentry", "end");
    });
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].contains("\"level\":\"fatal\",\"msg\":\"end\",\"scope\":\"dapr.sentry\""),
        "{}",
        lines[0]
    );
}

#[test]
fn levels_are_words() {
    assert_eq!("DEBUG".parse(), Ok(Level::Debug));
    assert_eq!("warn".parse(), Ok(Level::Warn));
    assert!("loud".parse::<Level>().is_err());
}

#[test]
fn a_second_sidecar_in_the_process_is_welcome() {
    let dir = std::env::temp_dir().join(format!("telemetry-logs-{}", std::process::id()));
    let options = Options {
        file: Some(dir.clone()),
        ..Options::default()
    };
    init(&options).expect("first");
    init(&options).expect("second");
    assert!(
        init(&Options {
            file: Some("/does/not/exist".into()),
            ..Options::default()
        })
        .is_err()
    );
    std::fs::remove_file(dir).expect("file");
}
