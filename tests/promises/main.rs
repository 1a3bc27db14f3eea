//! What dkb promises, one file a theme, tried on every engine of the lab.

mod lab_itself;
mod sweep_random;

use std::process::ExitCode;

fn main() -> ExitCode {
    dkb_lab::set_dkb(env!("CARGO_BIN_EXE_dkb"));
    dkb_lab::promise::run([lab_itself::promises(), sweep_random::promises()])
}
