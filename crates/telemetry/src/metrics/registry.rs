//! The series by view and label values: found without allocating, bounded in number.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};

use papaya::Equivalent;
use parking_lot::Mutex;

use super::cell::{Cell, HistogramCell};
use super::render::Exposition;
use super::rules::Rules;
use super::view::{Buckets, Kind, LATENCY_BUCKETS, RATIO_BUCKETS, SIZE_BUCKETS, View};

/// How many label sets a view may have. A label set beyond it is counted in one series whose values are all [`OVERFLOW`],
/// so that callers who choose paths or names cannot fill the memory.
pub const MAX_SERIES: usize = 1_000;

/// The label value of what does not fit into [`MAX_SERIES`].
pub const OVERFLOW: &str = "_other";

/// The longest label value, in bytes; what is longer is cut.
pub const MAX_VALUE: usize = 1024;

/// Ends each value in a key: no UTF-8 text holds this byte.
const END: u8 = 0xff;

/// Something that writes its own families at each scrape.
pub type Collector = Box<dyn Fn(&mut Exposition) + Send + Sync>;

pub(super) struct Registry {
    series: papaya::HashMap<Key, Cell>,
    counts: Mutex<HashMap<usize, usize>>,
    collectors: Mutex<Vec<Collector>>,
    /// Labels that every series has, in alphabetical order.
    pub(super) labels: Vec<(&'static str, String)>,
    rules: Rules,
    latency: Arc<[f64]>,
    size: Arc<[f64]>,
    ratio: Arc<[f64]>,
}

impl Registry {
    pub(super) fn new(mut labels: Vec<(&'static str, String)>, rules: Rules, latency: Option<&[f64]>) -> Registry {
        labels.sort();
        Registry {
            series: papaya::HashMap::new(),
            counts: Mutex::default(),
            collectors: Mutex::default(),
            labels,
            rules,
            latency: bounds(latency.filter(|given| !given.is_empty()).unwrap_or(LATENCY_BUCKETS)),
            size: bounds(SIZE_BUCKETS),
            ratio: bounds(RATIO_BUCKETS),
        }
    }

    /// Gives the series of these label values, made if it is new, to `f`.
    pub(super) fn with<R>(&self, view: &'static View, values: &[&str], f: impl FnOnce(&Cell) -> R) -> R {
        debug_assert_eq!(view.labels.len(), values.len(), "label values of {}", view.name);
        match self.rules.rewrite(view, values) {
            None if values.iter().all(|value| value.len() <= MAX_VALUE) => self.with_final(view, values, f),
            None => self.with_final(view, &values.iter().map(|value| shorten(value)).collect::<Vec<_>>(), f),
            Some(new) => self.with_final(view, &new.iter().map(|value| shorten(value)).collect::<Vec<_>>(), f),
        }
    }

    fn with_final<R>(&self, view: &'static View, values: &[&str], f: impl FnOnce(&Cell) -> R) -> R {
        match self.series.pin().get(&Lookup { view, values }) {
            Some(cell) => f(cell),
            None => f(&self.create(view, values)),
        }
    }

    /// Adds a series, or gives the overflow series when the view is full.
    fn create(&self, view: &'static View, values: &[&str]) -> Cell {
        let series = self.series.pin();
        let mut counts = self.counts.lock();
        // another thread may have been faster
        if let Some(cell) = series.get(&Lookup { view, values }) {
            return cell.clone();
        }
        let count = counts.entry(address(view)).or_default();
        if *count >= MAX_SERIES {
            let key = Key::new(view, &vec![OVERFLOW; values.len()]);
            return series.get_or_insert_with(key, || self.cell(view)).clone();
        }
        *count += 1;
        series
            .get_or_insert_with(Key::new(view, values), || self.cell(view))
            .clone()
    }

    fn cell(&self, view: &View) -> Cell {
        let bounds = match view.kind {
            Kind::Counter => return Cell::Counter(Arc::new(AtomicU64::new(0))),
            Kind::Gauge => return Cell::Gauge(Arc::new(AtomicI64::new(0))),
            Kind::Histogram(Buckets::Latency) => Arc::clone(&self.latency),
            Kind::Histogram(Buckets::Size) => Arc::clone(&self.size),
            Kind::Histogram(Buckets::Ratio) => Arc::clone(&self.ratio),
            Kind::Histogram(Buckets::Custom(own)) => bounds(own),
        };
        Cell::Histogram(Arc::new(HistogramCell::new(bounds)))
    }

    pub(super) fn collect(&self, collector: Collector) {
        self.collectors.lock().push(collector);
    }

    pub(super) fn render(&self) -> String {
        let mut out = Exposition::default();
        for (key, cell) in &self.series.pin() {
            out.series(key.view, &self.labels, &key.values(), cell);
        }
        for collector in self.collectors.lock().iter() {
            collector(&mut out);
        }
        out.finish()
    }
}

/// A bound of zero or less would make a bucket that no measurement can fall in.
fn bounds(given: &[f64]) -> Arc<[f64]> {
    let mut bounds: Vec<f64> = given.iter().copied().filter(|bound| *bound > 0.).collect();
    bounds.sort_by(f64::total_cmp);
    bounds.dedup();
    bounds.into()
}

fn shorten(value: &str) -> &str {
    &value[..value.floor_char_boundary(MAX_VALUE)]
}

fn address(view: &'static View) -> usize {
    std::ptr::from_ref(view).addr()
}

/// A view and its label values, each ended by [`END`], in one allocation.
struct Key {
    view: &'static View,
    values: Box<[u8]>,
}

impl Key {
    fn new(view: &'static View, values: &[&str]) -> Key {
        let mut joined = Vec::with_capacity(values.iter().map(|value| value.len() + 1).sum());
        for value in values {
            joined.extend_from_slice(value.as_bytes());
            joined.push(END);
        }
        Key {
            view,
            values: joined.into(),
        }
    }

    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.values
            .split_inclusive(|byte| *byte == END)
            .map(|part| &part[..part.len() - 1])
    }

    fn values(&self) -> Vec<&str> {
        self.parts()
            .map(|part| std::str::from_utf8(part).unwrap_or_default())
            .collect()
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        address(self.view) == address(other.view) && self.values == other.values
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_key(self.view, self.parts(), state);
    }
}

/// A key that borrows its values.
struct Lookup<'a> {
    view: &'static View,
    values: &'a [&'a str],
}

impl Hash for Lookup<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_key(self.view, self.values.iter().map(|value| value.as_bytes()), state);
    }
}

impl Equivalent<Key> for Lookup<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        address(self.view) == address(key.view) && self.values.iter().map(|value| value.as_bytes()).eq(key.parts())
    }
}

/// Both forms of a key must feed the hasher with the same calls.
fn hash_key<'a, H: Hasher>(view: &'static View, values: impl Iterator<Item = &'a [u8]>, state: &mut H) {
    state.write_usize(address(view));
    for value in values {
        state.write(value);
        state.write_u8(END);
    }
}
