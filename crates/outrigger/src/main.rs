//! The one executable. It is all programs: which one, the name it is called by says (`daprd`, `dapr`, by links), or its
//! first argument (`outrigger daprd --app-id …`). Otherwise it is the command line, `dapr`.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
    process::ExitCode,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A program: its command line, the name first, to its exit code.
type Main = fn(Vec<OsString>) -> ExitCode;

/// The programs by name.
const PROGRAMS: &[(&str, Main)] = &[("daprd", |line| daprd::main(line)), ("dapr", |line| cli::main(line))];

/// What it is when neither name nor argument says.
const OTHERWISE: &str = "dapr";

fn main() -> ExitCode {
    let (name, line) = choose(std::env::args_os().collect());
    match PROGRAMS.iter().find(|(program, _)| *program == name) {
        Some((_, run)) => run(line),
        None => ExitCode::FAILURE,
    }
}

/// The program that a command line means, and the command line that it gets.
fn choose(mut line: Vec<OsString>) -> (&'static str, Vec<OsString>) {
    let called = line
        .first()
        .and_then(|name| Path::new(name).file_stem())
        .and_then(known);
    let said = line.get(1).and_then(|argument| known(argument));
    match (called, said) {
        (Some(name), _) if name != OTHERWISE => (name, line),
        // also under the command line's name, which a copy of the executable may have
        (_, Some(name)) => {
            line.remove(0);
            (name, line)
        }
        _ => (OTHERWISE, line),
    }
}

/// The program of a name.
fn known(name: &OsStr) -> Option<&'static str> {
    PROGRAMS
        .iter()
        .map(|(program, _)| *program)
        .find(|program| OsStr::new(program) == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(line: &str) -> (&'static str, String) {
        let (name, line) = choose(line.split(' ').map(OsString::from).collect());
        (name, line.join(OsStr::new(" ")).into_string().unwrap())
    }

    #[test]
    fn the_name_says_which_program_it_is() {
        assert_eq!(
            chosen("/usr/bin/daprd --app-id one"),
            ("daprd", "/usr/bin/daprd --app-id one".into())
        );
        assert_eq!(chosen("dapr run -- daprd"), ("dapr", "dapr run -- daprd".into()));
        assert_eq!(chosen("daprd dapr"), ("daprd", "daprd dapr".into()));
    }

    #[test]
    fn so_does_the_first_argument() {
        assert_eq!(
            chosen("./outrigger daprd --version"),
            ("daprd", "daprd --version".into())
        );
        assert_eq!(chosen("./outrigger dapr list"), ("dapr", "dapr list".into()));
        assert_eq!(chosen("dapr daprd --version"), ("daprd", "daprd --version".into()));
        assert_eq!(chosen("dapr dapr list"), ("dapr", "dapr list".into()));
    }

    #[test]
    fn otherwise_it_is_the_command_line() {
        assert_eq!(chosen("./outrigger list"), ("dapr", "./outrigger list".into()));
        assert_eq!(chosen("outrigger"), ("dapr", "outrigger".into()));
    }
}
