//! Whether there is colour, and how wide a line may be.

use std::io::{self, IsTerminal};

use rustix::termios::{Winsize, tcgetwinsize};

use crate::config::Color;

/// Whether what is written may be coloured, and how wide it may be: as wide as the terminal, and elsewhere as wide as
/// it gets, since a program reads by lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Style {
    pub(super) colored: bool,
    pub(super) width: Option<usize>,
}

impl Style {
    #[cfg(any(test, fuzzing))]
    pub(crate) const PLAIN: Self = Self { colored: false, width: None };

    /// `NO_COLOR`, `CLICOLOR_FORCE` and `TERM=dumb` are asked where the settings leave it open.
    pub(crate) fn for_stdout(color: Color) -> Self {
        let there = console::colors_enabled() && io::stdout().is_terminal();
        Self { colored: is_colored(color, there), width: columns(tcgetwinsize(io::stdout())) }
    }

    #[cfg(test)]
    pub(crate) const fn of_width(width: usize) -> Self {
        Self { colored: false, width: Some(width) }
    }

    /// For what somebody is asked, which stands on stderr.
    pub(crate) fn for_stderr(color: Color) -> Self {
        let there = console::colors_enabled_stderr() && io::stderr().is_terminal();
        Self { colored: is_colored(color, there), width: columns(tcgetwinsize(io::stderr())) }
    }
}

fn is_colored(color: Color, there: bool) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => there || forced(),
    }
}

/// The columns of a terminal. One that says that it has none is as good as none.
fn columns(window: rustix::io::Result<Winsize>) -> Option<usize> {
    Some(usize::from(window.ok()?.ws_col)).filter(|columns| *columns > 0)
}

fn forced() -> bool {
    let forced = std::env::var_os("CLICOLOR_FORCE").is_some_and(|value| value != "0");
    forced && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
