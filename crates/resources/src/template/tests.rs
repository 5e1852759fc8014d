use proptest::prelude::*;

use super::*;

const VALUES: Values<'static> = Values {
    app_id: "app",
    namespace: "ns",
    pod_name: "pod-1",
};

fn expanded(text: &str) -> String {
    let mut count = 0;
    let uuid = || {
        count += 1;
        format!("uuid{count}")
    };
    expand(text, &VALUES, uuid).into_owned()
}

#[test]
fn placeholders_are_replaced() {
    let cases = [
        ("plain", "plain"),
        ("{appID}", "app"),
        ("{namespace}", "ns.app"),
        ("x-{podName}-y", "x-pod-1-y"),
        ("{uuid}/{uuid}", "uuid1/uuid2"),
        ("{other}{appID}", "{other}app"),
        ("{{appID}}", "{app}"),
        ("{appid}", "{appid}"),
        (r#"{"a": "{appID}"}"#, r#"{"a": "app"}"#),
        ("{", "{"),
    ];
    for (text, expected) in cases {
        assert_eq!(expanded(text), expected);
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in "(\\PC|\\{|\\}|uuid|appID){0,40}") {
        expanded(&text);
    }
}
