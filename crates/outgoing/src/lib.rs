//! The one guarded call out.
//!
//! **What for:** every call of a sidecar to an application, a component, an actor or a peer goes through a [`Policy`]:
//! each attempt is cut by a timeout and counted by a circuit breaker, and repeated as the retry policy says.
//! **What enters:** the `Resiliency` resources that were loaded ([`Policies::build`]), then the name of a target
//! ([`Policies::app`], [`Policies::component_outbound`], …) and a closure that makes one attempt. **What leaves:** what the
//! last attempt gave, or a [`CallError`], and the numbers of `resiliency/*`.
//! **What may live here:** policies (pure: time and randomness come in as arguments), their look-up, and the loop that runs
//! them. No transport and no knowledge of what is called.
//!
//! ```ignore
//! let (policies, warnings) = Policies::build(&resources, Options::default());
//! let policy = policies.app("orders", "orders:checkout");
//! let response = policy
//!     .run_checked(&CallCx::new(&cancel), |_attempt| send(request.clone()), |r| r.bad_status().map(Failure::Http))
//!     .await?;
//! ```

pub mod breaker;
mod build;
mod builtin;
mod cache;
mod defaults;
mod error;
mod matching;
mod policies;
mod policy;
mod retry;
mod site;
mod target;
#[cfg(test)]
mod tests;
mod trip;

pub use build::{Options, Warning};
pub use builtin::Builtin;
pub use component::Kind as ComponentKind;
pub use error::{CallError, Class, Classify, Failure};
pub use matching::Matching;
pub use policies::Policies;
pub use policy::{CallCx, Policy};
pub use retry::{Backoff, Exponential, ProcessRandom, Random, Retry, Schedule};
pub use trip::{Trip, TripError};

/// The scope of what this crate logs.
const LOG: &str = "dapr.runtime";
