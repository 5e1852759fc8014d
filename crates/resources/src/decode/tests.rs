use proptest::prelude::*;
use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::component::Component;
use crate::http_endpoint::{HttpEndpoint, Renegotiation};

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Sample {
    some_text: String,
    flag: Option<bool>,
    count: i32,
    size: u64,
    share: f64,
    items: Vec<Inner>,
    names: indexmap::IndexMap<String, String>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Inner {
    name: String,
}

fn decode(value: serde_json::Value) -> Result<Decoded<Sample>, DecodeError> {
    from_value(&value)
}

fn message(value: serde_json::Value) -> String {
    decode(value).unwrap_err().to_string()
}

#[test]
fn names_of_fields_have_no_case() {
    let decoded = decode(json!({"SOMETEXT": "a", "Items": [{"NAME": "n"}]})).unwrap();
    assert_eq!(decoded.value.some_text, "a");
    assert_eq!(decoded.value.items, [Inner { name: "n".into() }]);
    assert_eq!(decoded.unknown, Vec::<String>::new());
}

#[test]
fn the_last_of_several_spellings_wins() {
    let decoded = decode(json!({"someText": "a", "sometext": "b"})).unwrap();
    assert_eq!(decoded.value.some_text, "b");
}

#[test]
fn keys_of_maps_keep_their_case() {
    let decoded = decode(json!({"names": {"A": "1", "a": 2}})).unwrap();
    assert_eq!(decoded.value.names.get("A").map(String::as_str), Some("1"));
    assert_eq!(decoded.value.names.get("a").map(String::as_str), Some("2"));
}

#[test]
fn scalars_stand_for_text() {
    let text = |value: serde_json::Value| decode(json!({"someText": value})).unwrap().value.some_text;
    assert_eq!(text(json!(123)), "123");
    assert_eq!(text(json!(true)), "true");
    assert_eq!(text(json!(1000.0)), "1000");
    assert_eq!(text(json!(1.5)), "1.5");
    assert_eq!(text(json!(1e6)), "1e+06");
    assert_eq!(text(json!(0.00001)), "1e-05");
    assert_eq!(text(json!(0.0)), "0");
    assert_eq!(text(json!(0.123456789)), "0.12345679");
    assert_eq!(text(json!(-0.5)), "-0.5");
    assert_eq!(text(json!(1e300)), "1e+300");
    assert_eq!(text(json!(18_446_744_073_709_551_615_u64)), "18446744073709551615");
}

#[test]
fn whole_floats_are_integers() {
    assert_eq!(decode(json!({"count": 3.0})).unwrap().value.count, 3);
    assert_eq!(
        message(json!({"count": 3.5})),
        "count: expected a whole number of 32 bits, found the number 3.5"
    );
    assert_eq!(
        message(json!({"count": 3_000_000_000_u64})),
        "count: expected a whole number of 32 bits, found the number 3000000000"
    );
    assert_eq!(
        message(json!({"size": -1})),
        "size: expected a whole number not below 0, found the number -1"
    );
}

#[test]
fn null_is_as_if_not_written() {
    let value =
        json!({"someText": null, "flag": null, "count": null, "size": null, "items": [null], "names": {"a": null}});
    let decoded = decode(value).unwrap();
    assert_eq!(decoded.value.items, [Inner::default()]);
    assert_eq!(decoded.value.names.get("a").map(String::as_str), Some(""));
    assert_eq!(decode(json!(null)).unwrap().value, Sample::default());
}

#[test]
fn unknown_fields_are_reported_with_their_path() {
    let decoded = decode(json!({"sometxt": 1, "items": [{"name": "a"}, {"nam": {"deep": 1}}]})).unwrap();
    assert_eq!(decoded.unknown, ["sometxt", "items[1].nam"]);
}

#[test]
fn errors_name_path_and_value() {
    assert_eq!(
        message(json!({"someText": []})),
        "someText: expected text, found a list"
    );
    assert_eq!(
        message(json!({"flag": "true"})),
        "flag: expected true or false, found the text \"true\""
    );
    assert_eq!(
        message(json!({"items": {"a": 1}})),
        "items: expected a list, found a map"
    );
    assert_eq!(
        message(json!({"Items": [{}, {"Name": {}}]})),
        "Items[1].Name: expected text, found a map"
    );
    assert_eq!(
        message(json!({"items": [1]})),
        "items[0]: expected a map, found the number 1"
    );
    assert_eq!(message(json!([])), "expected a map, found a list");
    assert_eq!(
        message(json!({"share": "much"})),
        "share: expected a number, found the text \"much\""
    );
}

#[test]
fn long_values_are_cut_in_errors() {
    let text = message(json!({"flag": "ü".repeat(100)}));
    assert!(text.ends_with("ü\"…"), "{text}");
    assert!(text.chars().count() < 100, "{text}");
}

#[test]
fn names_of_variants_are_checked() {
    let endpoint = |text: &str| from_value::<HttpEndpoint>(&json!({"spec": {"clientTLS": {"renegotiation": text}}}));
    let tls = endpoint("OnceAsClient").unwrap().value.spec.client_tls.unwrap();
    assert_eq!(tls.renegotiation, Some(Renegotiation::OnceAsClient));
    let error = endpoint("Sometimes").unwrap_err();
    assert_eq!(error.path, "spec.clientTLS.renegotiation");
    assert!(error.message.contains("Sometimes"), "{}", error.message);
}

#[test]
fn json_text_is_read() {
    let decoded = from_json::<Component>(br#"{"metadata":{"name":"a"},"spec":{"type":"state.redis"}}"#).unwrap();
    assert_eq!(decoded.value.spec.type_name, "state.redis");
    assert!(from_json::<Component>(b"{").is_err());
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<f64>().prop_map(serde_json::Value::from),
        "\\PC{0,8}".prop_map(serde_json::Value::from),
    ];
    let name = prop_oneof![
        Just("metadata".to_owned()),
        Just("spec".to_owned()),
        Just("name".to_owned()),
        Just("value".to_owned()),
        Just("scopes".to_owned()),
        "\\PC{0,4}",
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::hash_map(name.clone(), inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_tree_panics(value in any_json()) {
        let _ = from_value::<Component>(&value);
        let _ = from_value::<crate::Configuration>(&value);
        let _ = from_value::<crate::Resiliency>(&value);
        let _ = from_value::<Sample>(&value);
    }
}
