//! TLS at the farmer's port: one configuration for harvesters, one for machines that join.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{Error as RustlsError, RootCertStore, ServerConfig};

use super::config::client_verifier;
use super::farm_ca::Chain;
use super::gate::{Doors, Gate};
use super::identity::read_anchors;
use super::provider::provider;
use super::{CHIA_CA_CRT, Examined, FarmCa, SslLayout, TimeSpan, TlsError, TrustedClock};
use crate::config::LegacyCa;
use crate::config::Root;
use crate::registry::AllowList;

/// Application protocol of a machine that joins; harvesters name none.
pub const ENROL_ALPN: &[u8] = b"farmconsole-enrol/1";

/// Application protocol of an enrolled harvester that wants its certificate renewed.
pub const RENEW_ALPN: &[u8] = b"farmconsole-renew/1";

/// Application protocol of a harvester's machine that asks whether its harvester has connected: the farmer answers with
/// one byte, 1 or 0.
pub const SEEN_ALPN: &[u8] = b"farmconsole-seen/1";

/// How the farmer presents itself and whom it lets in. Each connection gets a configuration of its own, so that what was
/// found about its certificate can be told.
#[derive(Debug)]
pub struct FarmerTls {
    list: Arc<AllowList>,
    time: Arc<TrustedClock>,
    provider: Arc<CryptoProvider>,
    current: Mutex<Arc<Current>>,
}

#[derive(Debug)]
struct Current {
    doors: Doors,
    any: Arc<dyn ClientCertVerifier>,
    shown: Arc<dyn ResolvesServerCert>,
    shown_to_joiners: Option<Arc<dyn ResolvesServerCert>>,
}

impl FarmerTls {
    /// The farmer of a root.
    ///
    /// # Errors
    /// When a certificate file is missing, damaged or does not fit the others, or others can read a private key.
    pub fn load(root: &Root, ca: &FarmCa, list: Arc<AllowList>, time: Arc<TrustedClock>) -> Result<Self, TlsError> {
        let current = Current::load(root, ca, list.legacy(), time.span())?;
        Ok(Self {
            list,
            time,
            provider: provider(),
            current: Mutex::new(Arc::new(current)),
        })
    }

    /// The farmer of a root made by a test, with a registry in memory that lets Chia's private CA in.
    #[cfg(test)]
    pub fn of_test_root(root: &Root) -> Arc<Self> {
        use crate::registry::Registry;

        let clock = crate::system_clock::Clock::start();
        let time = Arc::new(TrustedClock::in_memory(move || clock.now()));
        let list = AllowList::in_memory(Registry::new("00112233".to_owned()), LegacyCa::Open);
        let ca = FarmCa::open_or_make(root, "00112233", time.span()).unwrap();
        Arc::new(Self::load(root, &ca, Arc::new(list), time).unwrap())
    }

    /// Reads the files again: after a renewal, a rotation, or when Chia's CA counts no more. Connections that are up
    /// stay.
    ///
    /// # Errors
    /// As [`Self::load`]; what was read before stays in use.
    pub fn reload(&self, root: &Root, ca: &FarmCa) -> Result<(), TlsError> {
        let current = Arc::new(Current::load(root, ca, self.list.legacy(), self.time.span())?);
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = current;
        Ok(())
    }

    /// For a harvester: it must show a certificate of ours, and be in the registry.
    ///
    /// # Errors
    /// When the TLS library fails.
    pub fn for_harvester(&self) -> Result<(Arc<ServerConfig>, Examined), RustlsError> {
        self.for_member(false)
    }

    fn for_member(&self, is_renewal: bool) -> Result<(Arc<ServerConfig>, Examined), RustlsError> {
        let current = self.current();
        let examined = Examined::default();
        let gate = Gate {
            doors: current.doors.clone(),
            list: Arc::clone(&self.list),
            time: Arc::clone(&self.time),
            is_renewal,
            examined: examined.clone(),
            any: Arc::clone(&current.any),
        };
        let config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(Arc::new(gate))
            .with_cert_resolver(Arc::clone(&current.shown));
        Ok((Arc::new(plain(config)), examined))
    }

    /// For an enrolled harvester that renews its certificate: as for a harvester, with another protocol inside. One that
    /// has ended will do.
    ///
    /// # Errors
    /// When the TLS library fails.
    pub fn for_renewal(&self) -> Result<(Arc<ServerConfig>, Examined), RustlsError> {
        let (config, examined) = self.for_member(true)?;
        Ok((with_protocol(config, RENEW_ALPN), examined))
    }

