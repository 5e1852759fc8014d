//! Tests of the block as a whole.
