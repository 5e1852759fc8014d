//! A bounded map from names to shared values: when it is full, one that was not asked for lately makes room.

use parking_lot::RwLock;
use std::{
    collections::HashMap,
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering},
};

/// A bounded cache ("second chance": a hand goes round and takes out the first entry that was not used since it last came
/// by). Looking up what is there takes a read lock and allocates nothing.
pub(crate) struct Cache<T> {
    capacity: usize,
    inner: RwLock<Ring<T>>,
}

struct Ring<T> {
    slots: Vec<Slot<T>>,
    index: HashMap<Arc<str>, usize>,
    hand: usize,
}

struct Slot<T> {
    key: Arc<str>,
    value: T,
    used: AtomicBool,
}

impl<T: Clone> Cache<T> {
    /// An empty cache of at most `capacity` entries, at least one.
    pub(crate) fn new(capacity: usize) -> Self {
        let ring = Ring {
            slots: Vec::new(),
            index: HashMap::new(),
            hand: 0,
        };
        Self {
            capacity: capacity.max(1),
            inner: RwLock::new(ring),
        }
    }

    /// The value of the key, made now if there is none.
    pub(crate) fn get_or_insert_with(&self, key: &str, make: impl FnOnce() -> T) -> T {
        if let Some(value) = self.inner.read().get(key) {
            return value;
        }
        let mut ring = self.inner.write();
        if let Some(value) = ring.get(key) {
            return value;
        }
        let value = make();
        ring.insert(key.into(), value.clone(), self.capacity);
        value
    }

    /// How many entries there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.inner.read().slots.len()
    }
}

impl<T: Clone> Ring<T> {
    fn get(&self, key: &str) -> Option<T> {
        let slot = self.index.get(key).and_then(|at| self.slots.get(*at))?;
        slot.used.store(true, Ordering::Relaxed);
        Some(slot.value.clone())
    }

    fn insert(&mut self, key: Arc<str>, value: T, capacity: usize) {
        let slot = Slot {
            key: key.clone(),
            value,
            used: AtomicBool::new(false),
        };
        if self.slots.len() < capacity {
            self.index.insert(key, self.slots.len());
            self.slots.push(slot);
            return;
        }
        let at = self.victim();
        let old = std::mem::replace(&mut self.slots[at], slot);
        self.index.remove(&old.key);
        self.index.insert(key, at);
    }

    /// The slot to take, all others that the hand passes losing their mark.
    fn victim(&mut self) -> usize {
        loop {
            let at = self.hand;
            self.hand = (at + 1) % self.slots.len();
            if !self.slots[at].used.swap(false, Ordering::Relaxed) {
                return at;
            }
        }
    }
}
