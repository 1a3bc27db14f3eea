//! What may happen between any two requests while a plan is carried out, on an engine in memory. Everything that a
//! stranger can do, alone and in pairs, at every request of every scene, on every store; every kind of fault; a stop;
//! a build that begins. `laws` says what must hold afterwards.

mod faults;
mod hosts;
mod interleavings;
mod laws;
mod races;
mod run;
mod scenes;
mod spare;
mod stranger;
