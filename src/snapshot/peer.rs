//! Who connects, and why a connection was refused or ended. Values, not strings: log, alarms and screens show their
//! `Display`, counters use [`RefusalCause::word`].

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::alarm::span;
use crate::ids::PeerId;

/// A harvester as the farmer remembers it while it runs; stable across reconnections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HarvesterId(pub u32);

impl fmt::Display for HarvesterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A harvester whose TLS and protocol handshakes are done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectedPeer {
    /// SHA-256 of its certificate.
    pub peer_id: PeerId,
    /// Where it comes from; `127.0.0.1:0` for the embedded harvester.
    pub address: SocketAddr,
    /// As it calls itself, control characters removed, at most 128 bytes.
    pub software_version: String,
    /// Protocol version as it said it, `0.0.38`.
    pub protocol_version: String,
}

/// Why a connection never became a harvester.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "cause")]
pub enum RefusalCause {
    /// Too many connections of this address have not authenticated yet.
    TooManyFromAddress,
    /// Too many connections in all have not authenticated yet.
    TooMany,
    /// No TLS handshake within its deadline.
    TlsTimeout,
    /// TLS done, but no protocol handshake within its deadline.
    HandshakeTimeout,
    /// More bytes than anybody needs before authenticating.
    TooManyBytes,
    /// The first bytes were plain HTTP.
    PlainHttp,
    /// The first bytes were no TLS.
    NotTls,
    /// Offers no TLS 1.3.
    OldTls,
    /// Sent no certificate.
    NoCertificate,
    /// Its certificate is not signed by this farm's private CA.
    ForeignCa,
    /// Its certificate is outside its validity.
    CertificateExpired,
    /// It refused our certificate: it trusts another CA.
    PeerRefusedUs {
        /// TLS alert it sent.
        alert: String,
    },
    /// Some other TLS failure.
    Tls {
        /// What the TLS library says.
        detail: String,
    },
    /// Closed or lost before the handshake was done.
    ClosedEarly,
    /// No websocket upgrade on `/ws`.
    NotWebSocket {
        /// What came.
        detail: String,
    },
    /// It farms another network.
    WrongNetwork {
        /// Its network id, made safe to show.
        got: String,
        /// Ours.
        expected: String,
    },
    /// It says that it is no harvester.
    WrongNodeType {
        /// Its node type number.
        got: u8,
    },
    /// Its handshake cannot be read.
    BadHandshake {
        /// What is wrong.
        detail: String,
    },
    /// It reconnects too often.
    RateLimited,
    /// Accepting failed on our side (file descriptors, memory).
    OurFault {
        /// Operating system's words.
        detail: String,
    },
    /// Its certificate is signed by a CA that we know, but that is not one for harvesters of this farm.
    OtherCa {
        /// Which, as a fragment.
        which: String,
    },
    /// Its certificate is outside its dates by our clock.
    OutOfDate {
        /// Valid from, unix seconds.
        from_unix_s: u64,
        /// Valid until, unix seconds.
        until_unix_s: u64,
        /// What our clock says, unix seconds.
        now_unix_s: u64,
    },
    /// Its harvester was revoked.
    Revoked,
    /// A person has to let it in first (`legacy_ca: approve`).
    Pending,
    /// Its certificate is good, but not in this farm's registry.
    NotListed,
    /// It has a certificate of Chia's private CA, which counts no more (`legacy_ca: off`).
    LegacyOff,
    /// Its certificate is that of another service of the farmer's own root.
    OtherService {
        /// Which, as `wallet`.
        service: String,
    },
    /// It wanted to join and may not.
    JoinRefused {
        /// Why, as a fragment.
        reason: String,
    },
    /// It wanted to join and is set to another network. Its invitation is still good.
    JoinOtherNetwork {
        /// Its network, made safe to show.
        got: String,
        /// Ours.
        expected: String,
    },
}

