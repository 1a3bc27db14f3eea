//! Whether there is colour.

use std::io::{self, IsTerminal};

use crate::config::Color;

/// Whether what is written may be coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Style {
    pub(super) colored: bool,
}

impl Style {
    pub(crate) const PLAIN: Self = Self { colored: false };

    /// `NO_COLOR`, `CLICOLOR_FORCE` and `TERM=dumb` are asked where the settings leave it open.
    pub(crate) fn for_stdout(color: Color) -> Self {
        let colored = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => console::colors_enabled() && io::stdout().is_terminal() || forced(),
        };
        Self { colored }
    }
}

fn forced() -> bool {
    let forced = std::env::var_os("CLICOLOR_FORCE").is_some_and(|value| value != "0");
    forced && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
