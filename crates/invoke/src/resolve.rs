//! Where other applications are: asked of the name resolver, and remembered for a while if it wants that.

use crate::{fault::Fault, target::AppId};
use component::name_resolution::{NameResolver, Resolve};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long an answer is good.
const LIFETIME: Duration = Duration::from_secs(20);
/// How many answers are remembered.
const MOST: usize = 1024;
/// How often, and after which pause, an application that has no address is asked for again.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(100);

/// Finds other applications.
pub(crate) struct Finder {
    resolver: Option<Arc<dyn NameResolver>>,
    /// The internal port that a resolver assumes if it knows none.
    port: u16,
    known: Mutex<HashMap<String, Known>>,
}

struct Known {
    addresses: Arc<[String]>,
    until: Instant,
}

impl Finder {
    pub(crate) fn new(resolver: Option<Arc<dyn NameResolver>>, port: u16) -> Self {
        Self {
            resolver,
            port,
            known: Mutex::default(),
        }
    }

    /// One of the addresses of an application.
    pub(crate) async fn find(&self, app: AppId<'_>) -> Result<String, Fault> {
        let resolver = self
            .resolver
            .as_ref()
            .ok_or_else(|| Fault::text("name resolver not initialized").for_good())?;
        if !resolver.cacheable() {
            return self.ask(&**resolver, app).await.map(|found| pick(&found));
        }
        let key = format!("{}.{}", app.id, app.namespace);
        if let Some(addresses) = self.remembered(&key) {
            return Ok(pick(&addresses));
        }
        let found = self.ask(&**resolver, app).await?;
        let address = pick(&found);
        self.remember(key, found);
        Ok(address)
    }

    /// Forgets where an application is, because it is not there.
    pub(crate) fn forget(&self, app: AppId<'_>) {
        if self.resolver.as_ref().is_some_and(|resolver| resolver.cacheable()) {
            self.known.lock().remove(&format!("{}.{}", app.id, app.namespace));
        }
    }

    async fn ask(&self, resolver: &dyn NameResolver, app: AppId<'_>) -> Result<Vec<String>, Fault> {
        for last in (0..TRIES).map(|n| n + 1 == TRIES) {
            let request = Resolve {
                app_id: app.id,
                namespace: app.namespace,
                port: self.port,
            };
            let found = resolver.resolve(request).await;
            let found = found.map_err(|error| Fault::text(error.to_string()))?;
            if found.iter().any(|address| !address.is_empty()) {
                return Ok(found.into_iter().filter(|address| !address.is_empty()).collect());
            }
            if !last {
                tokio::time::sleep(PAUSE).await;
            }
        }
        let text = format!("failed to resolve address for app id {}", app.id);
        Err(Fault::text(text))
    }

    fn remembered(&self, key: &str) -> Option<Arc<[String]>> {
        let known = self.known.lock();
        let found = known.get(key).filter(|found| found.until > Instant::now())?;
        Some(found.addresses.clone())
    }

    fn remember(&self, key: String, addresses: Vec<String>) {
        let now = Instant::now();
        let mut known = self.known.lock();
        if known.len() >= MOST {
            known.retain(|_, found| found.until > now);
        }
        if known.len() < MOST {
            let (addresses, until) = (addresses.into(), now + LIFETIME);
            known.insert(key, Known { addresses, until });
        }
    }
}

fn pick(addresses: &[String]) -> String {
    match addresses {
        [] => String::new(),
        [one] => one.clone(),
        many => many[fastrand::usize(..many.len())].clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use component::{ComponentError, async_trait};
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Counting {
        asked: AtomicUsize,
        empty_first: usize,
        cacheable: bool,
    }

    #[async_trait]
    impl NameResolver for Counting {
        async fn resolve(&self, request: Resolve<'_>) -> Result<Vec<String>, ComponentError> {
            let asked = self.asked.fetch_add(1, Ordering::SeqCst);
            if asked < self.empty_first {
                return Ok(Vec::new());
            }
            Ok(vec![format!("{}:1", request.app_id), format!("{}:2", request.app_id)])
        }

        fn cacheable(&self) -> bool {
            self.cacheable
        }
    }

    fn finder(empty_first: usize, cacheable: bool) -> (Finder, Arc<Counting>) {
        let resolver = Arc::new(Counting {
            asked: AtomicUsize::new(0),
            empty_first,
            cacheable,
        });
        (Finder::new(Some(resolver.clone()), 50002), resolver)
    }

    const APP: AppId<'static> = AppId {
        id: "a",
        namespace: "default",
    };

    #[tokio::test]
    async fn remembers_if_wanted() {
        for (cacheable, asked) in [(true, 1), (false, 3)] {
            let (finder, resolver) = finder(0, cacheable);
            for _ in 0..3 {
                assert!(finder.find(APP).await.expect("an address").starts_with("a:"));
            }
            assert_eq!(resolver.asked.load(Ordering::SeqCst), asked);
        }
        let (finder, resolver) = finder(0, true);
        finder.find(APP).await.expect("an address");
        finder.forget(APP);
        finder.find(APP).await.expect("an address");
        assert_eq!(resolver.asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn asks_again_for_nothing() {
        let (few, _) = finder(4, true);
        assert!(few.find(APP).await.is_ok());
        let (many, resolver) = finder(5, true);
        let fault = many.find(APP).await.expect_err("no address");
        assert_eq!(fault.to_string(), "failed to resolve address for app id a");
        assert_eq!(resolver.asked.load(Ordering::SeqCst), 5);
    }

    #[tokio::test]
    async fn is_bounded() {
        let (finder, _) = finder(0, true);
        for n in 0..(MOST + 100) {
            let id = n.to_string();
            let app = AppId {
                id: &id,
                namespace: "default",
            };
            finder.find(app).await.expect("an address");
        }
        assert_eq!(finder.known.lock().len(), MOST);
    }
}
