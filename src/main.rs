//! The real world in, an exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(dkb::verbs::main(std::env::args_os().collect()))
}
