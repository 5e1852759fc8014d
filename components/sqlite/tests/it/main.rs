//! Tests of the components as the sidecar uses them, some with several processes.

// Helpers of tests are not tests by name.
#![allow(clippy::unwrap_used)]

mod kill;
mod measure;
