//! The rustls configurations of every link.

use std::sync::Arc;

#[cfg(test)]
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::client::{Resumption, WebPkiServerVerifier};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
#[cfg(test)]
use tokio_rustls::rustls::server::NoServerSessionStorage;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, Error as RustlsError, RootCertStore};

use super::identity::read_anchors;
use super::provider::provider;
use super::{CertificateAuthority, CertificatePaths, Identity, ServiceName, SslLayout, TlsError};
use crate::config::{Root, files};

/// The DNS name in every Chia certificate, to be given to the client side of each link whatever host is dialled:
/// `chia.net`.
#[must_use]
#[expect(clippy::expect_used, reason = "a constant; every handshake test passes through here")]
pub fn chia_server_name() -> ServerName<'static> {
    ServerName::try_from("chia.net").expect("a DNS name")
}

/// What an official farmer answers harvesters with, for tests: its private certificate; clients must show one of the
/// private CA.
///
/// TLS 1.3 only. Nothing is resumed: a resumed session skips the verifier, so a certificate that was replaced or
/// revoked would stay welcome.
///
/// # Errors
/// When a certificate file is missing, damaged or does not fit the others, or others can read the private key.
#[cfg(test)]
pub fn farmer_server_config(root: &Root) -> Result<Arc<ServerConfig>, TlsError> {
    let layout = SslLayout::of(root);
    let setup = |source| setup_error(&layout, source);
    let anchors = read_anchors(&layout.ca(CertificateAuthority::Private).crt)?;
    let own = layout.leaf(CertificateAuthority::Private, ServiceName::Farmer);
    let (chain, key) = load_private(&own)?.into_parts();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(anchors), provider())
        .build()
        .map_err(|error| setup(RustlsError::General(error.to_string())))?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(setup)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(setup)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// What a harvester dials its farmer with: its private certificate; the farmer must show one of the private CA, for the
/// name [`chia_server_name`].
///
/// # Errors
/// When a certificate file is missing, damaged or does not fit the others, or others can read the private key.
pub fn harvester_client_config(root: &Root) -> Result<Arc<ClientConfig>, TlsError> {
    client_config(
        &SslLayout::of(root),
        CertificateAuthority::Private,
        ServiceName::Harvester,
    )
}

/// What the farmer dials full nodes and solvers with: its public certificate; they must show one of the public Chia CA,
/// which proves nothing (anybody can make one) but is what the protocol asks for.
///
/// # Errors
/// As [`harvester_client_config`].
pub fn node_client_config(root: &Root) -> Result<Arc<ClientConfig>, TlsError> {
    client_config(&SslLayout::of(root), CertificateAuthority::Chia, ServiceName::Farmer)
}

/// What the farmer asks a full node about the chain with, over its HTTPS interface: its private certificate; the node
/// must show one of the private CA.
///
/// # Errors
/// As [`harvester_client_config`].
pub fn node_rpc_client_config(root: &Root) -> Result<Arc<ClientConfig>, TlsError> {
    client_config(&SslLayout::of(root), CertificateAuthority::Private, ServiceName::Farmer)
}

/// The stock verifier of clients' certificates that lead to one of `anchors`.
pub(super) fn client_verifier(anchors: RootCertStore) -> Result<Arc<dyn ClientCertVerifier>, RustlsError> {
    WebPkiClientVerifier::builder_with_provider(Arc::new(anchors), provider())
        .build()
        .map_err(|error| RustlsError::General(error.to_string()))
}

/// Checks a leaf exactly as a peer with stock verifiers would, in both roles.
pub(super) fn verify_leaf(leaf: &CertificateDer<'_>, anchors: RootCertStore, now: UnixTime) -> Result<(), RustlsError> {
    // The trait of the stock verifier; "danger" is where rustls keeps the means to write others.
    use tokio_rustls::rustls::client::danger::ServerCertVerifier;

    let anchors = Arc::new(anchors);
    let general = |error: &dyn std::fmt::Display| RustlsError::General(error.to_string());
    WebPkiServerVerifier::builder_with_provider(Arc::clone(&anchors), provider())
        .build()
        .map_err(|error| general(&error))?
        .verify_server_cert(leaf, &[], &chia_server_name(), &[], now)?;
    WebPkiClientVerifier::builder_with_provider(anchors, provider())
        .build()
        .map_err(|error| general(&error))?
        .verify_client_cert(leaf, &[], now)?;
    Ok(())
}

/// Checks that a server certificate leads to one of `anchors` over `intermediates`, for the name that Chia's clients
/// expect.
pub(super) fn verify_server(
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    anchors: RootCertStore,
    now: UnixTime,
) -> Result<(), RustlsError> {
    use tokio_rustls::rustls::client::danger::ServerCertVerifier;

    WebPkiServerVerifier::builder_with_provider(Arc::new(anchors), provider())
        .build()
        .map_err(|error| RustlsError::General(error.to_string()))?
        .verify_server_cert(leaf, intermediates, &chia_server_name(), &[], now)
        .map(drop)
}

fn client_config(
    layout: &SslLayout,
    authority: CertificateAuthority,
    service: ServiceName,
) -> Result<Arc<ClientConfig>, TlsError> {
    let setup = |source| setup_error(layout, source);
    let anchors = read_anchors(&layout.ca(authority).crt)?;
    let (chain, key) = load_private(&layout.leaf(authority, service))?.into_parts();
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(setup)?
        .with_root_certificates(anchors)
        .with_client_auth_cert(chain, key)
        .map_err(setup)?;
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    // The name is the same for everybody and says nothing about the host; official clients send none for addresses.
    config.enable_sni = false;
    Ok(Arc::new(config))
}

/// Loads what this program is on a link, from files nobody else can have read: whoever has the key can be it too.
pub(super) fn load_private(paths: &CertificatePaths) -> Result<Identity, TlsError> {
    // A file that cannot be looked at cannot be read either, and that error says why.
    match std::fs::metadata(&paths.key)
        .ok()
        .and_then(|m| files::open_to_others(&m))
    {
        Some(mode) => Err(TlsError::TooOpen {
            path: paths.key.clone(),
            mode,
        }),
        None => Identity::load(paths),
    }
}

fn setup_error(layout: &SslLayout, source: RustlsError) -> TlsError {
    TlsError::Setup {
        dir: layout.dir().to_path_buf(),
        source: Box::new(source),
    }
}
