use proptest::prelude::*;
use serde_json::json;

use super::*;

fn values(text: &str) -> Vec<Value> {
    documents(text)
        .into_iter()
        .map(|document| document.content.unwrap())
        .collect()
}

fn one(text: &str) -> Value {
    let mut values = values(text);
    assert_eq!(values.len(), 1, "{values:?}");
    values.remove(0)
}

#[test]
fn documents_are_split_at_markers() {
    let text = "a: 1\n---\n# nothing\n---\nb: 2\n--- {c: 3}\n---\r\nd: |\n  ---\n  x\n...\ne: 5\n";
    let found = documents(text);
    let lines: Vec<usize> = found.iter().map(|document| document.line).collect();
    let contents: Vec<Value> = found.into_iter().map(|document| document.content.unwrap()).collect();
    assert_eq!(
        contents,
        [
            json!({"a": 1}),
            json!({"b": 2}),
            json!({"c": 3}),
            json!({"d": "---\nx\n"}),
            json!({"e": 5})
        ]
    );
    assert_eq!(lines[..2], [1, 4]);
}

#[test]
fn one_broken_document_does_not_hide_the_others() {
    let found = documents("a: 1\n---\nb: [\n---\nc: 3\n");
    assert_eq!(found.len(), 3);
    assert!(found[1].content.is_err());
    assert!(!found[1].content.as_ref().unwrap_err().message.contains('\n'));
    assert_eq!(found[2].content, Ok(json!({"c": 3})));
}

#[test]
fn empty_documents_are_left_out() {
    for text in ["", "\n", "---\n", "# a comment\n", "---\n---\n", "null\n", "\u{feff}"] {
        assert_eq!(documents(text), [], "{text:?}");
    }
}

#[test]
fn json_is_yaml() {
    let text = "{\n\t\"kind\": \"Component\",\n\t\"spec\": {\"a\": [1, true, null, \"\\u00fc\"]}\n}\n";
    assert_eq!(
        one(text),
        json!({"kind": "Component", "spec": {"a": [1, true, null, "ü"]}})
    );
}

#[test]
fn directives_stay_with_their_document() {
    assert_eq!(one("%YAML 1.2\n---\na: 1\n"), json!({"a": 1}));
}

#[test]
fn scalars_are_those_of_yaml_1_1_as_go_reads_them() {
    let cases = [
        ("yes", json!(true)),
        ("on", json!(true)),
        ("off", json!(false)),
        ("0123", json!(83)),
        ("1_000", json!(1000)),
        ("0x1F", json!(31)),
        ("0b11", json!(3)),
        ("0o14", json!(12)),
        ("12:30:45", json!("12:30:45")),
        ("~", json!(null)),
        ("'123'", json!("123")),
        ("1.5", json!(1.5)),
        ("2001-01-01", json!("2001-01-01")),
        ("v1", json!("v1")),
        ("18446744073709551615", json!(u64::MAX)),
        ("1.", json!(1.0)),
        ("1e3", json!(1000.0)),
        ("!!str 12", json!("12")),
    ];
    for (text, expected) in cases {
        assert_eq!(one(&format!("a: {text}"))["a"], expected, "{text}");
    }
}

#[test]
fn numbers_that_json_lacks_are_errors() {
    for text in ["a: .inf", "a: .nan", "a: 1e999"] {
        assert!(documents(text)[0].content.is_err(), "{text}");
    }
}

#[test]
fn keys_become_texts() {
    assert_eq!(
        one("1: a\ntrue: b\n1.5: c\n"),
        json!({"1": "a", "true": "b", "1.5": "c"})
    );
}

#[test]
fn anchors_and_merges_are_followed() {
    assert_eq!(
        one("a: &x {b: 1}\nc:\n  <<: *x\n  d: 2\n")["c"],
        json!({"b": 1, "d": 2})
    );
}

#[test]
fn the_last_of_equal_keys_wins() {
    assert_eq!(one("a: 1\na: 2\n"), json!({"a": 2}));
}

#[test]
fn deep_nesting_is_an_error() {
    let text = format!("a: {}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(documents(&text)[0].content.is_err());
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC*") {
        documents(&text);
    }

    #[test]
    fn no_yaml_like_text_panics(text in "([-:,{}&*!|>%@#'\"\\[\\]? \ta-z0-9]{0,12}\n(---|\\.\\.\\.)?\n?){0,12}") {
        documents(&text);
    }
}
