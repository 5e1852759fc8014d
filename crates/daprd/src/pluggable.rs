//! Components that were found at run time, on offer to the loader.

use component::{Kind, Open, Properties};
use component_pluggable::Discovered;
use runtime::{Offer, Opener};
use std::sync::Arc;

/// What was found in the folder of sockets.
struct Pluggable(Vec<Discovered>);

impl Offer for Pluggable {
    fn find(&self, kind: Kind, name: &str, version: &str) -> Option<Opener> {
        let found = component_pluggable::find(&self.0, kind, name, version)?.clone();
        Some(Arc::new(move |properties: Properties, cx: Open| {
            let found = found.clone();
            Box::pin(async move { found.open(properties, cx).await })
        }))
    }
}

/// Looks for components in the folder of sockets.
pub(crate) async fn offers() -> Vec<Arc<dyn Offer>> {
    let found = component_pluggable::discover(&component_pluggable::folder()).await;
    for component in &found {
        tracing::info!(target: "dapr.runtime", "pluggable component found: {}{} at {}", component.kind.prefix(), component.name, component.path.display());
    }
    vec![Arc::new(Pluggable(found))]
}
