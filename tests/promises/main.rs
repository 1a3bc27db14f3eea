//! What dkb promises, one file a theme, tried on every engine of the lab.

mod guard;
mod lab_itself;
mod readme;

use std::process::ExitCode;

fn main() -> ExitCode {
    dkb_lab::set_dkb(env!("CARGO_BIN_EXE_dkb"));
    dkb_lab::promise::run([guard::promises(), lab_itself::promises(), readme::promises()])
}
