//! Tests against a component that runs in this process.

mod bindings;
mod discovery;
mod errors;
mod fake;
mod pubsub;
mod secrets;
mod state;

use crate::{Discovered, discover, find};
use component::{Kind, Open, OpenError, Opened, Properties};
use fake::{Fake, Script};
use std::{path::Path, time::Duration};
use tempfile::TempDir;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a test waits for what must not happen.
const QUIET: Duration = Duration::from_millis(300);

/// A component on `<folder>/test.sock` and what was found there.
async fn found(script: Script) -> (TempDir, Fake, Vec<Discovered>) {
    let folder = tempfile::tempdir().expect("a folder");
    let fake = Fake::start(folder.path(), "test.sock", script);
    let found = discover(folder.path()).await;
    (folder, fake, found)
}

/// Opens a component of a kind under the name `comp`.
async fn open(found: &[Discovered], kind: Kind, properties: &[(&str, &str)]) -> Result<Opened, OpenError> {
    let discovered = find(found, kind, "test", "v1").expect("a component of the kind is found");
    let cx = Open {
        name: "comp".to_owned(),
        ..Open::default()
    };
    discovered
        .open(properties.iter().copied().collect::<Properties>(), cx)
        .await
}

/// Waits for something that must come.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("comes in time")
}

/// The names and kinds of what was found in a folder.
async fn names(folder: &Path) -> Vec<(Kind, String)> {
    let found = discover(folder).await;
    found
        .into_iter()
        .map(|discovered| (discovered.kind, discovered.name))
        .collect()
}
