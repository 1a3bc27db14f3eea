//! One short file a verb, and what they share.

mod apply;
pub mod build;
mod builds;
pub mod clean;
pub mod completions;
pub mod config;
mod end;
mod guard;
mod plan_file;
mod plugin;
pub mod seen;
mod session;
mod status;
mod sweep;
mod unmatched;
mod watch;
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
        Parsed::Say(message) => return Ok(ui::clap(message)),
    };
    // These need neither settings nor an engine, and work where both are broken.
    match &cli.verb {
        Verb::Completions { shell } => {
            completions::run(*shell);
            return Ok(0);
        }
        Verb::Man { verb } => return completions::run_man(verb).map(|()| 0),
        Verb::PluginMetadata => return Ok(plugin::metadata()),
        Verb::Plugin(verb) => return plugin::plugin(*verb, cli.docker.config.as_deref()),
        _ => {}
    }
    let world = World::new(&cli, &typed)?;
    match cli.verb {
        Verb::Build(build) => {
            let words: Vec<OsString> = build.spelling.into_iter().chain(build.args).collect();
            build::build(&world, &build.docker, &words)
        }
        Verb::Clean(clean) => clean::clean(&world, &clean),
        Verb::Sweep(sweep) => sweep::sweep(&world, &sweep),
        Verb::Guard(guard) => guard::guard(&world, &guard),
        Verb::Session(session) => session::session(&world, &session),
        Verb::Watch(watch) => watch::watch(&world, &watch),
        Verb::Config => {
            config::run(&world.settings, &world.identity);
            Ok(0)
        }
        Verb::Status(status) => status::status(&world, &status),
        // Answered above, before there was a world.
        Verb::Completions { .. } | Verb::Man { .. } | Verb::Plugin(_) | Verb::PluginMetadata => Ok(0),
    }
}