impl RefusalCause {
    /// A short word for counters and filters.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::TooManyFromAddress => "too_many_from_address",
            Self::TooMany => "too_many",
            Self::TlsTimeout => "tls_timeout",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::TooManyBytes => "too_many_bytes",
            Self::PlainHttp => "plain_http",
            Self::NotTls => "not_tls",
            Self::OldTls => "old_tls",
            Self::NoCertificate => "no_certificate",
            Self::ForeignCa => "foreign_ca",
            Self::CertificateExpired => "certificate_expired",
            Self::PeerRefusedUs { .. } => "peer_refused_us",
            Self::Tls { .. } => "tls",
            Self::ClosedEarly => "closed_early",
            Self::NotWebSocket { .. } => "not_websocket",
            Self::WrongNetwork { .. } => "wrong_network",
            Self::WrongNodeType { .. } => "wrong_node_type",
            Self::BadHandshake { .. } => "bad_handshake",
            Self::RateLimited => "rate_limited",
            Self::OurFault { .. } => "our_fault",
            Self::OtherCa { .. } => "other_ca",
            Self::OutOfDate { .. } => "out_of_date",
            Self::Revoked => "revoked",
            Self::Pending => "pending",
            Self::NotListed => "not_listed",
            Self::LegacyOff => "legacy_off",
            Self::OtherService { .. } => "other_service",
            Self::JoinRefused { .. } => "join_refused",
            Self::JoinOtherNetwork { .. } => "join_other_network",
        }
    }

    /// Whether this looks like a harvester of ours that is set up wrongly, so that a person should hear of it, and not
    /// like noise from a port scanner.
    #[must_use]
    pub const fn needs_a_person(&self) -> bool {
        matches!(
            self,
            Self::ForeignCa
                | Self::PeerRefusedUs { .. }
                | Self::CertificateExpired
                | Self::OldTls
                | Self::WrongNetwork { .. }
                | Self::WrongNodeType { .. }
                | Self::BadHandshake { .. }
                | Self::OurFault { .. }
                | Self::OtherCa { .. }
                | Self::OutOfDate { .. }
                | Self::Revoked
                | Self::Pending
                | Self::NotListed
                | Self::LegacyOff
                | Self::OtherService { .. }
        )
    }

    /// What a person can do about it, where it comes from this address.
    #[must_use]
    pub fn remedy(&self, address: IpAddr) -> String {
        match self {
            Self::Pending => format!("if it is yours, let it in: `farmconsole harvester approve {address}`"),
            Self::PeerRefusedUs { alert } if alert == OUT_OF_DATE => {
                "set the clock of that machine: `timedatectl` there says whether it is synchronised".to_owned()
            }
            _ => self.advice().to_owned(),
        }
    }

    const fn advice(&self) -> &'static str {
        match self {
            Self::PeerRefusedUs { .. } => {
                "invite it: `farmconsole harvester invite NAME` here, and there the command that this prints; if it \
                 belongs to this farm, look at that machine's clock"
            }
            Self::ForeignCa | Self::NoCertificate | Self::OtherCa { .. } | Self::LegacyOff | Self::NotListed => {
                "invite it: `farmconsole harvester invite NAME` here, and there the command that this prints"
            }
            Self::CertificateExpired => {
                "check the clocks of both machines; if they are right: `farmconsole harvester invite NAME`"
            }
            Self::OldTls => "update that machine's software: TLS 1.3 is needed",
            Self::WrongNetwork { .. } => {
                "set `selected_network` of that harvester to this farm's network and restart it"
            }
            Self::WrongNodeType { .. } => "only harvesters connect to this port; point that program at the full node",
            Self::PlainHttp | Self::NotTls | Self::NotWebSocket { .. } => {
                "this port speaks the harvester protocol over TLS; point that program elsewhere"
            }
            Self::OurFault { .. } => "raise the limit of open files (`ulimit -n`) or free memory on this machine",
            Self::OutOfDate { .. } => {
                "set the clocks of both machines right; if they are, the certificate is too old: `farmconsole harvester invite NAME`"
            }
            Self::Revoked => "nothing, if it was meant; to take that machine back: `farmconsole harvester invite NAME`",
            Self::OtherService { .. } => {
                "give that machine a certificate of its own: `farmconsole harvester invite NAME`"
            }
            Self::JoinOtherNetwork { .. } => {
                "its invitation is still good: `farmconsole harvester join TOKEN` says on that machine how to go on"
            }
            Self::JoinRefused { .. } => {
                "if its invitation has ended or was used, make a new one: `farmconsole harvester invite NAME`"
            }
            Self::TlsTimeout | Self::HandshakeTimeout => {
                "if that is a harvester, it or the line between is overloaded or loses what is sent: its log says more"
            }
            _ => "look at that machine's harvester log",
        }
    }
}

