//! What both sides say first, and what follows from it: roles, versions, message layouts.

use std::fmt;
use std::str::FromStr;

use super::codec::streamable;
use super::message_type::MessageType;

streamable! {
    /// First message of both sides (1), without id. The dialer speaks first.
    pub struct Handshake {
        /// Name of the network, as "mainnet"; two peers with different names do not talk.
        pub network_id: String,
        /// Protocol version of the harvester's or farmer's messages, as "0.0.38"; see [`Handshake::version`].
        pub protocol_version: String,
        /// Release of the software, for people. Foreign text: at most [`Handshake::MAX_SOFTWARE_VERSION`] bytes are
        /// accepted, and control characters must not reach a screen or a log.
        pub software_version: String,
        /// Port the peer listens on, 0 for a harvester.
        pub server_port: u16,
        /// Role of the sender; see [`Handshake::role`].
        pub node_type: u8,
        /// Capability number and value; "1" is on. See [`Capability`].
        pub capabilities: Vec<(u16, String)>,
    }

    /// Windows of rate limits v3 (111): sent only if both sides offered [`Capability::RateLimitsV3`].
    pub struct ConfigureWindowSizes {
        /// Message number and how many of it may be under way; 0 is unlimited.
        pub settings: Vec<(u8, u16)>,
    }

    /// A request could not be served (255). Answers a request, by its id.
    pub struct ErrorMessage {
        /// Chia's error number.
        pub code: i16,
        /// The error in words.
        pub message: String,
        /// More about it, if the peer has more.
        pub data: Option<Vec<u8>>,
    }
}

impl Handshake {
    /// Most bytes of `software_version` that official software accepts.
    pub const MAX_SOFTWARE_VERSION: usize = 128;

    /// The protocol version as numbers.
    ///
    /// # Errors
    /// When it is no version; official software closes the connection then.
    pub fn version(&self) -> Result<ProtocolVersion, InvalidVersion> {
        self.protocol_version.parse()
    }

    /// The sender's role, `None` for a number no release has.
    #[must_use]
    pub const fn role(&self) -> Option<NodeType> {
        NodeType::from_u8(self.node_type)
    }

    /// Whether the sender has this capability on.
    #[must_use]
    pub fn has(&self, capability: Capability) -> bool {
        self.capabilities
            .iter()
            .any(|(number, value)| *number == capability as u16 && value == "1")
    }
}

/// Role of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum NodeType {
    /// Full node: follows the chain and makes blocks from our proofs.
    FullNode = 1,
    /// Harvester: has the plots.
    Harvester = 2,
    /// Farmer: has the keys.
    Farmer = 3,
    /// Timelord: computes the VDFs.
    Timelord = 4,
    /// Introducer: hands out addresses of nodes.
    Introducer = 5,
    /// Wallet.
    Wallet = 6,
    /// Data layer.
    DataLayer = 7,
    /// Solver: completes v2 partial proofs.
    Solver = 8,
}

impl NodeType {
    /// The role with this number.
    #[must_use]
    pub const fn from_u8(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::FullNode,
            2 => Self::Harvester,
            3 => Self::Farmer,
            4 => Self::Timelord,
            5 => Self::Introducer,
            6 => Self::Wallet,
            7 => Self::DataLayer,
            8 => Self::Solver,
            _ => return None,
        })
    }

    /// The number on the wire.
    #[must_use]
    pub const fn as_u8(self) -> u8 {
        self as u8
    }
}

/// What a peer can do besides the basics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum Capability {
    /// Everybody has it.
    Base = 1,
    /// Block headers for wallets.
    BlockHeaders = 2,
    /// Second table of rate limits; the same numbers for the messages here.
    RateLimitsV2 = 3,
    /// Answers "none" explicitly; retired.
    NoneResponse = 4,
    /// Mempool updates for wallets.
    MempoolUpdates = 5,
    /// Ready for the second hard fork.
    HardFork2 = 6,
    /// Windows instead of rates. Not offered by us: none of the farmer's messages is in its table, and whoever has it
    /// must exchange [`ConfigureWindowSizes`].
    RateLimitsV3 = 7,
}

/// Version of the protocol of one link: it alone decides message layouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProtocolVersion(pub u16, pub u16, pub u16);

