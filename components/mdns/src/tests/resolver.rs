//! Over the networks of this machine.

use crate::Resolver;
use component::{
    Component, ErrorKind, Open,
    name_resolution::{NameResolver, Resolve},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::timeout;

async fn open(app_id: &str, port: u16) -> Resolver {
    let cx = Open {
        app_id: app_id.into(),
        host_address: "127.0.0.1".into(),
        internal_port: port,
        ..Open::default()
    };
    Resolver::open((), cx).await.expect("opens")
}

/// An application id that no other test has.
fn id(name: &str) -> String {
    format!("{name}-{}", uuid::Uuid::new_v4().simple())
}

fn of(app_id: &str) -> Resolve<'_> {
    Resolve {
        app_id,
        namespace: "default",
        port: 50002,
    }
}

#[tokio::test]
async fn sidecars_find_each_other_at_once() {
    let (a, b) = (id("a"), id("B.sub"));
    let (first, second) = (open(&a, 1001).await, open(&b, 1002).await);
    let began = Instant::now();
    assert_eq!(first.resolve(of(&b)).await.expect("is found"), ["127.0.0.1:1002"]);
    assert_eq!(second.resolve(of(&a)).await.expect("is found"), ["127.0.0.1:1001"]);
    assert_eq!(second.resolve(of(&b)).await.expect("finds itself"), ["127.0.0.1:1002"]);
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    let began = Instant::now();
    for _ in 0..1000 {
        first.resolve(of(&b)).await.expect("is known");
    }
    assert!(began.elapsed() < Duration::from_millis(200), "{:?}", began.elapsed());
}

#[tokio::test]
async fn all_sidecars_of_an_application_are_found_and_leave_when_they_close() {
    let app_id = id("many");
    let observer = open(&id("observer"), 1).await;
    let many = [
        open(&app_id, 1001).await,
        open(&app_id, 1002).await,
        open(&app_id, 1003).await,
    ];
    let seen = |count| {
        let (observer, app_id) = (&observer, &app_id);
        async move {
            let mut found = Vec::new();
            while found.len() != count {
                tokio::time::sleep(Duration::from_millis(5)).await;
                found = observer.resolve(of(app_id)).await.unwrap_or_default();
            }
            found.sort();
            found
        }
    };
    let all = timeout(Duration::from_secs(5), seen(3)).await.expect("are found");
    assert_eq!(all, ["127.0.0.1:1001", "127.0.0.1:1002", "127.0.0.1:1003"]);
    many[1].close().await;
    let rest = timeout(Duration::from_secs(5), seen(2)).await.expect("one leaves");
    assert_eq!(rest, ["127.0.0.1:1001", "127.0.0.1:1003"]);
    drop(many);
    timeout(Duration::from_secs(10), seen(0)).await.expect("all leave");
}

#[tokio::test]
async fn what_is_not_there_is_told_after_a_second_and_to_all_who_wait() {
    let resolver = Arc::new(open(&id("a"), 1).await);
    let missing = id("missing");
    let began = Instant::now();
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let (resolver, missing) = (resolver.clone(), missing.clone());
            tokio::spawn(async move { resolver.resolve(of(&missing)).await })
        })
        .collect();
    for wait in waiting {
        let error = wait.await.expect("ends").expect_err("is not there");
        assert_eq!(error.kind, ErrorKind::NotFound);
        assert_eq!(error.message, format!("couldn't find service: {missing}"));
    }
    let took = began.elapsed();
    assert!(
        took > Duration::from_millis(900) && took < Duration::from_secs(2),
        "{took:?}"
    );
    let error = resolver.resolve(of("no..name")).await.expect_err("is no name");
    assert_eq!(error.kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn a_sidecar_that_comes_while_it_is_looked_for_is_found() {
    let resolver = Arc::new(open(&id("a"), 1).await);
    let late = id("late");
    let looking = tokio::spawn({
        let (resolver, late) = (resolver.clone(), late.clone());
        async move { resolver.resolve(of(&late)).await }
    });
    tokio::time::sleep(Duration::from_millis(600)).await;
    let _late = open(&late, 1001).await;
    assert_eq!(looking.await.expect("ends").expect("is found"), ["127.0.0.1:1001"]);
}

#[tokio::test]
async fn what_is_forgotten_is_asked_for_again() {
    let resolver = open(&id("a"), 1).await;
    let b = id("b");
    let before = open(&b, 1001).await;
    assert_eq!(resolver.resolve(of(&b)).await.expect("is found"), ["127.0.0.1:1001"]);
    resolver.forget(&b);
    assert_eq!(
        resolver.resolve(of(&b)).await.expect("is found again"),
        ["127.0.0.1:1001"]
    );
    drop(before);
}

#[tokio::test]
async fn a_sidecar_needs_an_address_and_a_name_to_be_found() {
    let cx = |app_id: &str, host: &str, port| Open {
        app_id: app_id.into(),
        host_address: host.into(),
        internal_port: port,
        ..Open::default()
    };
    assert!(Resolver::open((), cx("a", "somewhere", 1)).await.is_err());
    assert!(Resolver::open((), cx("", "127.0.0.1", 1)).await.is_err());
    let silent = Resolver::open((), cx("", "", 0))
        .await
        .expect("can still look for others");
    silent.close().await;
    let error = silent.resolve(of(&id("x"))).await.expect_err("is closed");
    assert!(error.is_transient());
}
