//! Tasks of the project: `cargo xtask <task>`.
//!
//! Everything that continuous integration checks is a task here, so that nothing runs there that cannot be run by hand.

mod dependencies;
mod run;
mod tests;
mod tidy;

use anyhow::{Result, bail};

const HELP: &str = "\
cargo xtask <task>

  demo     starts a small system of applications and sidecars, shows it working, and ends it
  test     installs what the tests need and runs all of them
  tidy     checks the shape of the tree: edges between crates, sizes, manifests
  deps     checks licences, banned and duplicate dependencies
  docs     writes the generated reference pages; with --check only compares them
  ci       all that continuous integration runs: format, tidy, deps, clippy, test, docs --check
";

fn main() -> std::process::ExitCode {
    match task() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn task() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    std::env::set_current_dir(root())?;
    match words.as_slice() {
        ["demo"] => tests::demo(),
        ["test"] => tests::test(),
        ["tidy"] => tidy::check(),
        ["deps"] => dependencies::check(),
        ["docs"] => tests::docs(false),
        ["docs", "--check"] => tests::docs(true),
        ["ci"] => ci(),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        other => bail!("there is no task {other:?}\n\n{HELP}"),
    }
}

/// The folder of the workspace.
fn root() -> std::path::PathBuf {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

fn ci() -> Result<()> {
    run::run("cargo", &["fmt", "--all", "--check"])?;
    tidy::check()?;
    dependencies::check()?;
    tests::test()?;
    run::run(
        "cargo",
        &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
    )?;
    tests::docs(true)
}
