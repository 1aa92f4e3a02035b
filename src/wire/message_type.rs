//! The numbers of messages and their names.

use std::fmt;

macro_rules! message_types {
    ($($(#[$doc:meta])* $variant:ident = $number:literal $name:literal,)*) => {
        /// Numbers of the messages on the farmer's links. Never send a number a peer does not know: official software
        /// closes the connection for it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum MessageType {
            $($(#[$doc])* $variant = $number,)*
        }

        impl MessageType {
            /// Every number of this list, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The kind with this number, `None` if it is none of ours.
            #[must_use]
            pub const fn from_u8(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// Name as official log lines have it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

message_types! {
    /// First message of both sides.
    Handshake = 1 "handshake",
    /// Farmer to harvester: the keys whose plots are farmed.
    HarvesterHandshake = 3 "harvester_handshake",
    /// Harvester to farmer: a v1 proof that is good enough for a block or a partial.
    NewProofOfSpace = 5 "new_proof_of_space",
    /// Farmer to harvester: sign these for that plot.
    RequestSignatures = 6 "request_signatures",
    /// Harvester to farmer: its share of the signatures.
    RespondSignatures = 7 "respond_signatures",
    /// Node to farmer: a signage point.
    NewSignagePoint = 8 "new_signage_point",
    /// Farmer to node: a proof good enough for a block.
    DeclareProofOfSpace = 9 "declare_proof_of_space",
    /// Node to farmer: sign the foliage of the block made from the proof.
    RequestSignedValues = 10 "request_signed_values",
    /// Farmer to node: the foliage signatures.
    SignedValues = 11 "signed_values",
    /// Harvester to farmer: result of one look-up.
    FarmingInfo = 12 "farming_info",
    /// Farmer to harvester: a signage point, in one of three layouts.
    NewSignagePointHarvester = 66 "new_signage_point_harvester",
    /// Farmer to harvester: list your plots.
    RequestPlots = 67 "request_plots",
    /// Harvester to farmer: its plots, layout of protocol versions up to 0.0.37.
    RespondPlots = 68 "respond_plots",
    /// Harvester to farmer: a plot sync begins.
    PlotSyncStart = 78 "plot_sync_start",
    /// Harvester to farmer: plots it has, layout of protocol versions up to 0.0.37.
    PlotSyncLoaded = 79 "plot_sync_loaded",
    /// Harvester to farmer: paths of plots that are gone.
    PlotSyncRemoved = 80 "plot_sync_removed",
    /// Harvester to farmer: paths of files that are no plots it can use.
    PlotSyncInvalid = 81 "plot_sync_invalid",
    /// Harvester to farmer: paths of plots for which it has no keys.
    PlotSyncKeysMissing = 82 "plot_sync_keys_missing",
    /// Harvester to farmer: paths of plots it has under another path already.
    PlotSyncDuplicates = 83 "plot_sync_duplicates",
    /// Harvester to farmer: the plot sync is complete.
    PlotSyncDone = 84 "plot_sync_done",
    /// Farmer to harvester: answer to each message of a plot sync.
    PlotSyncResponse = 85 "plot_sync_response",
    /// Assigned, but sent by no release.
    NoneResponse = 91 "none_response",
    /// Solver to farmer: full v2 proof.
    SolutionResponse = 108 "solution_response",
    /// Farmer to solver: v2 partial proof to be completed.
    Solve = 109 "solve",
    /// Harvester to farmer: v2 partial proofs.
    PartialProofs = 110 "partial_proofs",
    /// Both sides, only if both offered rate limits v3.
    ConfigureWindowSizes = 111 "configure_window_sizes",
    /// Harvester to farmer: plots it has, layout of protocol versions from 0.0.38.
    PlotSyncLoaded2 = 112 "plot_sync_loaded2",
    /// Harvester to farmer: its plots, layout of protocol versions from 0.0.38.
    RespondPlots2 = 113 "respond_plots2",
    /// Either side: a request could not be served.
    Error = 255 "error",
}

impl MessageType {
    /// The number on the wire.
    #[must_use]
    pub const fn as_u8(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_kinds_agree() {
        for number in 0..=u8::MAX {
            match MessageType::from_u8(number) {
                Some(kind) => assert_eq!(kind.as_u8(), number),
                None => assert!(MessageType::ALL.iter().all(|kind| kind.as_u8() != number)),
            }
        }
    }
}
