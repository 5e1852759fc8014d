//! One series: the number or the buckets, and the handles that change it with one atomic operation.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What a series holds.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    Counter(Arc<AtomicU64>),
    Gauge(Arc<AtomicI64>),
    Histogram(Arc<HistogramCell>),
}

/// The buckets of a histogram; the last one is everything above the bounds.
#[derive(Debug)]
pub(super) struct HistogramCell {
    pub(super) bounds: Arc<[f64]>,
    pub(super) counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl HistogramCell {
    pub(super) fn new(bounds: Arc<[f64]>) -> HistogramCell {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        HistogramCell {
            bounds,
            counts,
            sum: AtomicU64::new(0f64.to_bits()),
        }
    }

    pub(super) fn observe(&self, value: f64) {
        let at = self.bounds.partition_point(|bound| *bound < value);
        if let Some(bucket) = self.counts.get(at) {
            bucket.fetch_add(1, Relaxed);
        }
        self.add_to_sum(value);
    }

    fn add_to_sum(&self, value: f64) {
        let mut old = self.sum.load(Relaxed);
        while let Err(now) =
            self.sum
                .compare_exchange_weak(old, (f64::from_bits(old) + value).to_bits(), Relaxed, Relaxed)
        {
            old = now;
        }
    }

    pub(super) fn sum(&self) -> f64 {
        f64::from_bits(self.sum.load(Relaxed))
    }
}

/// A counter of one label set. Without metrics it does nothing.
#[derive(Clone, Debug, Default)]
pub struct Counter(pub(super) Option<Arc<AtomicU64>>);

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        if let Some(cell) = &self.0 {
            cell.fetch_add(n, Relaxed);
        }
    }
}

/// A gauge of one label set. Without metrics it does nothing.
#[derive(Clone, Debug, Default)]
pub struct Gauge(pub(super) Option<Arc<AtomicI64>>);

impl Gauge {
    /// Sets it.
    pub fn set(&self, value: i64) {
        if let Some(cell) = &self.0 {
            cell.store(value, Relaxed);
        }
    }

    /// Changes it by `delta`.
    pub fn add(&self, delta: i64) {
        if let Some(cell) = &self.0 {
            cell.fetch_add(delta, Relaxed);
        }
    }
}

/// A histogram of one label set. Without metrics it does nothing.
#[derive(Clone, Debug, Default)]
pub struct Histogram(pub(super) Option<Arc<HistogramCell>>);

impl Histogram {
    /// Takes in one value, in the unit of the view.
    pub fn observe(&self, value: f64) {
        if let Some(cell) = &self.0 {
            cell.observe(value);
        }
    }

    /// Takes in a duration as milliseconds.
    pub fn observe_duration(&self, elapsed: Duration) {
        self.observe(milliseconds(elapsed));
    }
}

/// A duration in milliseconds with its fraction.
pub(super) fn milliseconds(elapsed: Duration) -> f64 {
    elapsed.as_secs_f64() * 1e3
}
