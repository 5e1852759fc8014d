use serde_json::json;

use super::*;

fn text(value: Value) -> String {
    DynamicValue(value).to_string()
}

#[test]
fn any_type_becomes_text() {
    assert_eq!(text(json!("abc")), "abc");
    assert_eq!(text(json!(3)), "3");
    assert_eq!(text(json!(1000.0)), "1000");
    assert_eq!(text(json!(8.5)), "8.5");
    assert_eq!(text(json!(1e6)), "1000000");
    assert_eq!(text(json!(1e21)), "1e+21");
    assert_eq!(text(json!(1.5e-7)), "1.5e-7");
    assert_eq!(text(json!(true)), "true");
    assert_eq!(text(json!(null)), "");
    assert_eq!(text(json!({"b": [1.0, "x"], "a": null})), r#"{"a":null,"b":[1,"x"]}"#);
}

#[test]
fn a_secret_wins_over_a_value_over_the_environment() {
    let mut item = NameValue {
        env_ref: Some("E".into()),
        ..NameValue::default()
    };
    assert_eq!(item.source(), ValueSource::Env("E"));
    item.value = Some("v".into());
    assert_eq!(item.source(), ValueSource::Literal(&"v".into()));
    let secret = SecretKeyRef {
        name: "s".into(),
        key: String::new(),
    };
    item.secret_key_ref = Some(secret.clone());
    assert_eq!(item.source(), ValueSource::Secret(&secret));
    assert_eq!(secret.key(), "s");
    assert_eq!(NameValue::default().source(), ValueSource::Nothing);
}
