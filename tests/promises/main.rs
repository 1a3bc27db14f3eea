//! What dkb promises, one file a theme, tried on every engine of the lab.

mod lab_itself;
mod sweep_faults;
mod sweep_hosts;
mod sweep_random;
mod sweep_seed;

use std::process::ExitCode;

fn main() -> ExitCode {
    dkb_lab::set_dkb(env!("CARGO_BIN_EXE_dkb"));
    dkb_lab::promise::run([
        lab_itself::promises(),
        sweep_faults::promises(),
        sweep_hosts::promises(),
        sweep_random::promises(),
        sweep_seed::promises(),
    ])
}
