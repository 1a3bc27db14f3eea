//! The flags that set keys. Clap is told how they look, and no more: what was typed is read off the table of keys, so
//! that no field holds it a second time.

use std::marker::PhantomData;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};

use crate::config::{Color, Format};

/// Flags that stand together in a verb's help.
pub(super) trait Together {
    fn flags() -> Vec<Arg>;
}

#[derive(Clone, Debug)]
pub(super) struct KeyFlags<T>(PhantomData<T>);

impl<T: Together> Args for KeyFlags<T> {
    fn augment_args(command: Command) -> Command {
        command.args(T::flags())
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<T> FromArgMatches for KeyFlags<T> {
    fn from_arg_matches(_: &ArgMatches) -> Result<Self, Error> {
        Ok(Self(PhantomData))
    }

    fn update_from_arg_matches(&mut self, _: &ArgMatches) -> Result<(), Error> {
        Ok(())
    }
}

/// Declares flags that stand together.
macro_rules! together {
    ($($name:ident: $flags:expr),* $(,)?) => {$(
        #[derive(Clone, Debug)]
        pub(super) struct $name;
        impl Together for $name {
            fn flags() -> Vec<Arg> {
                $flags.into()
            }
        }
    )*};
}

together! {
    Project: [value("project", "project", "NAME", "Name the project; otherwise the repository's name").global(true)],
    Printing: [
        value("format", "format", "FORMAT", "Print results for people or for programs")
            .value_parser(Format::NAMES.to_vec())
            .global(true),
        value("color", "color", "WHEN", "Use colour").value_parser(Color::NAMES.to_vec()).global(true),
    ],
    RunSession: [value("session", "session", "ID", "Name the session that this run belongs to; before the verb")],
    GuardSession: [value("session", "session", "ID", "Use this session; otherwise a fresh one")],
    Trust: [
        switch("trust_stamp", "trust-stamp", "Take the stamp for a proof where the ledger knows nothing of an image")
            .conflicts_with("all")
            .help_heading("What goes"),
        value("stale_after", "stale-after", "DUR", "Let a CI session that nobody keeps open be over this long after its last build, 10 minutes at the least")
            .help_heading("What stays"),
    ],
    Retention: retention("Keep what is younger"),
    SweptRetention: retention("Keep what is younger [default: 24h]"),
    Unasked: [switch(
        "yes",
        "yes",
        "Do not ask. A terminal asks before what has a name goes, and before a sweep; a script needs this for a sweep, \
         and for names of other projects",
    )
    .short('y')
    .help_heading("How")],
    Patience: [value("wait", "wait", "DUR", "Wait so long for an engine that is not there yet").help_heading("How")],
    Swept: [
        switch("all_images", "all-images", "Sweep all unused images, not only untagged ones"),
        switch("volumes", "volumes", "Sweep unused volumes, named ones too").conflicts_with("only"),
        list(
            "filter",
            "filter",
            "FILTER",
            "Sweep only what this lets through: label=K, label=K=V, label!=K, label!=K=V; may be repeated [default: label!=keep=true]",
        ),
    ].map(|flag| flag.help_heading("What goes")),
    SweptCache: [
        value("cache_keep", "cache-keep", "SIZE", "Keep this much build cache"),
        value("cache_until", "cache-until", "DUR", "Keep build cache that was used since [default: as --older-than]"),
    ].map(|flag| flag.help_heading("What stays")),
    DiskPressure: [
        value("when_disk_above", "when-disk-above", "MARK", "Do nothing unless the engine's disk is fuller: 85%, 200GB"),
        value("down_to", "down-to", "MARK", "Then sweep the least valuable first, down to here and no further"),
    ].map(|flag| flag.help_heading("Disk pressure")),
}

fn retention(older_than: &'static str) -> [Arg; 3] {
    [
        list("keep", "keep", "PATTERN", "Keep what matches; may be repeated"),
        value("keep_last", "keep-last", "N", "Keep the newest N of every repository"),
        value("older_than", "older-than", "DUR", older_than).visible_alias("until"),
    ]
    .map(|flag| flag.help_heading("What stays"))
}

fn value(id: &'static str, long: &'static str, name: &'static str, help: &'static str) -> Arg {
    Arg::new(id).long(long).value_name(name).help(help)
}

fn list(id: &'static str, long: &'static str, name: &'static str, help: &'static str) -> Arg {
    value(id, long, name, help).action(ArgAction::Append)
}

fn switch(id: &'static str, long: &'static str, help: &'static str) -> Arg {
    Arg::new(id).long(long).help(help).action(ArgAction::SetTrue)
}
