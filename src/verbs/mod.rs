//! One short file a verb, and what they share.

mod as_docker;
mod build;
mod clean;
pub mod completions;
mod compose;
mod config;
mod doctor;
mod guard;
mod log;
mod plugin;
mod seat;
mod session;
mod status;
mod sweep;
mod tidy_cache;
mod watch;

use std::ffi::OsString;

use crate::app::{App, DockersCall};
use crate::cli::{self, Cli, DockersVerb, Invocation, Parsed, Verb};
use crate::config::{Typed, variables};
use crate::engine::program;
use crate::error::{Error, ErrorKind, Result};
use crate::processes::signals;
use crate::report::{self, Page};
use as_docker::{AsDocker, Called};
use seat::SeatCall;

/// Runs a whole command line, the program's own name first, and gives the exit code.
pub fn main(args: Vec<OsString>) -> u8 {
    signals::outlive_limits_of_files();
    if completions::answer(&args) {
        return 0;
    }
    let code = if seat::is_asked(&args) {
        report::out(&Page::of(program::READY));
        Ok(0)
    } else if let Some(seat) = SeatCall::of(&args) {
        match seat.build() {
            Some(call) => run_dockers(call),
            None => Ok({
                let (error, code) = seat.give_way();
                report::say(&error);
                code
            }),
        }
    } else if let Some(docker) = AsDocker::of(&args) {
        match docker.call() {
            Called::Ours(line) => cli::parse(line).and_then(run),
            Called::Build(call) => run_dockers(*call),
            Called::Theirs => Err(docker.give_way()),
        }
    } else {
        cli::parse(args).and_then(run)
    };
    let code = match code {
        Ok(code) => code,
        Err(error) => {
            report::fail(&error);
            error.kind.exit_code()
        }
    };
    // Whoever asked for a result and has none, or half of one, is to know.
    if report::is_cut() { code.max(ErrorKind::Failed.exit_code()) } else { code }
}

fn run_dockers(DockersCall { app, verb, flags }: DockersCall) -> Result<u8> {
    let words: Vec<OsString> = flags.spelling.into_iter().chain(flags.args).collect();
    match verb {
        DockersVerb::Build => build::build(&app, &flags.docker, &words),
        DockersVerb::Bake => build::bake(&app, &flags.docker, &words),
        DockersVerb::Compose => compose::compose(&app, &flags.docker, &words),
    }
}

/// Settings that can't be read break no build, and are what `dkb doctor` is asked about. All else waits until it is known
/// what is to be kept.
fn without_settings(cli: &Cli, typed: &[Typed], error: Error) -> Result<u8> {
    let Ok(app) = App::by_what_can_be_read(cli, typed) else { return Err(error) };
    match &cli.verb {
        Verb::Build(flags) | Verb::Bake(flags) | Verb::Compose(flags) if cli.common.settings.is_none() => {
            Err(build::without_settings(&app, flags, &error))
        }
        Verb::Doctor => doctor::doctor(&app, Some(&error)),
        _ => Err(error),
    }
}

fn run(parsed: Parsed) -> Result<u8> {
    let Invocation { cli, typed } = match parsed {
        Parsed::Run(invocation) => *invocation,
        Parsed::Say(message) => return Ok(report::clap(message)),
        Parsed::BuildHelp(page, invocation) => return Ok(build::help(page, &invocation)),
    };
    // These need neither settings nor an engine, and work where both are broken.
    match &cli.verb {
        Verb::Completions { shell } => {
            completions::run(*shell);
            return Ok(0);
        }
        Verb::Man { verb } => return completions::run_man(verb).map(|()| 0),
        Verb::PluginMetadata => return Ok(plugin::metadata()),
        Verb::Plugin(verb) => return plugin::plugin(verb, cli.docker.config.as_deref()),
        _ => {}
    }
    let app = match App::new(&cli, &typed) {
        Ok(app) => app,
        Err(error) => return without_settings(&cli, &typed, error),
    };
    // What is for no person has nobody to tell.
    if !matches!(cli.verb, Verb::Watch(_) | Verb::TidyCache) {
        let set = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        variables::unknown(set).iter().for_each(report::warn);
    }
    match cli.verb {
        Verb::Build(flags) => run_dockers(DockersCall { app, verb: DockersVerb::Build, flags }),
        Verb::Bake(flags) => run_dockers(DockersCall { app, verb: DockersVerb::Bake, flags }),
        Verb::Compose(flags) => run_dockers(DockersCall { app, verb: DockersVerb::Compose, flags }),
        Verb::Clean(clean) => clean::clean(&app, &clean),
        Verb::Sweep(sweep) => sweep::sweep(&app, &sweep),
        Verb::Guard(guard) => guard::guard(&app, &guard),
        Verb::Session(session) => session::session(&app, &session),
        Verb::Watch(watch) => watch::watch(&app, &watch),
        Verb::TidyCache => tidy_cache::tidy_cache(&app),
        Verb::Config(config) => config::config(&app, &config),
        Verb::Doctor => doctor::doctor(&app, None),
        Verb::Log(log) => log::log(&app, &log),
        Verb::Status(status) => status::status(&app, &status),
        // Answered above, before there was an app.
        Verb::Completions { .. } | Verb::Man { .. } | Verb::Plugin(_) | Verb::PluginMetadata => Ok(0),
    }
}
