use super::*;

async fn alias(pairs: &[(&str, &str)]) -> Result<RouterAlias, OpenError> {
    let properties: Properties = pairs.iter().copied().collect();
    RouterAlias::open(Options::decode(&properties)?, Open::default()).await
}

fn target(alias: &RouterAlias, path: &str) -> Option<String> {
    let uri: Uri = path.parse().expect("a path");
    alias.target_of(&uri).map(|uri| uri.to_string())
}

const ROUTES: &str = r#"{
	"/plain": "/v1.0/invoke/app/method/plain",
    "/q": "/v1.0/invoke/app/method/q?fixed=1",
    "/one/{id}/info": "/v1.0/invoke/app/method/one",
    "/two/{id}/{name:[a-z]{1,3}}": "/v1.0/invoke/app/method/two",
    "/dup/{id}": "/dup",
    "/dup/fixed": "/dupfixed",
    "/braces/{id}": "/x/{id}/y",
    "/noslash": "v1.0/noslash",
    "/pre/{rest:.*}": "/pre",
    "/trail/": "/trail",
    "/mixed/a{id}b.c": "/mixed"
}"#;

#[tokio::test]
async fn paths_stand_for_others() {
    let alias = alias(&[("routes", ROUTES)]).await.expect("opens");
    for (path, expected) in [
        ("/plain", "/v1.0/invoke/app/method/plain"),
        ("/pl%61in?a=1&b=%20", "/v1.0/invoke/app/method/plain?a=1&b=%20"),
        ("/q?a=b", "/v1.0/invoke/app/method/q?fixed=1&a=b"),
        ("/one/5/info", "/v1.0/invoke/app/method/one?id=5"),
        ("/one/5/info?id=9&q=1", "/v1.0/invoke/app/method/one?id=9&q=1&id=5"),
        ("/one/a%20b/info", "/v1.0/invoke/app/method/one?id=a%20b"),
        ("/one/a+b&c=d/info", "/v1.0/invoke/app/method/one?id=a%2Bb%26c%3Dd"),
        ("/one/%E9/info", "/v1.0/invoke/app/method/one?id=%E9"),
        ("/two/1/abc", "/v1.0/invoke/app/method/two?id=1&name=abc"),
        ("/dup/7", "/dup?id=7"),
        ("/dup/fixed", "/dupfixed"),
        ("/braces/3", "/x/%7Bid%7D/y?id=3"),
        ("/noslash", "/v1.0/noslash"),
        ("/pre/a/b", "/pre?rest=a%2Fb"),
        ("/pre/", "/pre?rest="),
        ("/trail/", "/trail"),
        ("/mixed/aXb.c", "/mixed?id=X"),
    ] {
        assert_eq!(target(&alias, path).as_deref(), Some(expected), "{path}");
    }
    for path in [
        "/",
        "/plain/",
        "/PLAIN",
        "/one//info",
        "/one/a%2Fb/info",
        "/two/1/ABC",
        "/trail",
        "/mixed/aXbxc",
    ] {
        assert_eq!(target(&alias, path), None, "{path}");
    }
    let whole = target(&alias, "http://host:1/plain").expect("matches");
    assert_eq!(whole, "http://host:1/v1.0/invoke/app/method/plain");
}

#[tokio::test]
async fn routes_in_yaml_and_as_metadata_of_their_own() {
    let alias_yaml = alias(&[("routes", "/yaml: /v1.0/x\n\"/yaml/{id}\": /v1.0/y\n")])
        .await
        .expect("opens");
    assert_eq!(target(&alias_yaml, "/yaml").as_deref(), Some("/v1.0/x"));
    assert_eq!(target(&alias_yaml, "/yaml/4").as_deref(), Some("/v1.0/y?id=4"));
    let own = alias(&[("/Old", "/v1.0/x"), ("/old/{id}", "/v1.0/y"), ("other", "z")])
        .await
        .expect("opens");
    assert_eq!(target(&own, "/Old").as_deref(), Some("/v1.0/x"));
    assert_eq!(target(&own, "/old/3").as_deref(), Some("/v1.0/y?id=3"));
    assert_eq!(target(&own, "/other"), None);
    assert_eq!(target(&alias(&[]).await.expect("opens"), "/"), None);
}

#[tokio::test]
async fn what_is_wrong_is_told() {
    for routes in [
        "[1]",
        "{",
        r#"{"/a/{id": "/b"}"#,
        r#"{"/a/{}": "/b"}"#,
        r#"{"/a/{id:[}": "/b"}"#,
        r#"{"/a/{id:)(}": "/b"}"#,
    ] {
        assert!(alias(&[("routes", routes)]).await.is_err(), "{routes}");
    }
}
