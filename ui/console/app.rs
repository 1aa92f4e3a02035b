//! What the loop runs: a console, whatever it shows.

use std::sync::Arc;

use ratatui::Frame;

use super::hit::Hit;
use super::message::{Effect, Message};
use super::theme::Theme;
use super::times::Zone;
use crate::commands::Commands;
use crate::feed::{FarmerPlace, Picture};

/// What a console opens in.
pub(super) struct Surroundings {
    pub(super) theme: Theme,
    pub(super) zone: Zone,
    /// Columns and rows.
    pub(super) size: (u16, u16),
    /// How commands are typed for the root of what is shown.
    pub(super) commands: Commands,
}

/// What the loop runs: a model, its update and its view. Both are pure.
pub(super) trait App: Sized {
    /// What it is a model of.
    type Picture: Picture;

    /// A console that has just opened.
    fn open(place: FarmerPlace, first: Arc<Self::Picture>, surroundings: Surroundings) -> Self;

    /// What it asks for when it opens.
    fn first_questions() -> Vec<Effect>;

    /// Where what it shows runs.
    fn place(&self) -> FarmerPlace;

    /// Takes one message in.
    fn update(&mut self, message: Message<Self::Picture>) -> Vec<Effect>;

    /// Draws all of it, and says where what can be clicked stands.
    fn draw(&self, frame: &mut Frame<'_>) -> Vec<Hit>;
}
