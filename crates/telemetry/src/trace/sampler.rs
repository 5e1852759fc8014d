//! Which traces are recorded: those whose caller records them; of new ones, a part.

use super::context::TraceContext;

/// The rate when the configured one is no number.
pub const DEFAULT_RATE: f64 = 0.0001;

/// Follows the caller's decision, and decides for new traces by their id.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    rate: f64,
}

impl Sampler {
    /// The sampler of a configured rate.
    pub fn from_rate(rate: &str) -> Sampler {
        let rate = rate
            .trim()
            .parse::<f64>()
            .ok()
            .filter(|rate| rate.is_finite())
            .unwrap_or(DEFAULT_RATE);
        Sampler {
            rate: rate.clamp(0., 1.),
        }
    }

    /// Whether tracing is off altogether.
    pub fn is_never(&self) -> bool {
        self.rate == 0.
    }

    /// Whether a span is recorded, given its parent and the id of its trace.
    pub(super) fn samples(&self, parent: Option<&TraceContext>, trace_id: &[u8; 16]) -> bool {
        match parent {
            Some(parent) => parent.is_sampled(),
            None => self.samples_root(trace_id),
        }
    }

    /// The same half of the id that other implementations look at, so that all of them decide alike.
    fn samples_root(&self, trace_id: &[u8; 16]) -> bool {
        let half = u128::from_be_bytes(*trace_id) as u64;
        (half >> 1) < (self.rate * (1u64 << 63) as f64) as u64
    }

    /// The sampler in words, as the start of the sidecar logs it.
    pub fn description(&self) -> String {
        let mut root = String::from("AlwaysOnSampler");
        if self.rate < 1. {
            root = String::from("TraceIDRatioBased{");
            crate::metrics::push_float(&mut root, self.rate);
            root.push('}');
        }
        format!(
            "ParentBased{{root:{root},remoteParentSampled:AlwaysOnSampler,remoteParentNotSampled:AlwaysOffSampler,\
             localParentSampled:AlwaysOnSampler,localParentNotSampled:AlwaysOffSampler}}"
        )
    }
}