    /// For a machine that asks whether its harvester has connected: as for a harvester, with another protocol inside.
    ///
    /// # Errors
    /// When the TLS library fails.
    pub fn for_seen(&self) -> Result<(Arc<ServerConfig>, Examined), RustlsError> {
        let (config, examined) = self.for_member(false)?;
        Ok((with_protocol(config, SEEN_ALPN), examined))
    }

    /// For a machine that joins: it has no certificate yet. None where nobody can join.
    ///
    /// # Errors
    /// When the TLS library fails.
    pub fn for_joiner(&self) -> Result<Option<Arc<ServerConfig>>, RustlsError> {
        let Some(shown) = self.current().shown_to_joiners.clone() else {
            return Ok(None);
        };
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])?
            .with_no_client_auth()
            .with_cert_resolver(shown);
        config.alpn_protocols = vec![ENROL_ALPN.to_vec()];
        Ok(Some(Arc::new(plain(config))))
    }

    /// The registry that is asked.
    #[must_use]
    pub const fn list(&self) -> &Arc<AllowList> {
        &self.list
    }

    /// What time it is.
    #[must_use]
    pub const fn time(&self) -> &Arc<TrustedClock> {
        &self.time
    }

    fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Current {
    fn load(root: &Root, ca: &FarmCa, legacy: LegacyCa, now: TimeSpan) -> Result<Self, TlsError> {
        let setup = |source| TlsError::Setup {
            dir: root.farm_ca_dir(),
            source: Box::new(source),
        };
        let farm = client_verifier(ca.client_anchors()?).map_err(setup)?;
        let chia_anchors = ca.chia_anchors()?;
        let trusts_chia = legacy != LegacyCa::Off;
        let chia = match &chia_anchors {
            Some(anchors) if trusts_chia => Some(client_verifier(anchors.clone()).map_err(setup)?),
            _ => None,
        };
        let shown = |chain: Chain| -> Result<Arc<dyn ResolvesServerCert>, TlsError> {
            let (chain, key) = chain;
            let key = CertifiedKey::from_der(chain, key, &provider()).map_err(setup)?;
            Ok(Arc::new(SingleCertAndKey::from(key)))
        };
        let chia_is_there = trusts_chia && ca.has_chia_ca();
        let shown_to_joiners = if !chia_is_there || ca.can_serve_both(now) {
            Some(shown(ca.enrolment_chain()?)?)
        } else {
            None
        };
        Ok(Self {
            any: Arc::clone(&farm),
            doors: Doors {
                farm: Some(farm),
                chia,
                known: Arc::new(known_cas(root, chia_anchors.filter(|_| !trusts_chia))),
            },
            shown: shown(ca.farmer_chain(chia_is_there, now)?)?,
            shown_to_joiners,
        })
    }
}

/// CAs that harvesters are signed by when something went wrong, with what to call them.
fn known_cas(root: &Root, not_trusted: Option<RootCertStore>) -> Vec<(String, RootCertStore)> {
    let mut known = Vec::new();
    if let Some(anchors) = not_trusted {
        known.push((
            "Chia's private CA of this root, which counts no more (legacy_ca: off)".to_owned(),
            anchors,
        ));
    }
    let mut public = RootCertStore::empty();
    let added = CertificateDer::from_pem_slice(CHIA_CA_CRT.as_bytes()).map(|der| public.add(der));
    if matches!(added, Ok(Ok(()))) {
        known.push(("the public Chia CA, which everybody has the key of".to_owned(), public));
    }
    // CAs that `init -c` has put aside.
    let layout = SslLayout::of(root);
    let entries = std::fs::read_dir(layout.dir()).into_iter().flatten().flatten();
    let aside = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("ca.bak-"));
    for dir in aside.take(8) {
        if let Ok(anchors) = read_anchors(&dir.path().join("private_ca.crt")) {
            known.push((format!("the CA that was put aside in {}", shown(&dir.path())), anchors));
        }
    }
    known
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn with_protocol(config: Arc<ServerConfig>, protocol: &[u8]) -> Arc<ServerConfig> {
    let mut config = Arc::unwrap_or_clone(config);
    config.alpn_protocols = vec![protocol.to_vec()];
    Arc::new(config)
}

/// Nothing is resumed: a resumed session skips the verifier, so a revoked certificate would stay welcome.
fn plain(mut config: ServerConfig) -> ServerConfig {
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config
}
