//! What was found wrong while reading, for the caller to log.

use std::fmt;
use std::path::PathBuf;

use crate::meta::Kind;

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Nothing to act on: a document of a kind that is not ours.
    Debug,
    /// The resource is in use, but something in it has no effect.
    Notice,
    /// The document is left out.
    Skipped,
}

/// Something wrong in a file; reading went on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The file, or whatever name the text came under.
    pub source: PathBuf,
    /// The line the document begins at, 0 if it is about the whole file.
    pub line: usize,
    /// The kind of the resource, if it is known.
    pub kind: Option<Kind>,
    /// The name of the resource, empty if it is not known.
    pub resource: String,
    /// The path of the field, empty if it is about the whole document.
    pub field: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.source.display())?;
        if self.line > 1 {
            write!(f, " (document at line {})", self.line)?;
        }
        match (self.kind, self.resource.as_str()) {
            (Some(kind), "") => write!(f, ": {kind}")?,
            (Some(kind), name) => write!(f, ": {kind} {name}")?,
            (None, _) => {}
        }
        if !self.field.is_empty() {
            write!(f, ": {}", self.field)?;
        }
        f.write_str(": ")?;
        f.write_str(&self.message)?;
        match self.severity {
            Severity::Skipped => f.write_str(" (left out)"),
            Severity::Debug | Severity::Notice => Ok(()),
        }
    }
}
