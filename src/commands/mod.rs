//! One short file a verb, and what they share.

mod apply;
pub mod build;
pub mod clean;
mod plan_file;
pub mod sweep;
pub mod world;

use std::ffi::OsString;

use crate::cli::{self, Invocation, Parsed, Verb};
use crate::error::Result;
use crate::ui;
use world::World;

/// Runs a whole command line, the program's own name first, and gives the exit code.
pub fn main(args: Vec<OsString>) -> u8 {
    match cli::parse(args).and_then(run) {
        Ok(code) => code,
        Err(error) => {
            ui::say(&error);
            error.kind.exit_code()
        }
    }
}

fn run(parsed: Parsed) -> Result<u8> {
    let Invocation { cli, typed } = match parsed {
        Parsed::Run(invocation) => *invocation,
        Parsed::Say(message) => return Ok(ui::clap(&message)),
    };
    let world = World::new(&cli, &typed)?;
    match cli.verb {
        Verb::Build(build) => {
            let words: Vec<OsString> = build.spelling.into_iter().chain(build.args).collect();
            build::build(&world, &build.docker, &words)
        }
        Verb::Clean(clean) => clean::clean(&world, &clean),
        Verb::Sweep(sweep) => sweep::sweep(&world, &sweep),
        _ => Err(crate::Error::usage("running this verb", "it is not built yet")),
    }
}
