//! Secret stores.

use super::*;
use component::{ErrorKind, Metadata, secrets::SecretStore};
use std::sync::Arc;

async fn store(features: &'static [&'static str]) -> (TempDir, Fake, Arc<dyn SecretStore>) {
    let (folder, fake, found) = found(Script {
        services: &["SecretStore"],
        features,
        ..Script::default()
    })
    .await;
    match open(&found, Kind::SecretStore, &[("vault", "v")]).await {
        Ok(Opened::SecretStore(store)) => (folder, fake, store),
        other => panic!("not a secret store: {other:?}"),
    }
}

#[tokio::test]
async fn reads_one_and_all() {
    let (_folder, fake, store) = store(&[]).await;
    assert!(fake.calls("SecretStore/Init")[0].1.contains("\"vault\": \"v\""));
    let metadata = Metadata::from([("version".to_owned(), "2".to_owned())]);
    let secret = store.get("key", &metadata).await.expect("reads");
    assert_eq!(secret, [("key".to_owned(), "hidden".to_owned())].into());
    assert_eq!(fake.calls("SecretStore/Get")[0].0, "comp");
    assert!(fake.calls("SecretStore/Get")[0].1.contains("\"version\": \"2\""));

    let all = store.bulk_get(&Metadata::new()).await.expect("reads");
    assert_eq!(all.keys().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(all["b"]["b"], "hidden");
    store.ping().await.expect("answers");
}

#[tokio::test]
async fn tells_whether_secrets_have_several_values() {
    assert!(!store(&[]).await.2.multiple_values());
    assert!(store(&["MULTIPLE_KEY_VALUES_PER_SECRET"]).await.2.multiple_values());
}

#[tokio::test]
async fn a_secret_that_is_not_there_is_an_error() {
    let (_folder, _fake, store) = store(&[]).await;
    let error = store
        .get("err:5:no such secret", &Metadata::new())
        .await
        .expect_err("is not there");
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert_eq!(error.message, "rpc error: code = NotFound desc = no such secret");
}