impl ProtocolVersion {
    /// What release 2.7.5 says as a harvester, and as a farmer to harvesters.
    pub const CURRENT: Self = Self(0, 0, 38);
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl FromStr for ProtocolVersion {
    type Err = InvalidVersion;

    /// Reads the release numbers of a PEP 440 version: missing ones are 0, a fourth and all that follows the numbers
    /// (`rc1`, `.dev2`, `+local`) makes no difference. Numbers above 65535 count as 65535.
    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let release = text.trim();
        let release = release.strip_prefix(['v', 'V']).unwrap_or(release);
        let mut numbers = [0; 3];
        let mut rest = release;
        for (position, number) in numbers.iter_mut().enumerate() {
            let after = if position == 0 {
                Some(rest)
            } else {
                rest.strip_prefix('.')
            };
            let Some(after) = after else { break };
            let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            if digits == 0 {
                if position == 0 {
                    return Err(InvalidVersion);
                }
                break;
            }
            *number = after[..digits].parse().unwrap_or(u16::MAX);
            rest = &after[digits..];
        }
        // An epoch ("1!2.0") would make all other numbers meaningless.
        let is_suffix = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
        if rest.chars().all(is_suffix) {
            Ok(Self(numbers[0], numbers[1], numbers[2]))
        } else {
            Err(InvalidVersion)
        }
    }
}

/// A text that is no version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a version number")]
pub struct InvalidVersion;

/// Layout of the messages between a farmer and one harvester. Chosen by the *other* side's protocol version.
///
/// The official farmer sends no signage points at all to 0.0.37 (releases 2.5.5 to 2.7.3); we do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HarvesterLayout {
    /// Up to 0.0.36: signage points carry the prefix bits of the plot filter; first form of plot lists.
    V36,
    /// 0.0.37: signage points carry heights but no filter challenge; first form of plot lists.
    V37,
    /// From 0.0.38: heights and filter challenge; second form of plot lists.
    V38,
}

impl HarvesterLayout {
    /// The layout a peer of this version reads.
    #[must_use]
    pub fn for_version(version: &ProtocolVersion) -> Self {
        if *version <= ProtocolVersion(0, 0, 36) {
            Self::V36
        } else if *version < ProtocolVersion(0, 0, 38) {
            Self::V37
        } else {
            Self::V38
        }
    }

    /// The number a message of the newest layout has in this one: two lists of plots have an older form.
    #[must_use]
    pub const fn number(self, newest: MessageType) -> MessageType {
        match (self, newest) {
            (Self::V36 | Self::V37, MessageType::PlotSyncLoaded2) => MessageType::PlotSyncLoaded,
            (Self::V36 | Self::V37, MessageType::RespondPlots2) => MessageType::RespondPlots,
            _ => newest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_ordered_as_numbers() {
        let read = |text: &str| text.parse::<ProtocolVersion>();
        assert_eq!(read("0.0.38"), Ok(ProtocolVersion(0, 0, 38)));
        assert_eq!(read(" v1.2 "), Ok(ProtocolVersion(1, 2, 0)));
        assert_eq!(read("9.9.9"), Ok(ProtocolVersion(9, 9, 9)));
        assert_eq!(read("0.0.38rc1"), Ok(ProtocolVersion(0, 0, 38)));
        assert_eq!(read("0.0.38.1.dev2+local-3"), Ok(ProtocolVersion(0, 0, 38)));
        assert_eq!(read("0.0.99999"), Ok(ProtocolVersion(0, 0, u16::MAX)));
        assert!(ProtocolVersion(0, 0, 9) < ProtocolVersion(0, 0, 38));
        for bad in ["", "abc", ".1", "1!2.0", "0.0.38 x", "0.0.３", "-1"] {
            assert_eq!(read(bad), Err(InvalidVersion), "{bad}");
        }
    }

    #[test]
    fn layout_follows_the_version() {
        let layout = |patch| HarvesterLayout::for_version(&ProtocolVersion(0, 0, patch));
        assert_eq!([layout(33), layout(36)], [HarvesterLayout::V36; 2]);
        assert_eq!(layout(37), HarvesterLayout::V37);
        assert_eq!([layout(38), layout(39)], [HarvesterLayout::V38; 2]);
        assert_eq!(
            HarvesterLayout::for_version(&ProtocolVersion(9, 9, 9)),
            HarvesterLayout::V38
        );
    }

    #[test]
    fn capability_is_on_only_with_value_one() {
        let hello = |value: &str| Handshake {
            network_id: "mainnet".to_owned(),
            protocol_version: "0.0.38".to_owned(),
            software_version: "2.7.5".to_owned(),
            server_port: 0,
            node_type: 2,
            capabilities: vec![(9, "1".to_owned()), (7, value.to_owned())],
        };
        assert!(hello("1").has(Capability::RateLimitsV3));
        assert!(!hello("0").has(Capability::RateLimitsV3));
        assert!(!hello("1").has(Capability::Base));
        assert_eq!(hello("1").role(), Some(NodeType::Harvester));
    }

    #[test]
    fn roles_and_numbers_agree() {
        for number in 0..=u8::MAX {
            assert_eq!(
                NodeType::from_u8(number).map(NodeType::as_u8),
                (1..=8).contains(&number).then_some(number)
            );
        }
    }
}
