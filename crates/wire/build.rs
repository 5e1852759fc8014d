//! Compiles `proto/` into Rust and into the descriptor set that reflection serves. No `protoc` is needed.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost::Message as _;
use prost_types::{DescriptorProto, FileDescriptorProto};

/// Where the `.proto` files are. A file is known by its path below one of the roots: gRPC reflection and the clients
/// that import our files see that name, so a workflow file is `history_events.proto`, not `durabletask/…`.
const ROOTS: [&str; 2] = ["../../proto", "../../proto/durabletask"];

fn main() -> Result<(), Box<dyn Error>> {
    let mut files = Vec::new();
    find(
        Path::new(ROOTS[0]).join("dapr").as_path(),
        Path::new(ROOTS[0]),
        &mut files,
    )?;
    find(Path::new(ROOTS[1]), Path::new(ROOTS[1]), &mut files)?;
    files.sort();

    let mut compiler = protox::Compiler::new(ROOTS)?;
    compiler
        .include_source_info(true)
        .include_imports(true)
        .open_files(files)?;
    let mut set = compiler.file_descriptor_set();

    let mut generated = set.clone();
    for file in &mut generated.file {
        serve_deprecated(file);
    }
    tonic_prost_build::configure().bytes(".").compile_fds(generated)?;

    for file in &mut set.file {
        file.source_code_info = None;
    }
    fs::write(
        PathBuf::from(env::var("OUT_DIR")?).join("descriptors.bin"),
        set.encode_to_vec(),
    )?;
    Ok(())
}

/// Whoever serves the API serves the deprecated parts of it as long as they exist: the word is for those who call it. It
/// stays in the descriptors and makes no warnings in Rust.
fn serve_deprecated(file: &mut FileDescriptorProto) {
    fn in_message(message: &mut DescriptorProto) {
        if let Some(options) = &mut message.options {
            options.deprecated = None;
        }
        for options in message.field.iter_mut().filter_map(|f| f.options.as_mut()) {
            options.deprecated = None;
        }
        message.nested_type.iter_mut().for_each(in_message);
    }

    file.message_type.iter_mut().for_each(in_message);
    for method in file.service.iter_mut().flat_map(|s| &mut s.method) {
        method.options = None;
    }
}

/// Collects the `.proto` files of a folder and of those inside it, by their path below `root`.
fn find(folder: &Path, root: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, root, files)?;
        } else if path.extension().is_some_and(|e| e == "proto") {
            files.push(path.strip_prefix(root)?.to_owned());
        }
    }
    Ok(())
}
