//! What a harvester that joined a farm has: its certificate and key, and the farm's server CA. One file, replaced in one
//! step, so that there is never a certificate without its key.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use super::farm_params::anchor_of_key;
use super::issue::bad_certificate;
use super::provider::provider;
use super::{
    CaKey, CertificateAuthority, CertificateFacts, ENROL_ALPN, RENEW_ALPN, SEEN_ALPN, ServiceName, SslLayout, TlsError,
    ca_key, chia_server_name, farmer_server_name, harvester_client_config,
};
use crate::config::HarvesterName;
use crate::config::Root;
use crate::config::files::{self, FileMode, PRIVATE_FILE};

/// A harvester's place in a farm.
#[derive(Clone, Serialize, Deserialize)]
pub struct Membership {
    version: u32,
    name: HarvesterName,
    farm_id: String,
    /// PEM.
    server_ca: String,
    /// PEM.
    certificate: String,
    /// PEM, PKCS#8.
    key: Zeroizing<String>,
}

/// How a harvester dials its farmer.
#[derive(Clone, Debug)]
pub struct HarvesterTls {
    /// Its certificate, and whom it trusts.
    pub config: Arc<ClientConfig>,
    /// Name that the farmer's certificate must have.
    pub farmer_name: ServerName<'static>,
}

impl From<Arc<ClientConfig>> for HarvesterTls {
    /// A harvester with certificates of Chia's private CA.
    fn from(config: Arc<ClientConfig>) -> Self {
        Self {
            config,
            farmer_name: chia_server_name(),
        }
    }
}

/// How the harvester of a root dials its farmer: as a member of the farm it joined, else with the certificates of Chia's
/// private CA.
///
/// # Errors
/// When a certificate file is missing, damaged or does not fit the others, or others can read a private key.
pub fn harvester_tls(root: &Root) -> Result<HarvesterTls, TlsError> {
    match Membership::load(root)? {
        Some(membership) => Ok(HarvesterTls {
            config: membership.client_config()?,
            farmer_name: membership.farmer_name()?,
        }),
        None => Ok(harvester_client_config(root)?.into()),
    }
}

/// What the certificate says with which the harvester of a root dials its farmer; none if it has none that can be read.
#[must_use]
pub fn harvester_certificate(root: &Root) -> Option<CertificateFacts> {
    if let Some(membership) = Membership::load(root).ok()? {
        return membership.facts();
    }
    let files = SslLayout::of(root).leaf(CertificateAuthority::Private, ServiceName::Harvester);
    let certificates = super::identity::read_certificates(&files.crt).ok()?;
    CertificateFacts::of(certificates.first()?)
}

/// Whether the harvester of a root has joined a farm: our own, or an official one, whose CA file trusts the farm's server
/// CA then.
#[must_use]
pub fn has_joined(root: &Root) -> bool {
    let names = || names_in_ca_file(&SslLayout::of(root));
    root.membership_file().exists() || names().iter().any(|name| name.contains("Farmconsole server CA"))
}

/// Subjects of the certificates in the file of the private CA.
#[must_use]
pub fn names_in_ca_file(layout: &SslLayout) -> Vec<String> {
    let certificates = super::identity::read_certificates(&layout.ca(CertificateAuthority::Private).crt);
    let subject = |der| CertificateFacts::of(der).map(|it| it.subject);
    certificates.iter().flatten().filter_map(|der| subject(der)).collect()
}

/// How a machine that joins dials its farmer: it trusts the key in its token, and nothing else, and has no certificate.
///
/// # Errors
/// When the TLS library fails.
pub fn joiner_config(key: &CaKey) -> Result<Arc<ClientConfig>, TlsError> {
    let anchors = RootCertStore {
        roots: vec![anchor_of_key(key)],
    };
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|source| setup(Path::new("token"), source))?
        .with_root_certificates(anchors)
        .with_no_client_auth();
    config.alpn_protocols = vec![ENROL_ALPN.to_vec()];
    Ok(Arc::new(plain(config)))
}

impl Membership {
    /// Puts a membership together; none if a certificate cannot be read.
    #[must_use]
    pub fn new(
        name: HarvesterName,
        farm_id: String,
        server_ca: String,
        certificate: String,
        key: Zeroizing<String>,
    ) -> Option<Self> {
        let it = Self {
            version: VERSION,
            name,
            farm_id,
            server_ca,
            certificate,
            key,
        };
        (it.leaf().is_some() && it.ca_key().is_some() && farmer_server_name(&it.farm_id).is_some()).then_some(it)
    }

