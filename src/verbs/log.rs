//! `dkb log`: what dkb took away, when, why and in whose name. It asks no engine.
//!
//! Of all projects, since whoever asks at three in the morning stands in no checkout, and a sweep takes things that are
//! nobody's. A project or a session that was typed narrows it.

use jiff::{SignedDuration, Timestamp};

use crate::app::App;
use crate::cli;
use crate::error::{Error, Result};
use crate::model::{Pattern, Removal, parse_duration};
use crate::report;

pub(super) fn log(app: &App, flags: &cli::LogFlags) -> Result<u8> {
    let wanted = flags.image.as_deref().map(Pattern::new).transpose();
    let wanted = wanted.map_err(|_| Error::usage("looking for an image", "its name is empty"))?;
    let since = flags.since.as_deref().map(begin).transpose()?;
    let history = app.state()?.history();
    let (mut removals, unread) = history.read()?;
    let begins = removals.first().map(|first| first.at);
    let (project, session) = (app.settings.is_typed("project"), app.settings.is_typed("session"));
    let is_meant = |removal: &Removal| {
        since.is_none_or(|since| removal.at >= since)
            && (!project || removal.project == app.key.project)
            && (!session || removal.session == app.key.session)
            && wanted.as_ref().is_none_or(|wanted| removal.is_called(wanted))
    };
    removals.retain(is_meant);
    if let Some(last) = flags.last.and_then(|last| usize::try_from(last).ok()) {
        removals.drain(..removals.len().saturating_sub(last));
    }
    if unread > 0 {
        report::warn(format_args!(
            "{} of {} can't be read, damaged or a newer dkb's: what they say is not shown",
            report::words::count(unread, "line"),
            history.path().display()
        ));
    }
    let style = report::Style::for_stdout(app.settings.color);
    let for_people = || report::log::human(&removals, begins, app.verbose, style);
    report::result(app.settings.format, for_people, || report::log::document(&removals, unread));
    Ok(0)
}

fn begin(ago: &str) -> Result<Timestamp> {
    let ago = parse_duration(ago).map_err(|wrong| Error::usage("reading --since", wrong))?;
    let ago = SignedDuration::try_from(ago).unwrap_or(SignedDuration::MAX);
    Ok(Timestamp::now().checked_sub(ago).unwrap_or(Timestamp::MIN))
}
