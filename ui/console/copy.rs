//! What `y` puts on the clipboard: the one thing of the selected row that people paste elsewhere.

use farmconsole::handle::FeedEvent;

use super::files::Files;
use super::model::Model;
use super::screen::Screen;
use crate::format::safe;

/// Most bytes that are copied: terminals refuse long ones.
const LONGEST: usize = 8 * 1024;

/// The text and what it is, as a fragment; `None` where there is nothing to copy.
pub(super) fn selected(model: &Model) -> Option<(String, &'static str)> {
    let (text, what) = match model.screen {
        Screen::Farm | Screen::Harvesters if model.details.is_none() => {
            let rows = model.harvesters();
            let harvester = rows.iter().find(|h| Some(h.id) == model.selection.harvester)?;
            (harvester.peer_id.to_string(), "the harvester's node id")
        }
        Screen::Farm | Screen::Harvesters | Screen::Plots => {
            let list = model.file_list()?;
            let Files::Ready { page, .. } = &list.files else {
                return None;
            };
            let at = list.selected_here()?;
            match (page.items.get(at), page.directories.get(at)) {
                (Some(file), _) => (file.filename.clone(), "the path of the file"),
                (None, Some(drive)) => (drive.directory.clone(), "the path of the drive"),
                (None, None) => return None,
            }
        }
        Screen::Proofs => {
            let rows = model.proofs();
            let selected = rows.iter().find(|p| Some(p.number) == model.selection.proof);
            (selected.or_else(|| rows.first())?.plot_file.clone(), "the plot file")
        }
        Screen::Pools => {
            let rows = model.pools();
            let selected = rows.iter().find(|p| Some(p.launcher_id) == model.selection.pool);
            let pool = selected.or_else(|| rows.first())?;
            (pool.launcher_id.to_string(), "the launcher id of the plotNFT")
        }
        Screen::Messages => {
            let entry = match model.selection.entry {
                Some(number) => model.entries().find(|e| e.number == number),
                None => model.entries().next_back(),
            }?;
            let text = match &entry.event {
                FeedEvent::Message(record) => record.to_string(),
                FeedEvent::Log(record) => record.message.clone(),
                FeedEvent::Notice(_) => entry.text(),
            };
            (text, "the message")
        }
        Screen::Alarms => {
            let rows = model.alarms();
            let selected = rows.iter().find(|a| Some(a.number) == model.selection.alarm);
            let alarm = selected.or_else(|| rows.first())?;
            let remedy = model.commands.here(&alarm.remedy);
            (format!("{}: {remedy}", alarm.text), "the alarm")
        }
    };
    let mut text = safe(&text);
    if text.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|end| text.is_char_boundary(*end))?;
        text.truncate(end);
    }
    Some((text, what))
}
