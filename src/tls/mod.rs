//! Who is who: certificate authorities, certificates, and the TLS configurations of every link.
//!
//! * [`SslLayout`] knows which certificate lies where in a root; [`issue`] makes them; [`Identity`] reads one pair.
//! * [`FarmerTls`], [`harvester_client_config`] and [`node_client_config`] are complete rustls configurations: TLS 1.3
//!   only, the stock webpki verifiers, no session resumption, no early data. At the farmer's port the registry is asked
//!   besides.
//! * [`FarmCa`] holds the farm's own two authorities and signs with them; [`RequestedKey`] reads what is to be signed.
//! * [`TrustedClock`] says what time it is, since the machine's clock may be wrong.
//! * [`cause()`] says in one word why a handshake failed.
//!
//! Chia has two kinds of certificate authority. The **private CA** of a farm is a secret: farmer and harvesters accept
//! whoever holds a certificate signed by it, so both directions of the harvester link are verified against it. The
//! **public Chia CA** ([`CHIA_CA_CRT`], [`CHIA_CA_KEY`]) is the same everywhere, *its key is published on purpose* with
//! the official software, and a certificate of it proves nothing: full nodes merely ask for one. All private CAs made
//! by the official software bear the name of the public one, so a CA is chosen by file, never by name.
//!
//! Official certificates carry the fixed DNS name `chia.net` and are used on any host; the stock verifier is therefore
//! asked for exactly that name ([`chia_server_name`]). No verifier of ours ever says yes where the stock one says no.
//!
//! Not here: sockets and handshakes (`net`), and settings (`config`).

mod audit;
mod ca_files;
mod ca_keys;
mod cause;
mod config;
mod error;
mod facts;
mod farm_ca;
mod farm_params;
mod farmer;
mod gate;
mod identity;
pub mod issue;
mod layout;
mod membership;
mod provider;
mod request;
mod trusted_clock;
mod trusted_time;

pub use audit::{AuditFinding, audit};
pub use ca_keys::{CaKeyState, CaKeys, PassphraseFile};
pub use cause::{RefusalCause, cause};
#[cfg(test)]
pub use config::farmer_server_config;
pub use config::{chia_server_name, harvester_client_config, node_client_config, node_rpc_client_config};
pub use error::TlsError;
pub use facts::CertificateFacts;
pub use farm_ca::{FarmCa, FarmCaOptions, IssuedCertificate};
pub use farm_params::{CaKey, ca_key, farmer_name, farmer_server_name};
pub use farmer::{ENROL_ALPN, FarmerTls, RENEW_ALPN, SEEN_ALPN};
pub use gate::{Examination, Examined, Objection};
pub use identity::{Identity, peer_id};
pub use layout::{CertificateAuthority, CertificatePaths, ServiceName, SslLayout};
pub use membership::{
    HarvesterTls, Membership, harvester_certificate, harvester_tls, has_joined, joiner_config, names_in_ca_file,
};
pub(crate) use provider::provider;
pub use request::{MAX_REQUEST_BYTES, RequestError, RequestedKey};
pub use trusted_clock::TrustedClock;
pub use trusted_time::{BUILT, TimeSpan, TrustedTime, Witness};

/// Certificate of the public Chia CA as official 2.7.5 ships it (valid until 2037-12-31).
pub const CHIA_CA_CRT: &str = include_str!("../../assets/chia_ca.crt");

/// Key of the public Chia CA. Public by design: every installation of the official software contains it, to sign the
/// certificate that full nodes ask for. It protects nothing.
pub const CHIA_CA_KEY: &str = include_str!("../../assets/chia_ca.key");

#[cfg(test)]
mod farm_tests;
#[cfg(test)]
mod tests;
