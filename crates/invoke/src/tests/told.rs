//! What access control is asked, and what is counted.

use super::*;
use crate::{Access, Caller, Operation};

/// Lets nobody call what begins with `secret`, and remembers what it was asked.
#[derive(Default)]
struct Strict(Mutex<Vec<String>>);

impl Access for Strict {
    fn check(&self, caller: Option<&Caller>, operation: &Operation<'_>) -> Result<(), String> {
        let Operation { name, verb, is_grpc } = operation;
        self.0
            .lock()
            .push(format!("{name} {verb:?} {is_grpc} {}", caller.is_some()));
        if name.starts_with("secret") {
            return Err(format!("access control policy has denied access to {name}"));
        }
        Ok(())
    }
}

#[tokio::test]
async fn access_is_asked_by_the_sidecar_that_is_called() {
    let app = mirror().await;
    let names = Names::default();
    let strict = Arc::new(Strict::default());
    let mut setup = Setup::new("callee").app(&app);
    setup.access = Some(strict.clone());
    let callee = start(setup, &names).await;
    let caller = start(Setup::new("caller"), &names).await;
    let got = caller.get("/v1.0/invoke/callee/method/public").await;
    assert_eq!(got.status, 200);
    let got = caller.get("/v1.0/invoke/callee/method/public%2F..%2Fsecret").await;
    assert_eq!(got.status, 403);
    let why = "rpc error: code = PermissionDenied desc = access control policy has denied access to secret";
    assert_eq!(got.message(), format!("failed to invoke, id: callee, err: {why}"));
    assert_eq!(
        *strict.0.lock(),
        ["public Some(Get) false false", "secret Some(Get) false false"]
    );
    // Its own application is asked without it.
    let got = callee.get("/v1.0/invoke/callee/method/secret").await;
    assert_eq!(got.status, 200);
}

#[tokio::test]
async fn calls_are_counted() {
    let app = serve(|_| async {
        Response::builder()
            .status(404)
            .body(api::body::empty())
            .expect("an answer")
    })
    .await;
    let names = Names::default();
    let counted = |id: &str| {
        let options = telemetry::metrics::Options {
            app_id: Some(id.to_owned()),
            ..Default::default()
        };
        Metrics::new(&options).expect("metrics")
    };
    let (theirs, ours) = (counted("callee"), counted("caller"));
    let mut setup = Setup::new("callee").app(&app);
    setup.metrics = theirs.clone();
    let _callee = start(setup, &names).await;
    let mut setup = Setup::new("caller").app(&app);
    setup.metrics = ours.clone();
    let caller = start(setup, &names).await;
    for _ in 0..2 {
        assert_eq!(caller.get("/v1.0/invoke/callee/method/x").await.status, 404);
    }
    assert_eq!(caller.get("/v1.0/invoke/caller/method/x").await.status, 404);
    let ours = ours.render();
    for line in [
        r#"req_sent_total{app_id="caller",dst_app_id="callee",type="unary"} 2"#,
        r#"res_recv_total{app_id="caller",src_app_id="callee",status="404",type="unary"} 2"#,
        r#"res_recv_latency_ms_count{app_id="caller",src_app_id="callee",status="404"} 2"#,
    ] {
        assert!(
            ours.contains(&format!("dapr_runtime_service_invocation_{line}\n")),
            "{line}: {ours}"
        );
    }
    assert!(!ours.contains(r#"dst_app_id="caller""#), "{ours}");
    let theirs = theirs.render();
    for line in [
        r#"req_recv_total{app_id="callee",src_app_id="caller"} 2"#,
        r#"res_sent_total{app_id="callee",dst_app_id="caller",status="404"} 2"#,
    ] {
        assert!(
            theirs.contains(&format!("dapr_runtime_service_invocation_{line}\n")),
            "{line}: {theirs}"
        );
    }
}
