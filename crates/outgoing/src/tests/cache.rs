use crate::cache::Cache;
use std::sync::Arc;

#[test]
fn what_is_there_is_shared() {
    let cache = Cache::new(10);
    let first = cache.get_or_insert_with("a", || Arc::new(1));
    let again = cache.get_or_insert_with("a", || Arc::new(2));
    assert!(Arc::ptr_eq(&first, &again));
}

#[test]
fn it_stays_within_its_bound_and_lets_go() {
    let cache = Cache::new(100);
    let value = Arc::new(());
    for key in 0..10_000 {
        cache.get_or_insert_with(&key.to_string(), || value.clone());
    }
    assert_eq!(cache.len(), 100);
    assert_eq!(Arc::strong_count(&value), 101);
    drop(cache);
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn what_is_used_stays() {
    let cache = Cache::new(10);
    let kept = cache.get_or_insert_with("kept", || Arc::new("old"));
    for key in 0..1000 {
        cache.get_or_insert_with(&key.to_string(), || Arc::new("other"));
        let found = cache.get_or_insert_with("kept", || Arc::new("new"));
        assert!(Arc::ptr_eq(&found, &kept));
    }
}

#[test]
fn a_size_of_zero_is_one() {
    let cache = Cache::new(0);
    cache.get_or_insert_with("a", || 1);
    assert_eq!(cache.get_or_insert_with("b", || 2), 2);
    assert_eq!(cache.len(), 1);
}
