//! The record of each harvester message that passes: what matters of its content in a few characters, and all of it in
//! lines.

use std::borrow::Cow;
use std::fmt::{Display, Write as _};
use std::sync::Arc;

use super::harvesters::Slot;
use crate::clock::Now;
use crate::ids::Bytes32;
use crate::snapshot::{Direction, MessageRecord};
use crate::units::SIGNAGE_POINTS_PER_SUB_SLOT;
use crate::wire::{
    FromHarvester, G1Bytes, NewSignagePointHarvester, PlotSync, PlotSyncIdentifier, SignagePointFilter, ToHarvester,
};

/// A message in words.
#[derive(Clone, Debug)]
pub(super) struct Words {
    detail: String,
    content: Arc<str>,
}

/// A message from a harvester.
pub(super) fn incoming(now: Now, slot: &Slot, message: &FromHarvester) -> MessageRecord {
    let words = Words {
        detail: detail_from(message),
        content: content_from(message).into(),
    };
    record(now, Direction::In, slot, message.message_type().name(), words)
}

/// A message to a harvester.
pub(super) fn outgoing(now: Now, slot: &Slot, message: &ToHarvester, words: Words) -> MessageRecord {
    record(now, Direction::Out, slot, message.message_type().name(), words)
}

fn record(now: Now, direction: Direction, slot: &Slot, message: &'static str, words: Words) -> MessageRecord {
    MessageRecord {
        at_unix_ms: now.unix.0,
        direction,
        message: Cow::Borrowed(message),
        peer_name: Arc::clone(&slot.name),
        host: Arc::clone(&slot.host),
        peer_id: slot.peer.peer_id,
        detail: words.detail,
        content: words.content,
    }
}

fn detail_from(message: &FromHarvester) -> String {
    match message {
        FromHarvester::NewProofOfSpace(proof) => signage_point(proof.signage_point_index),
        FromHarvester::PartialProofs(partial) => signage_point(partial.signage_point_index),
        FromHarvester::RespondSignatures(response) => format!("{} signatures", response.message_signatures.len()),
        FromHarvester::FarmingInfo(info) => format!("{}/{}", info.passed, info.total_plots),
        FromHarvester::RespondPlots(list) => format!("{} plots", list.plots.len()),
        FromHarvester::PlotSync(sync) => match sync {
            PlotSync::Start(start) if start.plot_file_count == 1 => "1 file".to_owned(),
            PlotSync::Start(start) => format!("{} files", start.plot_file_count),
            PlotSync::Loaded(list) => list.data.len().to_string(),
            PlotSync::Removed(list)
            | PlotSync::Invalid(list)
            | PlotSync::KeysMissing(list)
            | PlotSync::Duplicates(list) => list.data.len().to_string(),
            PlotSync::Done(_) => String::new(),
        },
    }
}

fn signage_point(index: u8) -> String {
    format!("{index}/{SIGNAGE_POINTS_PER_SUB_SLOT}")
}

/// Lines `field: value`, of bounded length whatever a harvester sends. One is made for each message that passes, so it is
/// written in one go.
struct Content(String);

/// Characters of a text from outside that are kept, and items of a list.
const TEXT_KEPT: usize = 200;
const ITEMS_KEPT: usize = 8;

/// Room for a signage point, the message that is sent most.
const USUAL_LENGTH: usize = 512;

impl From<Content> for Arc<str> {
    fn from(content: Content) -> Self {
        content.0.into()
    }
}

impl Content {
    fn new() -> Self {
        Self(String::with_capacity(USUAL_LENGTH))
    }

    /// A value of ours, which is short.
    fn field(&mut self, name: &str, value: impl Display) {
        self.begin(name);
        // Neither a text nor what is shown here fails.
        let _ = write!(self.0, "{value}");
        self.0.push('\n');
    }

    /// The beginning of a text from outside. A line break within it would look like the next field.
    fn text(&mut self, name: &str, text: &str) {
        self.begin(name);
        let kept = text.chars().take(TEXT_KEPT);
        self.0
            .extend(kept.map(|c| if matches!(c, '\n' | '\r') { ' ' } else { c }));
        self.0.push('\n');
    }

    fn begin(&mut self, name: &str) {
        self.0.push_str(name);
        self.0.push_str(": ");
    }

    fn items(&mut self, name: &str, items: impl ExactSizeIterator<Item = impl AsRef<str>>) {
        let count = items.len();
        self.field(name, count);
        for item in items.take(ITEMS_KEPT) {
            self.text("", item.as_ref());
        }
        if count > ITEMS_KEPT {
            self.field("", format_args!("and {} more", count - ITEMS_KEPT));
        }
    }

    fn identifier(&mut self, identifier: &PlotSyncIdentifier) {
        self.field("sync_id", identifier.sync_id);
        self.field("message_id", identifier.message_id);
    }
}

