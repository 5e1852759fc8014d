//! Tests of the pure parts, of the loop under paused time, and of policies made from resources.

mod breaker;
mod build;
mod cache;
mod policy;
mod retry;
mod trip;
