//! Screen 3: every file of the fleet. The farmer pages, searches, sorts and groups; here is what is on screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::super::files::{LISTS_OF_FLEET, fleet_count};
use super::super::hit::Hit;
use super::super::model::Model;
use super::files;

/// Draws it.
pub(in super::super) fn draw(model: &Model, area: Rect, buffer: &mut Buffer) -> Vec<Hit> {
    let count = |list| fleet_count(model.shown(), list);
    files::draw(model, &model.plots, &LISTS_OF_FLEET, count, area, buffer)
}
