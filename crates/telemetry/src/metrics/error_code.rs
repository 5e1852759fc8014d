//! Error codes that callers were given.

use super::Metrics;

crate::views! {
    TOTAL = counter "error_code/total" ["category", "error_code"] "Count of errors, by category and code.";
}

impl Metrics {
    /// A caller was given an error code. Counted only when the configuration has `recordErrorCodes`.
    pub fn error_code(&self, category: &str, code: &str) {
        if self.0.as_ref().is_some_and(|inner| inner.record_error_codes) {
            self.increment(&TOTAL, &[category, code]);
        }
    }
}
