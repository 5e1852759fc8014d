use crate::cache::*;
use std::time::Duration;
use tokio::time::Instant;

fn sidecar(number: u8, ttl: u64) -> Sidecar {
    Sidecar {
        instance: vec![number],
        address: Some(([10, 0, 0, number], 1).into()),
        ttl: Duration::from_secs(ttl),
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn what_is_asked_for_once_is_asked_once() {
    let (mut cache, now) = (Cache::default(), Instant::now());
    let first = cache.look_up("a", now).expect("has room");
    assert!(first.ask && first.asking && first.addresses.is_empty());
    assert!(!cache.look_up("a", now).expect("has room").ask, "it is asked already");
    assert!(!cache.is_answered("a"));
    cache.hear("a", sidecar(1, 120), now);
    cache.hear("unasked", sidecar(2, 120), now);
    assert!(cache.peek("unasked").is_none());
    assert!(first.changed.has_changed().expect("stands"));
    assert!(cache.is_answered("a"));
    cache.end_asking("a");
    let found = cache.look_up("a", now + SECOND).expect("has room");
    assert!(!found.ask && !found.asking);
    assert_eq!(found.addresses, ["10.0.0.1:1"]);
}

#[test]
fn what_is_in_use_is_looked_at_again_and_who_does_not_answer_is_gone() {
    let (mut cache, now) = (Cache::default(), Instant::now());
    cache.look_up("a", now).expect("has room");
    cache.hear("a", sidecar(1, 120), now);
    cache.hear("a", sidecar(2, 120), now);
    cache.end_asking("a");
    let later = now + REFRESH;
    let found = cache.look_up("a", later).expect("has room");
    assert!(found.ask);
    assert_eq!(found.addresses.len(), 2, "nobody waits");
    cache.hear("a", sidecar(2, 120), later + SECOND / 10);
    assert!(!cache.is_answered("a"));
    cache.end_asking("a");
    assert_eq!(
        cache.look_up("a", later + SECOND).expect("has room").addresses,
        ["10.0.0.2:1"]
    );
    assert!(
        cache
            .look_up("a", later + REFRESH * 3)
            .expect("has room")
            .addresses
            .is_empty(),
        "too old"
    );
}

#[test]
fn who_says_goodbye_or_is_not_reached_is_forgotten() {
    let (mut cache, now) = (Cache::default(), Instant::now());
    cache.look_up("a", now).expect("has room");
    cache.hear("a", sidecar(1, 120), now);
    cache.hear("a", sidecar(2, 5), now);
    let partial = Sidecar {
        address: None,
        ..sidecar(1, 120)
    };
    cache.hear("a", partial, now);
    assert_eq!(cache.peek("a").expect("is known").addresses.len(), 2);
    cache.hear("a", sidecar(1, 0), now);
    assert_eq!(cache.peek("a").expect("is known").addresses, ["10.0.0.2:1"]);
    assert!(
        cache
            .look_up("a", now + SECOND * 5)
            .expect("has room")
            .addresses
            .is_empty(),
        "its time is over"
    );
    cache.end_asking("a");
    cache.hear("a", sidecar(2, 120), now);
    cache.forget("a");
    let found = cache.look_up("a", now).expect("has room");
    assert!(found.ask && found.addresses.is_empty());
}

#[test]
fn there_is_an_end_to_what_is_remembered() {
    let (mut cache, now) = (Cache::default(), Instant::now());
    for i in 0..5000u32 {
        let app_id = format!("app{i}");
        cache
            .look_up(&app_id, now + Duration::from_millis(i.into()))
            .expect("has room");
        cache.end_asking(&app_id);
    }
    assert!(cache.peek("app0").is_none() && cache.peek("app4999").is_some());
    for number in 0..=255u8 {
        for more in 0..4u8 {
            let many = Sidecar {
                instance: vec![number, more],
                ..sidecar(number, 120)
            };
            cache.hear("app4999", many, now);
        }
    }
    assert_eq!(cache.peek("app4999").expect("is known").addresses.len(), 256);
    let mut busy = Cache::default();
    let full = (0..5000).find(|i| busy.look_up(&format!("app{i}"), now).is_err());
    assert!(full.is_some(), "what is being asked for is not forgotten");
}
