//! Writes the descriptors of `proto/` to a file, or to the standard output, for tools that compare or load them.
//!
//! `cargo run -p wire --example descriptors -- [FILE]`

use std::io::Write as _;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    match env::args_os().nth(1) {
        Some(path) => fs::write(path, wire::FILE_DESCRIPTOR_SET),
        None => io::stdout().write_all(wire::FILE_DESCRIPTOR_SET),
    }
}
