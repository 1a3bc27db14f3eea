//! What dkb promises, one file a theme, tried on every engine of the lab.

mod absurd;
mod bake;
mod build_at_once;
mod build_cache;
mod build_constant;
mod build_engine_trouble;
mod build_foreign;
mod build_killed;
mod build_podman;
mod build_results;
mod build_state_trouble;
mod build_streams;
mod build_terminal;
mod build_tilt;
mod build_twice;
mod building;
mod cache_random;
mod clean_aimed;
mod clean_among_many;
mod clean_at_a_terminal;
mod clean_bytes;
mod clean_faults;
mod clean_host;
mod clean_ledger;
mod clean_races;
mod clean_random;
mod clean_takes_ours;
mod clean_together;
mod completed;
mod compose;
mod deploy;
mod deploy_proxy;
mod fake_engine;
mod far_away;
mod full_streams;
mod guard;
mod guard_containers;
mod guard_dead;
mod guard_engines;
mod guard_scene;
mod guard_watcher;
mod hostile_checkout;
mod hostile_engine;
mod hostile_neighbour;
mod hostile_plan;
mod lab_itself;
mod ledger_lock;
mod loans;
mod log;
mod names;
mod neighbours;
mod outside_text;
mod plan_files;
mod plugin;
mod readme;
#[path = "../schema/mod.rs"]
mod schema;
mod seat;
mod session_ends;
mod soak;
mod state_folder;
mod status_shows;
mod sweep_as_the_cleaner;
mod sweep_builders;
mod sweep_docs;
mod sweep_faults;
mod sweep_hosts;
mod sweep_lines;
mod sweep_model;
mod sweep_pressure;
mod sweep_random;
mod sweep_user;
mod sweep_values;
mod turns;

use std::process::ExitCode;

fn main() -> ExitCode {
    dkb_lab::set_dkb(env!("CARGO_BIN_EXE_dkb"));
    dkb_lab::promise::run([
        absurd::promises(),
        bake::promises(),
        build_at_once::promises(),
        build_cache::promises(),
        build_constant::promises(),
        build_engine_trouble::promises(),
        build_foreign::promises(),
        build_killed::promises(),
        build_podman::promises(),
        build_results::promises(),
        build_state_trouble::promises(),
        build_streams::promises(),
        build_terminal::promises(),
        build_tilt::promises(),
        build_twice::promises(),
        cache_random::promises(),
        clean_aimed::promises(),
        clean_among_many::promises(),
        clean_at_a_terminal::promises(),
        clean_bytes::promises(),
        clean_faults::promises(),
        clean_ledger::promises(),
        clean_races::promises(),
        clean_random::promises(),
        clean_takes_ours::promises(),
        clean_together::promises(),
        completed::promises(),
        compose::promises(),
        deploy::promises(),
        deploy_proxy::promises(),
        fake_engine::promises(),
        far_away::promises(),
        full_streams::promises(),
        guard::promises(),
        guard_containers::promises(),
        guard_dead::promises(),
        guard_engines::promises(),
        guard_watcher::promises(),
        hostile_engine::promises(),
        hostile_plan::promises(),
        lab_itself::promises(),
        ledger_lock::promises(),
        loans::promises(),
        log::promises(),
        neighbours::promises(),
        outside_text::promises(),
        plan_files::promises(),
        plugin::promises(),
        names::promises(),
        readme::promises(),
        seat::promises(),
        session_ends::promises(),
        state_folder::promises(),
        status_shows::promises(),
        sweep_as_the_cleaner::promises(),
        sweep_builders::promises(),
        sweep_docs::promises(),
        sweep_faults::promises(),
        sweep_hosts::promises(),
        sweep_lines::promises(),
        sweep_pressure::promises(),
        sweep_random::promises(),
        sweep_user::promises(),
        sweep_values::promises(),
        turns::promises(),
    ])
}
