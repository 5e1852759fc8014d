//! What a metric is: its name, kind, label keys and help text, as a constant.

/// The kind of a metric, and for histograms which bounds it uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A number that only grows.
    Counter,
    /// A number that goes up and down.
    Gauge,
    /// A distribution over buckets.
    Histogram(Buckets),
}

/// The bounds of a histogram's buckets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Buckets {
    /// Milliseconds; a configuration may replace them.
    Latency,
    /// Bytes.
    Size,
    /// Parts of a limit.
    Ratio,
    /// Bounds of its own, ascending.
    Custom(&'static [f64]),
}

/// Milliseconds, when no configuration says otherwise.
pub const LATENCY_BUCKETS: &[f64] = &[
    1., 2., 3., 4., 5., 6., 8., 10., 13., 16., 20., 25., 30., 40., 50., 65., 80., 100., 130., 160., 200., 250., 300.,
    400., 500., 650., 800., 1_000., 2_000., 5_000., 10_000., 20_000., 50_000., 100_000.,
];

const KI: f64 = 1024.;
const MI: f64 = KI * KI;
const GI: f64 = KI * MI;

/// Bytes.
pub const SIZE_BUCKETS: &[f64] = &[
    KI,
    2. * KI,
    4. * KI,
    16. * KI,
    64. * KI,
    256. * KI,
    MI,
    4. * MI,
    16. * MI,
    64. * MI,
    256. * MI,
    GI,
    4. * GI,
];

/// Parts of a limit.
pub const RATIO_BUCKETS: &[f64] = &[0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1., 1.5, 2.];

/// The declaration of a metric. Declare it as a `static`: its address is its identity.
#[derive(Debug)]
pub struct View {
    /// The name as Dapr writes it (`http/server/request_count`); exposed as `dapr_http_server_request_count`.
    pub name: &'static str,
    /// Counter, gauge or histogram.
    pub kind: Kind,
    /// Label keys in alphabetical order, without those that the whole registry has (app_id).
    pub labels: &'static [&'static str],
    /// The text of the `# HELP` line.
    pub help: &'static str,
    /// Exposed under the name as it is, without the `dapr_` prefix and without the labels of the registry.
    pub raw: bool,
}

impl View {
    const fn new(name: &'static str, kind: Kind, labels: &'static [&'static str], help: &'static str) -> View {
        View {
            name,
            kind,
            labels,
            help,
            raw: false,
        }
    }

    /// A counter.
    pub const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> View {
        View::new(name, Kind::Counter, labels, help)
    }

    /// A gauge.
    pub const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> View {
        View::new(name, Kind::Gauge, labels, help)
    }

    /// A histogram of milliseconds.
    pub const fn latency(name: &'static str, labels: &'static [&'static str], help: &'static str) -> View {
        View::new(name, Kind::Histogram(Buckets::Latency), labels, help)
    }

    /// A histogram of bytes.
    pub const fn size(name: &'static str, labels: &'static [&'static str], help: &'static str) -> View {
        View::new(name, Kind::Histogram(Buckets::Size), labels, help)
    }

    /// A histogram of parts of a limit.
    pub const fn ratio(name: &'static str, labels: &'static [&'static str], help: &'static str) -> View {
        View::new(name, Kind::Histogram(Buckets::Ratio), labels, help)
    }

    /// A histogram with bounds of its own.
    pub const fn histogram(
        name: &'static str,
        labels: &'static [&'static str],
        bounds: &'static [f64],
        help: &'static str,
    ) -> View {
        View::new(name, Kind::Histogram(Buckets::Custom(bounds)), labels, help)
    }

    /// The same view under its bare name: no prefix, no labels of the registry.
    pub const fn raw(mut self) -> View {
        self.raw = true;
        self
    }

    /// The name under which it is exposed.
    pub fn exposed_name(&self) -> String {
        let mut out = String::with_capacity(self.name.len() + 5);
        if !self.raw {
            out.push_str("dapr_");
        }
        out.extend(self.name.chars().map(plain));
        out
    }

    /// Whether a name from a configuration means this view: with or without prefix, with `/`, `.` or `_`.
    pub(super) fn is_named(&self, name: &str) -> bool {
        let own = self.name.chars().map(plain);
        let given = name.strip_prefix("dapr_").unwrap_or(name);
        own.eq(given.chars().map(plain))
    }
}

fn plain(c: char) -> char {
    if c.is_ascii_alphanumeric() || c == '_' || c == ':' {
        c
    } else {
        '_'
    }
}

/// Declares the views of an area, one a line, and `ALL`, the list of them.
///
/// ```ignore
/// views! {
///     LEADER = gauge "placement/leader_status" [] "1 when this server leads.";
/// }
/// ```
#[macro_export]
macro_rules! views {
    ($($name:ident = $kind:ident $path:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub static $name: $crate::metrics::View = $crate::metrics::View::$kind($path, &[$($label),*], $help);
        )*
        /// Every view of this area.
        pub static ALL: &[&$crate::metrics::View] = &[$(&$name),*];
    };
}
