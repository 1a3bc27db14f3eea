//! What dkb promises, one file a theme, tried on every engine of the lab.

mod clean_faults;
mod clean_host;
mod clean_races;
mod clean_random;
mod clean_takes_ours;
mod guard;
mod lab_itself;

use std::process::ExitCode;

fn main() -> ExitCode {
    dkb_lab::set_dkb(env!("CARGO_BIN_EXE_dkb"));
    dkb_lab::promise::run([
        clean_faults::promises(),
        clean_races::promises(),
        clean_random::promises(),
        clean_takes_ours::promises(),
        guard::promises(),
        lab_itself::promises(),
    ])
}