fn content_from(message: &FromHarvester) -> Content {
    let mut it = Content::new();
    match message {
        FromHarvester::FarmingInfo(info) => {
            it.field("challenge_hash", info.challenge_hash);
            it.field("sp_hash", info.sp_hash);
            it.field("timestamp", info.timestamp);
            it.field("passed", info.passed);
            it.field("proofs", info.proofs);
            it.field("total_plots", info.total_plots);
            it.field("lookup_time", format_args!("{} us", info.lookup_time));
        }
        FromHarvester::NewProofOfSpace(proof) => {
            it.field("challenge_hash", proof.challenge_hash);
            it.field("sp_hash", proof.sp_hash);
            it.field("signage_point_index", proof.signage_point_index);
            it.text("plot_identifier", &proof.plot_identifier);
            it.field("proof.challenge", proof.proof.challenge);
            it.field("proof.plot_public_key", proof.proof.plot_public_key);
            if let Some(address) = &proof.farmer_reward_address_override {
                it.field("farmer_reward_address_override", address);
            }
            if let Some(fee) = &proof.fee_info {
                it.field("fee_info.applied_fee_threshold", fee.applied_fee_threshold);
            }
        }
        FromHarvester::PartialProofs(data) => {
            it.field("challenge_hash", data.challenge_hash);
            it.field("sp_hash", data.sp_hash);
            it.field("signage_point_index", data.signage_point_index);
            it.text("plot_identifier", &data.plot_identifier);
            it.field("plot_id", data.plot_id);
            it.field("plot_size", data.plot_size);
            it.field("strength", data.strength);
            it.field("partial_proofs", data.partial_proofs.len());
        }
        FromHarvester::RespondSignatures(response) => {
            it.field("challenge_hash", response.challenge_hash);
            it.field("sp_hash", response.sp_hash);
            it.text("plot_identifier", &response.plot_identifier);
            it.field("local_pk", response.local_pk);
            it.field("farmer_pk", response.farmer_pk);
            it.items(
                "message_signatures",
                response.message_signatures.iter().map(|(hash, _)| hash.to_string()),
            );
        }
        FromHarvester::RespondPlots(list) => {
            it.field("plots", list.plots.len());
            it.items("failed_to_open_filenames", list.failed_to_open_filenames.iter());
            it.items("no_key_filenames", list.no_key_filenames.iter());
        }
        FromHarvester::PlotSync(sync) => {
            it.identifier(sync.identifier());
            match sync {
                PlotSync::Start(start) => {
                    it.field("initial", start.initial);
                    it.field("last_sync_id", start.last_sync_id);
                    it.field("plot_file_count", start.plot_file_count);
                    it.field("harvesting_mode", start.harvesting_mode);
                }
                PlotSync::Loaded(list) => {
                    it.items("plots", list.data.iter().map(|plot| &plot.filename));
                    it.field("final", list.is_final);
                }
                PlotSync::Removed(list)
                | PlotSync::Invalid(list)
                | PlotSync::KeysMissing(list)
                | PlotSync::Duplicates(list) => {
                    it.items("files", list.data.iter());
                    it.field("final", list.is_final);
                }
                PlotSync::Done(done) => it.text("duration", &format!("{} s", done.duration)),
            }
        }
    }
    it
}

/// A message to a harvester.
pub(super) fn words_to(message: &ToHarvester) -> Words {
    let mut it = Content::new();
    let mut detail = String::new();
    match message {
        ToHarvester::NewSignagePoint(point) => return words_of_signage_point(point),
        ToHarvester::RequestSignatures(request) => {
            detail = format!("{} messages", request.messages.len());
            it.field("challenge_hash", request.challenge_hash);
            it.field("sp_hash", request.sp_hash);
            it.text("plot_identifier", &request.plot_identifier);
            it.items("messages", request.messages.iter().map(Bytes32::to_string));
        }
        ToHarvester::PlotSyncResponse(response) => {
            it.identifier(&response.identifier);
            it.field("message_type", response.message_type);
            if let Some(error) = &response.error {
                detail = format!("error {}", error.code);
                it.field("error.code", error.code);
                it.text("error.message", &error.message);
            }
        }
        ToHarvester::HarvesterHandshake(handshake) => {
            it.items(
                "farmer_public_keys",
                handshake.farmer_public_keys.iter().map(G1Bytes::to_string),
            );
            it.items(
                "pool_public_keys",
                handshake.pool_public_keys.iter().map(G1Bytes::to_string),
            );
        }
        ToHarvester::RequestPlots => {}
    }
    Words {
        detail,
        content: it.into(),
    }
}

/// The same of a signage point.
pub(super) fn words_of_signage_point(point: &NewSignagePointHarvester) -> Words {
    let mut it = Content::new();
    it.field("challenge_hash", point.challenge_hash);
    it.field("difficulty", point.difficulty);
    it.field("sub_slot_iters", point.sub_slot_iters);
    it.field("signage_point_index", point.signage_point_index);
    it.field("sp_hash", point.sp_hash);
    it.field("pool_difficulties", point.pool_difficulties.len());
    match &point.filter {
        SignagePointFilter::PrefixBits(bits) => it.field("filter_prefix_bits", bits),
        SignagePointFilter::Heights {
            peak_height,
            last_tx_height,
            filter_challenge,
        } => {
            it.field("peak_height", peak_height);
            it.field("last_tx_height", last_tx_height);
            if let Some(challenge) = filter_challenge {
                it.field("filter_challenge", challenge);
            }
        }
    }
    Words {
        detail: signage_point(point.signage_point_index),
        content: it.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::PlotSyncPathList;

    #[test]
    fn content_is_bounded_and_no_value_looks_like_a_field() {
        let path = format!("/mnt/a\nfinal: true{}", "x".repeat(100_000));
        let list = PlotSyncPathList {
            identifier: PlotSyncIdentifier {
                timestamp: 1,
                sync_id: 2,
                message_id: 3,
            },
            data: vec![path; 1_000],
            is_final: false,
        };
        let content = content_from(&FromHarvester::PlotSync(PlotSync::Invalid(list))).0;
        let lines: Vec<_> = content.lines().collect();
        assert_eq!(lines[..3], ["sync_id: 2", "message_id: 3", "files: 1000"]);
        assert_eq!(lines[lines.len() - 2..], [": and 992 more", "final: false"]);
        assert!(content.len() < 10_000, "{}", content.len());
    }
}