    /// The membership of a root; none if its harvester joined no farm.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, or others can read it.
    pub fn load(root: &Root) -> Result<Option<Self>, TlsError> {
        let path = root.membership_file();
        let metadata = match std::fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(TlsError::Unreadable { path, source }),
        };
        if let Some(mode) = files::open_to_others(&metadata) {
            return Err(TlsError::TooOpen { path, mode });
        }
        let bytes = super::identity::read(&path)?;
        let it: Self = serde_json::from_slice(&bytes).map_err(|error| bad_certificate(&path, &error))?;
        if it.version != VERSION || it.leaf().is_none() {
            return Err(bad_certificate(&path, &"it is of another version, or damaged"));
        }
        Ok(Some(it))
    }

    /// Keeps it in a root, in place of what was there.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, root: &Root) -> Result<(), TlsError> {
        let path = root.membership_file();
        let failed = |source| TlsError::Unwritable {
            path: path.clone(),
            source,
        };
        root.create_state_dir().map_err(failed)?;
        let text = serde_json::to_vec_pretty(self).map(Zeroizing::new);
        let text = text.map_err(|error| failed(error.into()))?;
        files::replace_file(&path, &text, FileMode::Exactly(PRIVATE_FILE)).map_err(failed)
    }

    /// The harvester's name in the farm.
    #[must_use]
    pub const fn name(&self) -> &HarvesterName {
        &self.name
    }

    /// Its certificate, PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Its private key, PEM.
    #[must_use]
    pub const fn key(&self) -> &Zeroizing<String> {
        &self.key
    }

    /// Certificate of the farm's server CA, PEM.
    #[must_use]
    pub fn server_ca(&self) -> &str {
        &self.server_ca
    }

    /// What its certificate says.
    #[must_use]
    pub fn facts(&self) -> Option<CertificateFacts> {
        CertificateFacts::of(&self.leaf()?)
    }

    /// Public key of its certificate, as it stands there.
    #[must_use]
    pub fn public_key(&self) -> Option<Vec<u8>> {
        let leaf = self.leaf()?;
        let (_, x509) = X509Certificate::from_der(&leaf).ok()?;
        Some(x509.public_key().subject_public_key.data.to_vec())
    }

    /// Key of the server CA.
    #[must_use]
    pub fn ca_key(&self) -> Option<CaKey> {
        ca_key(&CertificateDer::from_pem_slice(self.server_ca.as_bytes()).ok()?)
    }

    /// Name that the farmer's certificate must have.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn farmer_name(&self) -> Result<ServerName<'static>, TlsError> {
        farmer_server_name(&self.farm_id)
            .ok_or_else(|| bad_certificate(Path::new("membership"), &"the id of the farm is no name"))
    }

    /// To dial the farmer with.
    ///
    /// # Errors
    /// When certificate and key do not belong together, or the TLS library fails.
    pub fn client_config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        self.config().map(Arc::new)
    }

    /// To dial the farmer with for a new certificate.
    ///
    /// # Errors
    /// As [`Self::client_config`].
    pub fn renewal_config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let mut config = self.config()?;
        config.alpn_protocols = vec![RENEW_ALPN.to_vec()];
        Ok(Arc::new(config))
    }

    /// To ask the farmer whether the harvester has connected.
    ///
    /// # Errors
    /// As [`Self::client_config`].
    pub fn seen_config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let mut config = self.config()?;
        config.alpn_protocols = vec![SEEN_ALPN.to_vec()];
        Ok(Arc::new(config))
    }

    /// Whether the farm's server CA itself has signed this certificate of a farmer, going by the id of its key.
    #[must_use]
    pub fn has_signed_farmer(&self, leaf: &[u8]) -> bool {
        use x509_parser::extensions::ParsedExtension;

        let issuer_key = CertificateFacts::of(leaf).and_then(|it| it.issuer_key);
        let ca = CertificateDer::from_pem_slice(self.server_ca.as_bytes()).ok();
        let own_key = ca.as_ref().and_then(|ca| {
            let (_, x509) = X509Certificate::from_der(ca).ok()?;
            x509.extensions().iter().find_map(|it| match it.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) => Some(hex::encode(id.0)),
                _ => None,
            })
        });
        issuer_key.is_some() && issuer_key == own_key
    }

    fn config(&self) -> Result<ClientConfig, TlsError> {
        let path = Path::new("membership");
        let bad = |error: &dyn fmt::Display| bad_certificate(path, error);
        let mut anchors = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(self.server_ca.as_bytes()) {
            let certificate = certificate.map_err(|error| bad(&error))?;
            anchors.add(certificate).map_err(|error| bad(&error))?;
        }
        let leaf = self.leaf().ok_or_else(|| bad(&"no certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(|error| bad(&error))?;
        ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(|source| setup(path, source))?
            .with_root_certificates(anchors)
            .with_client_auth_cert(vec![leaf], key)
            .map(plain)
            .map_err(|source| setup(path, source))
    }

    fn leaf(&self) -> Option<CertificateDer<'static>> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).ok()
    }
}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Membership")
            .field("name", &self.name)
            .field("farm_id", &self.farm_id)
            .finish_non_exhaustive()
    }
}

fn plain(mut config: ClientConfig) -> ClientConfig {
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    // The name says nothing about the host.
    config.enable_sni = false;
    config
}

fn setup(path: &Path, source: tokio_rustls::rustls::Error) -> TlsError {
    TlsError::Setup {
        dir: path.to_path_buf(),
        source: Box::new(source),
    }
}

const VERSION: u32 = 1;
