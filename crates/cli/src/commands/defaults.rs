//! What `init` writes.

use crate::paths::Home;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use std::path::{Path, PathBuf};

/// The programs that `~/.dapr/bin` gets: this executable under their names.
pub(super) const PROGRAMS: [&str; 2] = ["daprd", "dapr"];

/// A file with what is in it.
pub(super) struct Default {
    /// Where it is.
    pub(super) path: PathBuf,
    /// What `init` writes.
    pub(super) content: String,
}

/// The components and the configuration.
pub(super) fn files(home: &Home) -> [Default; 3] {
    let component = |name: &str, content: String| Default {
        path: home.components().join(name),
        content,
    };
    [
        component("statestore.yaml", statestore(&home.data().join("state.db"))),
        component("pubsub.yaml", pubsub(&home.data().join("pubsub.db"))),
        Default {
            path: home.config(),
            content: configuration(&home.data().join("names.db")),
        },
    ]
}

/// What has a meaning in a connection string, which is a URI.
const SPECIAL: &AsciiSet = &CONTROLS.add(b'%').add(b'?').add(b'#');

/// The path as a connection string, in quotes of YAML.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let text = utf8_percent_encode(&text, SPECIAL).to_string();
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn statestore(database: &Path) -> String {
    format!(
        "# A state store in a file. Actors and workflows keep their state in it, too.
apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: statestore
spec:
  type: state.sqlite
  version: v1
  metadata:
  - name: connectionString
    value: {}
  - name: actorStateStore
    value: \"true\"
",
        quoted(database)
    )
}

fn pubsub(database: &Path) -> String {
    format!(
        "# A broker in a file: durable, shared by all sidecars of this machine.
apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: pubsub
spec:
  type: pubsub.sqlite
  version: v1
  metadata:
  - name: connectionString
    value: {}
",
        quoted(database)
    )
}

fn configuration(names: &Path) -> String {
    format!(
        "# The configuration of applications that have none of their own.
apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata:
  name: daprConfig
spec:
  tracing:
    samplingRate: \"0\"
  # Sidecars find each other by multicast DNS. Where that is blocked, a file does as well, if all of them use it:
  # nameResolution:
  #   component: sqlite
  #   version: v1
  #   configuration:
  #     connectionString: {}
",
        quoted(names)
    )
}
