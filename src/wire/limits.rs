//! How long a message may be, and how many of a kind fit into a minute.
//!
//! Two different questions. What we *accept* ([`max_received`]) bounds memory. What we may *send* ([`reference_limit`])
//! is what official peers enforce: one message too long or too many and they close the connection and refuse our
//! address for five minutes.

use super::message_type::MessageType;

/// Longest frame a peer may send unasked. A plot sync batch of 300 plots with paths of 4,096 bytes has 1.3 MB.
pub const MAX_FRAME: usize = 4 << 20;

/// Longest frame that is a plot list we asked for: 100,000 plots in one message take about 25 MB. The number is the
/// frame cap of official software, which cannot send more either.
pub const MAX_PLOT_LIST_FRAME: usize = 50 << 20;

/// Longest envelope around a payload: number, id, length.
pub(super) const MAX_ENVELOPE: usize = 1 + 3 + 4;

/// Longest payload accepted of this message number. [`MAX_FRAME`] holds besides, except for a plot list we asked for.
///
/// Equal to the reference's number where a peer is not known yet (handshakes). Messages that carry a plot's path may be
/// longer than [`reference_limit`] says: official software does not enforce its numbers on localhost, and the path
/// alone may have 4,096 bytes.
#[must_use]
pub const fn max_received(kind: u8) -> usize {
    let Some(kind) = MessageType::from_u8(kind) else {
        return MAX_SMALL;
    };
    match kind {
        MessageType::Handshake => 10_240,
        MessageType::ConfigureWindowSizes => 1024,
        MessageType::HarvesterHandshake => 1 << 20,
        MessageType::PlotSyncLoaded
        | MessageType::PlotSyncLoaded2
        | MessageType::PlotSyncRemoved
        | MessageType::PlotSyncInvalid
        | MessageType::PlotSyncKeysMissing
        | MessageType::PlotSyncDuplicates => MAX_FRAME - MAX_ENVELOPE,
        MessageType::RespondPlots | MessageType::RespondPlots2 => MAX_PLOT_LIST_FRAME - MAX_ENVELOPE,
        _ => MAX_SMALL,
    }
}

/// What an official peer allows on one connection, per slot of 60 seconds of its own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReferenceLimit {
    /// Messages of this kind. Official software sends at most 30 % of it.
    pub count: u32,
    /// Bytes of payload of one message.
    pub max_bytes: usize,
    /// Bytes of payload of all messages of this kind together.
    pub max_total_bytes: u64,
    /// Whether the message also counts towards [`REFERENCE_AGGREGATE`].
    pub aggregated: bool,
}

/// Messages and bytes of all aggregated kinds together that an official peer allows in 60 seconds.
pub const REFERENCE_AGGREGATE: (u32, u64) = (1000, 100 << 20);

/// The limit an official peer has for this kind, `None` for kinds it has none for. Source: transport reference of
/// release 2.7.5, where versions 1 and 2 of the limits agree for these messages.
#[must_use]
pub const fn reference_limit(kind: MessageType) -> Option<ReferenceLimit> {
    let (aggregated, count, max_bytes) = match kind {
        MessageType::Handshake => (true, 5, 10_240),
        MessageType::ConfigureWindowSizes => {
            return Some(ReferenceLimit {
                count: 5,
                max_bytes: 1024,
                max_total_bytes: 1024,
                aggregated: true,
            });
        }
        MessageType::HarvesterHandshake => (true, 5, 1 << 20),
        MessageType::NewSignagePointHarvester => (true, 100, 4886),
        MessageType::NewProofOfSpace | MessageType::RequestSignatures | MessageType::RespondSignatures => {
            (true, 100, 2048)
        }
        MessageType::FarmingInfo | MessageType::SignedValues => (true, 100, 1024),
        MessageType::NewSignagePoint => (true, 200, 2048),
        MessageType::DeclareProofOfSpace | MessageType::RequestSignedValues => (true, 100, 10_240),
        MessageType::RequestPlots => (true, 10, 10 << 20),
        MessageType::RespondPlots | MessageType::RespondPlots2 => (true, 10, 100 << 20),
        MessageType::PlotSyncStart
        | MessageType::PlotSyncLoaded
        | MessageType::PlotSyncLoaded2
        | MessageType::PlotSyncRemoved
        | MessageType::PlotSyncInvalid
        | MessageType::PlotSyncKeysMissing
        | MessageType::PlotSyncDuplicates
        | MessageType::PlotSyncDone => (true, 1000, 100 << 20),
        MessageType::PlotSyncResponse => (true, 3000, 100 << 20),
        MessageType::PartialProofs => (false, 120, 3072),
        MessageType::Solve | MessageType::SolutionResponse => (false, 120, 1024),
        MessageType::Error => (false, 50_000, 100),
        MessageType::NoneResponse => return None,
    };
    let max_total_bytes = count as u64 * max_bytes as u64;
    Some(ReferenceLimit {
        count,
        max_bytes,
        max_total_bytes,
        aggregated,
    })
}

/// Most entries of `pool_difficulties` in a signage point that fits the official limit in every layout.
pub const MAX_POOL_DIFFICULTIES: usize = 99;

/// Every message without lists that grow with the farm.
const MAX_SMALL: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_an_official_remote_peer_may_send_is_too_long_for_us() {
        for &kind in MessageType::ALL {
            let limit = max_received(kind.as_u8());
            assert!(limit + MAX_ENVELOPE <= MAX_PLOT_LIST_FRAME, "{kind}");
            let Some(reference) = reference_limit(kind) else {
                continue;
            };
            // Those of 10 and 100 MiB are no real bounds: nobody can send more than the frame cap, a request has no
            // payload at all, and a sync batch of the largest size is counted in MAX_FRAME.
            assert!(
                limit >= reference.max_bytes || reference.max_bytes >= 10 << 20,
                "{kind}"
            );
        }
    }
}