impl fmt::Display for RefusalCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyFromAddress => f.write_str("too many unauthenticated connections from this address"),
            Self::TooMany => f.write_str("too many unauthenticated connections"),
            Self::TlsTimeout => f.write_str("no TLS handshake in time"),
            Self::HandshakeTimeout => f.write_str("no protocol handshake in time"),
            Self::TooManyBytes => f.write_str("sent too much before authenticating"),
            Self::PlainHttp => f.write_str("speaks plain HTTP, not TLS"),
            Self::NotTls => f.write_str("does not speak TLS"),
            Self::OldTls => f.write_str("offers no TLS 1.3"),
            Self::NoCertificate => f.write_str("has no certificate"),
            Self::ForeignCa => f.write_str("its certificate is not signed by this farm's private CA"),
            Self::CertificateExpired => f.write_str("its certificate is not valid at this time"),
            Self::PeerRefusedUs { alert } if alert == OUT_OF_DATE => {
                f.write_str("by its clock this farm's certificate is not valid at this time")
            }
            Self::PeerRefusedUs { alert } => write!(f, "it does not trust this farm's certificate ({alert})"),
            Self::Tls { detail } => write!(f, "TLS failed: {detail}"),
            Self::ClosedEarly => f.write_str("closed before the handshake was done"),
            Self::NotWebSocket { detail } => write!(f, "no websocket on /ws: {detail}"),
            Self::WrongNetwork { got, expected } => write!(f, "it is on network {got}, this farm is on {expected}"),
            Self::WrongNodeType { got } => write!(f, "it is no harvester (node type {got})"),
            Self::BadHandshake { detail } => write!(f, "bad handshake: {detail}"),
            Self::RateLimited => f.write_str("reconnects too often"),
            Self::OurFault { detail } => write!(f, "this machine could not take it: {detail}"),
            Self::OtherCa { which } => write!(f, "its certificate is signed by {which}"),
            Self::OutOfDate {
                from_unix_s,
                until_unix_s,
                now_unix_s,
            } => {
                if now_unix_s < from_unix_s {
                    let off = span(from_unix_s - now_unix_s);
                    write!(
                        f,
                        "its certificate begins {off} after this machine's time: a clock is wrong"
                    )
                } else {
                    let off = span(now_unix_s.saturating_sub(*until_unix_s));
                    write!(f, "its certificate ended {off} ago by this machine's clock")
                }
            }
            Self::Revoked => f.write_str("it was revoked"),
            Self::Pending => f.write_str("it waits to be let in"),
            Self::NotListed => f.write_str("its certificate is not in this farm's registry"),
            Self::LegacyOff => f.write_str("certificates of Chia's private CA count no more here"),
            Self::OtherService { service } => write!(f, "it shows the {service} certificate of the farmer's machine"),
            Self::JoinRefused { reason } => write!(f, "it may not join: {reason}"),
            Self::JoinOtherNetwork { got, expected } => {
                write!(
                    f,
                    "it may not join: it is set to the network {got}, this farm is on {expected}"
                )
            }
        }
    }
}

/// The alert of a peer that finds a certificate expired, or not valid yet.
const OUT_OF_DATE: &str = "CertificateExpired";

/// Why an established connection ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "cause")]
pub enum DisconnectCause {
    /// The harvester closed it.
    ClosedByPeer,
    /// The connection broke.
    Lost {
        /// Operating system's or TLS library's words.
        detail: String,
    },
    /// Not one byte for 60 s, although pinged.
    Silent,
    /// It took nothing for 30 s.
    SlowReader,
    /// A message it sent cannot be read.
    Malformed {
        /// Message name.
        message: String,
        /// What is wrong with it.
        detail: String,
    },
    /// Broke the websocket rules: text frame, oversized frame, bad opcode.
    ProtocolViolation {
        /// What it did.
        detail: String,
    },
    /// Sends faster than any harvester does.
    Flood,
    /// Signature requests piled up.
    OutboxFull,
    /// A newer connection of the same harvester took its place.
    Replaced,
    /// We are shutting down.
    Shutdown,
    /// Its certificate was revoked, or replaced by a newer one of the same harvester.
    Revoked,
}

impl DisconnectCause {
    /// Whether the harvester itself ended it in good order, or we did.
    #[must_use]
    pub const fn is_orderly(&self) -> bool {
        matches!(self, Self::ClosedByPeer | Self::Shutdown)
    }
}

impl fmt::Display for DisconnectCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClosedByPeer => f.write_str("closed by the harvester"),
            Self::Lost { detail } => write!(f, "connection lost: {detail}"),
            Self::Silent => f.write_str("no sign of life for 60 s"),
            Self::SlowReader => f.write_str("took nothing for 30 s"),
            Self::Malformed { message, detail } => write!(f, "sent an unreadable {message}: {detail}"),
            Self::ProtocolViolation { detail } => write!(f, "broke the protocol: {detail}"),
            Self::Flood => f.write_str("sent too many messages"),
            Self::OutboxFull => f.write_str("too many signature requests waiting"),
            Self::Replaced => f.write_str("the harvester has connected again"),
            Self::Shutdown => f.write_str("this farmer is shutting down"),
            Self::Revoked => f.write_str("its certificate counts no more"),
        }
    }
}

#[cfg(test)]
mod clock_tests {
    use super::*;

    #[test]
    fn machine_whose_clock_is_wrong_is_not_told_to_join_again() {
        let refused = |alert: &str| RefusalCause::PeerRefusedUs {
            alert: alert.to_owned(),
        };
        let remedy = |alert: &str| refused(alert).remedy(IpAddr::from([10, 0, 0, 7]));
        assert!(refused("CertificateExpired").to_string().starts_with("by its clock"));
        assert!(remedy("CertificateExpired").contains("clock") && !remedy("CertificateExpired").contains("invite"));
        assert!(remedy("UnknownCA").contains("farmconsole harvester invite NAME"));
    }
}
