//! The console: one glance says fine or not fine, one key shows only what is not fine, one more key explains it.
//!
//! Elm style. [`model::Model`] is all there is to see; [`update::update`] is the only place that writes it, and it is pure:
//! what shall happen outside comes back as [`message::Effect`]s. [`view::draw`] reads the model and changes nothing.
//! [`run::run`] is the loop around them, [`terminal`] the only module that touches the terminal.
//!
//! [`machine`] is the console of a harvester alone, with a model, an update and a view of its own.
//!
//! It draws what the snapshot says and nothing else: no clock, no list of plots, no decision of its own.

mod app;
mod copy;
mod export;
mod files;
mod hit;
mod hurried;
mod keymap;
mod last_look;
mod lateness;
mod machine;
mod message;
mod model;
mod order;
mod palette;
mod past;
mod privacy;
mod rows;
mod run;
mod save;
mod screen;
mod stream;
mod terminal;
mod theme;
mod times;
mod tone;
mod update;
mod view;
mod views;
mod widgets;

#[cfg(test)]
pub(crate) mod cost;
#[cfg(test)]
mod panics;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod screens;
#[cfg(test)]
mod svg;

pub(crate) use last_look::LastLook;
pub(crate) use message::Left;
pub(crate) use palette::Palette;
pub(crate) use run::{ConsoleOptions, require_terminal, run, run_harvester};
