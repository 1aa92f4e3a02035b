//! The record of each harvester message that passes, with what matters of its content in a few characters.

use super::harvesters::Slot;
use crate::clock::Now;
use crate::snapshot::{Direction, MessageRecord};
use crate::units::SIGNAGE_POINTS_PER_SUB_SLOT;
use crate::wire::{FromHarvester, PlotSync, ToHarvester};

/// A message from a harvester.
pub(super) fn incoming(now: Now, slot: &Slot, message: &FromHarvester) -> MessageRecord {
    let detail = match message {
        FromHarvester::NewProofOfSpace(proof) => signage_point(proof.signage_point_index),
        FromHarvester::PartialProofs(partial) => signage_point(partial.signage_point_index),
        FromHarvester::RespondSignatures(response) => format!("{} signatures", response.message_signatures.len()),
        FromHarvester::FarmingInfo(info) => format!("{}/{}", info.passed, info.total_plots),
        FromHarvester::RespondPlots(list) => format!("{} plots", list.plots.len()),
        FromHarvester::PlotSync(sync) => match sync {
            PlotSync::Start(start) => format!("{} files", start.plot_file_count),
            PlotSync::Loaded(list) => list.data.len().to_string(),
            PlotSync::Removed(list)
            | PlotSync::Invalid(list)
            | PlotSync::KeysMissing(list)
            | PlotSync::Duplicates(list) => list.data.len().to_string(),
            PlotSync::Done(_) => String::new(),
        },
    };
    record(now, Direction::In, slot, message.message_type().name(), detail)
}

/// A message to a harvester.
pub(super) fn outgoing(now: Now, slot: &Slot, message: &ToHarvester) -> MessageRecord {
    let detail = match message {
        ToHarvester::NewSignagePoint(point) => signage_point(point.signage_point_index),
        ToHarvester::RequestSignatures(request) => format!("{} messages", request.messages.len()),
        ToHarvester::PlotSyncResponse(response) => response
            .error
            .as_ref()
            .map(|error| format!("error {}", error.code))
            .unwrap_or_default(),
        ToHarvester::HarvesterHandshake(_) | ToHarvester::RequestPlots => String::new(),
    };
    record(now, Direction::Out, slot, message.message_type().name(), detail)
}

fn record(now: Now, direction: Direction, slot: &Slot, message: &str, detail: String) -> MessageRecord {
    MessageRecord {
        at_unix_ms: now.unix.0,
        direction,
        message: message.to_owned(),
        peer_name: slot.name.clone(),
        host: slot.host(),
        peer_id: slot.peer.peer_id,
        detail,
    }
}

fn signage_point(index: u8) -> String {
    format!("{index}/{SIGNAGE_POINTS_PER_SUB_SLOT}")
}
