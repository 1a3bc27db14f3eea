//! What dkb promises, one file a theme, tried on every engine of the lab.

mod build_at_once;
mod build_constant;
mod build_engine_trouble;
mod build_foreign;
mod build_killed;
mod build_state_trouble;
mod build_streams;
mod build_tilt;
mod build_twice;
mod building;
mod guard;
mod lab_itself;
mod readme;

use std::process::ExitCode;

fn main() -> ExitCode {
    dkb_lab::set_dkb(env!("CARGO_BIN_EXE_dkb"));
    dkb_lab::promise::run([
        build_at_once::promises(),
        build_constant::promises(),
        build_engine_trouble::promises(),
        build_foreign::promises(),
        build_killed::promises(),
        build_state_trouble::promises(),
        build_streams::promises(),
        build_tilt::promises(),
        build_twice::promises(),
        guard::promises(),
        lab_itself::promises(),
        readme::promises(),
    ])
}
