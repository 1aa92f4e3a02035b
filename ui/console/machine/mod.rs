//! The console of a harvester alone: one screen that says fine or not fine, and what each drive does.
//!
//! Built as the console of a farm is: [`Model`] is all there is to see, [`update`] alone writes it, [`view`] only reads it.

mod keymap;
mod model;
mod panes;
mod popups;
#[cfg(test)]
mod samples;
#[cfg(test)]
pub(super) mod screens;
mod update;
mod view;

pub(super) use model::Model;

use std::sync::Arc;

use farmconsole::handle::RecentKind;
use farmconsole::snapshot::MachineSnapshot;
use ratatui::Frame;

use super::app::{App, Surroundings};
use super::hit::Hit;
use super::message::{Effect, Message};
use crate::feed::FarmerPlace;

impl App for Model {
    type Picture = MachineSnapshot;

    fn open(place: FarmerPlace, first: Arc<MachineSnapshot>, surroundings: Surroundings) -> Self {
        let mut model = Self::new(place, first, surroundings.theme, surroundings.zone, surroundings.size);
        model.commands = surroundings.commands;
        model
    }

    fn first_questions() -> Vec<Effect> {
        vec![Effect::Recent {
            kind: RecentKind::Logs,
            limit: 200,
        }]
    }

    fn place(&self) -> FarmerPlace {
        self.place
    }

    fn update(&mut self, message: Message<MachineSnapshot>) -> Vec<Effect> {
        update::update(self, message)
    }

    fn draw(&self, frame: &mut Frame<'_>) -> Vec<Hit> {
        view::draw(self, frame)
    }
}
