//! Who is who: certificate authorities, certificates, and the TLS configurations of every link.
//!
//! * [`SslLayout`] knows which certificate lies where in a root; [`issue`] makes them; [`Identity`] reads one pair.
//! * [`farmer_server_config`], [`harvester_client_config`] and [`node_client_config`] are complete rustls
//!   configurations: TLS 1.3 only, the stock webpki verifiers, no session resumption, no early data.
//! * [`cause()`] says in one word why a handshake failed.
//!
//! Chia has two kinds of certificate authority. The **private CA** of a farm is a secret: farmer and harvesters accept
//! whoever holds a certificate signed by it, so both directions of the harvester link are verified against it. The
//! **public Chia CA** ([`CHIA_CA_CRT`], [`CHIA_CA_KEY`]) is the same everywhere, *its key is published on purpose* with
//! the official software, and a certificate of it proves nothing: full nodes merely ask for one. All private CAs made
//! by the official software bear the name of the public one, so a CA is chosen by file, never by name.
//!
//! Official certificates carry the fixed DNS name `chia.net` and are used on any host; the stock verifier is therefore
//! asked for exactly that name ([`chia_server_name`]). There is no verifier of our own anywhere.
//!
//! Not here: sockets and handshakes (`net`), and settings (`config`).

mod cause;
mod config;
mod error;
mod identity;
pub mod issue;
mod layout;

pub use cause::{RefusalCause, cause};
pub(crate) use config::provider;
pub use config::{
    chia_server_name, farmer_server_config, harvester_client_config, node_client_config, node_rpc_client_config,
};
pub use error::TlsError;
pub use identity::{Identity, peer_id};
pub use layout::{CertificateAuthority, CertificatePaths, ServiceName, SslLayout};

/// Certificate of the public Chia CA as official 2.7.5 ships it (valid until 2037-12-31).
pub const CHIA_CA_CRT: &str = include_str!("../../assets/chia_ca.crt");

/// Key of the public Chia CA. Public by design: every installation of the official software contains it, to sign the
/// certificate that full nodes ask for. It protects nothing.
pub const CHIA_CA_KEY: &str = include_str!("../../assets/chia_ca.key");

#[cfg(test)]
mod tests;
