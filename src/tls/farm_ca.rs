//! The farm's own two certificate authorities, in `farmconsole/ca`.
//!
//! The **server CA** signs the farmer's certificate and nothing else; harvesters that joined trust it alone. The
//! **client CA** signs harvesters' certificates and nothing else; the farmer trusts it. So no harvester's certificate
//! opens a door anywhere but at the farmer's port, unlike those of Chia's private CA, which open the wallet's too.
//!
//! For harvesters that trust Chia's private CA, that CA has signed a second certificate for the server CA, the
//! *cross-certificate*, good for servers only; the farmer sends it along. The client CA is never signed by anybody:
//! `[harvester's certificate, cross-certificate]` must lead nowhere.
//!
//! The keys are read when something is to be signed, and wiped after; see [`CaKeys`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{DnType, ExtendedKeyUsagePurpose, KeyPair, SanType};
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::ca_keys::{CaKeys, PassphraseFile};

use super::config::{load_private, verify_server};
use super::farm_params::{
    DAY, FARMER_DAYS, Role, compressed, farmer_name, fill, leaf_params, make_ca, public_key_of, server_cross_params,
};
use super::identity::{read_anchors, read_certificates};
use super::issue::{Issuer, PemPair, bad_certificate, bad_key, issue_error, name, unix_time};
use super::{
    CaKey, CertificateAuthority, CertificateFacts, CertificatePaths, RequestedKey, ServiceName, SslLayout, TimeSpan,
    TlsError, ca_key,
};
use crate::config::HarvesterName;
use crate::config::Root;
use crate::config::files::{self, CERTIFICATE_FILE, FileMode, PRIVATE_FILE};
use crate::registry::{CertificateRecord, MemberOrigin};

/// The authorities of one farm. Holds no key.
#[derive(Clone, Debug)]
pub struct FarmCa {
    dir: PathBuf,
    keys: Arc<CaKeys>,
    farm_id: String,
    /// Chia's private CA of this root.
    chia: CertificatePaths,
    /// Certificate that an official farmer of this root would show.
    chia_farmer: CertificatePaths,
}

/// What is known of a farm before its authorities are opened.
#[derive(Clone, Debug)]
pub struct FarmCaOptions<'a> {
    /// Its name in certificates.
    pub farm_id: &'a str,
    /// Whether harvesters have certificates of these authorities: then no new ones are made.
    pub has_members: bool,
    /// Where the passphrase of their keys is, if a person has said so.
    pub passphrase: Option<PassphraseFile>,
}

/// A harvester's certificate, and what the registry keeps of it.
#[derive(Clone, Debug)]
pub struct IssuedCertificate {
    /// `BEGIN CERTIFICATE`.
    pub pem: String,
    /// For the registry.
    pub record: CertificateRecord,
}

/// Certificate chain and key as rustls takes them.
pub(super) type Chain = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl FarmCa {
    /// The authorities of a root, made where there are none, and the farmer's certificate, made anew where it does not
    /// fit or has less than a third of its time left. If the key of Chia's private CA is there and its cross-certificate
    /// is not, that key is read, once, to make it.
    ///
    /// # Errors
    /// When a file of theirs is missing or damaged, open to others, or cannot be written.
    pub fn open(root: &Root, options: &FarmCaOptions<'_>, now: impl Into<TimeSpan>) -> Result<Self, TlsError> {
        let now = now.into();
        let it = Self::of(root, options.farm_id);
        it.keys.set_source(options.passphrase.clone());
        files::create_private_dirs(&it.dir).map_err(|source| TlsError::Unwritable {
            path: it.dir.clone(),
            source,
        })?;
        it.make_or_check(options.has_members, now)?;
        match it.renew_farmer(now) {
            // A farm that cannot sign goes on with what it has; somebody is told.
            Err(error) if load_private(&it.farmer()).is_ok() => {
                tracing::warn!(target: "tls", "renew the farmer's certificate: {error}");
            }
            renewed => drop(renewed?),
        }
        if it.chia.crt.exists() && it.cross(now).is_none() && it.chia.key.exists() && it.chia_may_sign() {
            it.cross_sign(&Issuer::load(&it.chia, now.earliest)?, now)?;
        }
        Ok(it)
    }

    /// As [`Self::open`], for a farm without members.
    #[cfg(test)]
    pub fn open_or_make(root: &Root, farm_id: &str, now: impl Into<TimeSpan>) -> Result<Self, TlsError> {
        let options = FarmCaOptions {
            farm_id,
            has_members: false,
            passphrase: None,
        };
        Self::open(root, &options, now)
    }

    /// The places of a root. Reads nothing.
    pub(super) fn of(root: &Root, farm_id: &str) -> Self {
        let layout = SslLayout::of(root);
        Self {
            dir: root.farm_ca_dir(),
            keys: Arc::new(CaKeys::of(root)),
            farm_id: farm_id.to_owned(),
            chia: layout.ca(CertificateAuthority::Private),
            chia_farmer: layout.leaf(CertificateAuthority::Private, ServiceName::Farmer),
        }
    }

    /// Where they are.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The private keys of the authorities.
    #[must_use]
    pub fn keys(&self) -> &CaKeys {
        &self.keys
    }

    /// Whether the farm of a root can do without the key of Chia's private CA.
    #[must_use]
    pub fn is_set_up(root: &Root) -> bool {
        root.farm_ca_dir().join(CROSS).exists()
    }

    /// What the farmer shows: its certificate under the server CA with the cross-certificate. Where harvesters trust
    /// Chia's CA and there is no cross-certificate, the certificate of Chia's CA, as an official farmer.
    pub(super) fn farmer_chain(&self, trusts_chia: bool, now: TimeSpan) -> Result<Chain, TlsError> {
        if trusts_chia && self.cross(now).is_none() {
            return Ok(load_private(&self.chia_farmer)?.into_parts());
        }
        let (mut chain, key) = load_private(&self.farmer())?.into_parts();
        chain.extend(self.cross(now));
        let rotated = self.dir.join(ROTATED_CROSS);
        if rotated.exists() {
            chain.extend(read_certificates(&rotated)?);
        }
        Ok((chain, key))
    }

    /// What the farmer shows to a machine that joins and knows the key of the server CA.
    pub(super) fn enrolment_chain(&self) -> Result<Chain, TlsError> {
        Ok(load_private(&self.farmer())?.into_parts())
    }

    /// Whom the farmer trusts among enrolled harvesters.
    pub(super) fn client_anchors(&self) -> Result<RootCertStore, TlsError> {
        let mut anchors = read_anchors(&self.ca(Role::Client).crt)?;
        let old = self.dir.join(OLD_CLIENT_CA);
        if old.exists() {
            anchors.extend(read_anchors(&old)?.roots);
        }
        Ok(anchors)
    }

    /// Chia's private CA, if this root has it.
    pub(super) fn chia_anchors(&self) -> Result<Option<RootCertStore>, TlsError> {
        if !self.chia.crt.exists() {
            return Ok(None);
        }
        read_anchors(&self.chia.crt).map(Some)
    }

    /// Whether this root has Chia's private CA.
    #[must_use]
    pub fn has_chia_ca(&self) -> bool {
        self.chia.crt.exists()
    }

    /// Whether joined harvesters can connect beside those that trust Chia's CA.
    #[must_use]
    pub fn can_serve_both(&self, now: impl Into<TimeSpan>) -> bool {
        !self.has_chia_ca() || self.cross(now.into()).is_some()
    }

    /// The server CA's certificate, in PEM: what harvesters trust.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn server_ca_pem(&self) -> Result<String, TlsError> {
        read_text(&self.ca(Role::Server).crt)
    }

    /// The server CA's public key.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn server_key(&self) -> Result<CaKey, TlsError> {
        let path = self.ca(Role::Server).crt;
        let certificates = read_certificates(&path)?;
        ca_key(&certificates[0]).ok_or_else(|| bad_certificate(&path, &"its key is not P-256"))
    }

    /// Signs a certificate for a harvester's key. What the request asked for besides does not matter.
    ///
    /// # Errors
    /// When the client CA cannot be read or cannot sign.
    pub fn issue(
        &self,
        key: &RequestedKey,
        harvester: &HarvesterName,
        origin: MemberOrigin,
        now: impl Into<TimeSpan>,
    ) -> Result<IssuedCertificate, TlsError> {
        let now = now.into();
        let failed = |error: rcgen::Error| issue_error("a harvester's certificate", &error);
        let days = match origin {
            // It renews itself.
            MemberOrigin::Own => 365,
            MemberOrigin::Official | MemberOrigin::Csr | MemberOrigin::Legacy => 3650,
        };
        let mut id = [0; 16];
        fill(&mut id)?;
        let uri = format!("farmconsole:{}:harvester:{}", self.farm_id, hex::encode(id));
        let mut params = leaf_params(days, now)?;
        params.distinguished_name = name(&[(DnType::CommonName, harvester.as_str())]);
        params.subject_alt_names = vec![
            SanType::DnsName("chia.net".try_into().map_err(failed)?),
            SanType::URI(uri.try_into().map_err(failed)?),
        ];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let issuer = self.issuer(Role::Client, harvester.as_str(), now)?;
        let certificate = issuer.sign(&params, &key.public_key().map_err(failed)?)?;
        let facts = CertificateFacts::of(certificate.der())
            .ok_or_else(|| issue_error("a harvester's certificate", &"it cannot be read back"))?;
        Ok(IssuedCertificate {
            pem: certificate.pem(),
            record: facts.record,
        })
    }

    /// Makes new authorities. Until [`Self::finish_rotation`], certificates of the old ones count too: the old server CA
    /// has signed the new one, and the old client CA stays trusted.
    ///
    /// # Errors
    /// When a rotation is under way, or a file cannot be read or written.
    pub fn rotate(&self, now: impl Into<TimeSpan>) -> Result<(), TlsError> {
        let now = now.into();
        if self.is_rotating() {
            return Err(issue_error(
                "new authorities",
                &"a rotation is under way: `farmconsole ca rotate --finish` ends it",
            ));
        }
        let old = self.issuer(Role::Server, "new authorities", now)?;
        let (server, client) = (make_ca(Role::Server, now)?, make_ca(Role::Client, now)?);
        let key = public_key_of(&server.crt)?;
        let cross = old.sign(&server_cross_params(&key, now), &key)?;
        put(
            &self.dir.join(OLD_CLIENT_CA),
            &read_text(&self.ca(Role::Client).crt)?,
            CERTIFICATE_FILE,
        )?;
        put(&self.dir.join(ROTATED_CROSS), &cross.pem(), CERTIFICATE_FILE)?;
        // The keys first: a certificate without its key is never there.
        self.keys.replace(&server.key, &client.key)?;
        put(&self.ca(Role::Client).crt, &client.crt, CERTIFICATE_FILE)?;
        put(&self.ca(Role::Server).crt, &server.crt, CERTIFICATE_FILE)?;
        put_pair(&self.farmer(), &self.sign_farmer(now)?)?;
        if self.chia.key.exists() && self.chia_may_sign() {
            self.cross_sign(&Issuer::load(&self.chia, now.earliest)?, now)?;
        }
        Ok(())
    }

    /// Whether old authorities still count.
    #[must_use]
    pub fn is_rotating(&self) -> bool {
        self.dir.join(OLD_CLIENT_CA).exists()
    }

    /// Whether a harvester's certificate is of the authorities before these, or may be. Its dates say nothing: they follow
    /// from what is known of the time, which is less after the farmer was started than before.
    #[must_use]
    pub fn is_of_old(&self, certificate: &CertificateRecord) -> bool {
        let newest = read_certificates(&self.ca(Role::Client).crt).ok();
        let newest = newest.and_then(|it| CertificateFacts::of(it.first()?));
        self.is_rotating() && newest.is_none_or(|it| certificate.issuer != it.subject)
    }

    /// Ends what [`Self::rotate`] began: what the old authorities signed counts no more.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn finish_rotation(&self) -> Result<(), TlsError> {
        for file in [OLD_CLIENT_CA, ROTATED_CROSS] {
            let path = self.dir.join(file);
            match std::fs::remove_file(&path) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(TlsError::Unwritable { path, source });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Makes the farmer's certificate anew if it must be. True if it was.
    ///
    /// # Errors
    /// When a file is damaged or cannot be written.
    pub fn renew_farmer(&self, now: impl Into<TimeSpan>) -> Result<bool, TlsError> {
        let now = now.into();
        let paths = self.farmer();
        let identity = match load_private(&paths) {
            Ok(identity) => Some(identity),
            Err(error) if is_spoilt(&error) => {
                let is_first = !paths.crt.exists() && !paths.key.exists();
                if !is_first {
                    tracing::warn!(target: "tls", "{error}; the farmer's certificate is made anew");
                }
                None
            }
            Err(error) => return Err(error),
        };
        let is_fine = if let Some(identity) = &identity {
            let anchors = read_anchors(&self.ca(Role::Server).crt)?;
            let dates = CertificateFacts::of(identity.leaf()).map(|it| it.record);
            let (from, until) = dates.map_or((0, 0), |it| (it.not_before_unix_s, it.not_after_unix_s));
            let at = unix_time(now.nearest_to(from, until));
            let is_ours = verify_server(identity.leaf(), &[], anchors, at).is_ok();
            // Below a third it is renewed; far above what is given out, a clock was wrong.
            let left = until.saturating_sub(now.likely.seconds());
            let is_absurd = now.is_exact() && left > (FARMER_DAYS + 1) * DAY;
            is_ours && left > FARMER_DAYS * DAY / 3 && !is_absurd
        } else {
            false
        };
        if is_fine {
            return Ok(false);
        }
        let pair = self.sign_farmer(now)?;
        if identity.is_none() {
            // Whatever it is, a person may still want it.
            for path in [&paths.key, &paths.crt].into_iter().filter(|it| it.exists()) {
                files::set_aside(path).map_err(|source| TlsError::Unwritable {
                    path: path.clone(),
                    source,
                })?;
            }
        }
        put_pair(&paths, &pair)?;
        Ok(true)
    }

    fn sign_farmer(&self, now: TimeSpan) -> Result<PemPair, TlsError> {
        let failed = |error: rcgen::Error| issue_error("the farmer's certificate", &error);
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = leaf_params(FARMER_DAYS, now)?;
        params.distinguished_name = name(&[(DnType::CommonName, &format!("farmer {}", self.farm_id))]);
        params.subject_alt_names = vec![
            SanType::DnsName("chia.net".try_into().map_err(failed)?),
            SanType::DnsName(farmer_name(&self.farm_id).try_into().map_err(failed)?),
        ];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let issuer = self.issuer(Role::Server, "the farmer's own certificate", now)?;
        let certificate = issuer.sign(&params, &key)?;
        Ok(PemPair {
            crt: certificate.pem(),
            key: Zeroizing::new(key.serialize_pem()),
        })
    }

    /// The cross-certificate of Chia's private CA, if it leads from the farmer's certificate to the CA that is there.
    fn cross(&self, now: TimeSpan) -> Option<CertificateDer<'static>> {
        let cross = read_certificates(&self.dir.join(CROSS)).ok()?.into_iter().next()?;
        let leaf = read_certificates(&self.farmer().crt).ok()?.into_iter().next()?;
        let anchors = read_anchors(&self.chia.crt).ok()?;
        if !self.chia_may_sign() {
            return None;
        }
        let (first, second) = (
            CertificateFacts::of(&leaf)?.record,
            CertificateFacts::of(&cross)?.record,
        );
        let from = first.not_before_unix_s.max(second.not_before_unix_s);
        let until = first.not_after_unix_s.min(second.not_after_unix_s);
        let at = unix_time(now.nearest_to(from, until));
        verify_server(&leaf, std::slice::from_ref(&cross), anchors, at).ok()?;
        Some(cross)
    }

    /// Whether the CA that is called Chia's may sign another CA. Official ones may; of ours, those of the first releases
    /// may not (path length 0), which OpenSSL looks at in the CA itself and our verifier does not.
    fn chia_may_sign(&self) -> bool {
        use x509_parser::prelude::{FromDer, X509Certificate};

        let certificates = read_certificates(&self.chia.crt).unwrap_or_default();
        certificates.first().is_some_and(|der| {
            let x509 = X509Certificate::from_der(der).ok().map(|(_, x509)| x509);
            let basic = x509.as_ref().and_then(|it| it.basic_constraints().ok().flatten());
            basic.is_some_and(|it| it.value.ca && it.value.path_len_constraint.is_none())
        })
    }

    fn cross_sign(&self, chia: &Issuer, now: TimeSpan) -> Result<(), TlsError> {
        let key = public_key_of(&self.server_ca_pem()?)?;
        let cross = chia.sign(&server_cross_params(&key, now), &key)?;
        put(&self.dir.join(CROSS), &cross.pem(), CERTIFICATE_FILE)?;
        tracing::info!(
            target: "tls",
            "Chia's private CA ({}) has signed this farm's server CA; its key is not needed here any more",
            self.chia.crt.display()
        );
        Ok(())
    }

    /// An authority that can sign; `what_for` is told if its key is locked.
    fn issuer(&self, role: Role, what_for: &str, now: TimeSpan) -> Result<Issuer, TlsError> {
        let paths = self.ca(role);
        let (crt, key) = (read_text(&paths.crt)?, self.keys.key(role, what_for)?);
        let public = KeyPair::from_pem(&key).map_err(|error| bad_key(&paths.key, &error))?;
        if ca_key(&read_certificates(&paths.crt)?[0]) != compressed(public.public_key_raw()) {
            return Err(TlsError::KeyMismatch {
                crt: paths.crt,
                key: paths.key,
            });
        }
        Issuer::of_pem(PemPair { crt, key }, now.earliest)
    }

    pub(super) fn ca(&self, role: Role) -> CertificatePaths {
        pair(&self.dir, role.file())
    }

    pub(super) fn farmer(&self) -> CertificatePaths {
        pair(&self.dir, "farmer")
    }
}

/// Whether a certificate or its key is gone or no such thing any more; not if somebody may just not read it.
fn is_spoilt(error: &TlsError) -> bool {
    match error {
        TlsError::Unreadable { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
        TlsError::BadCertificate { .. } | TlsError::BadKey { .. } | TlsError::KeyMismatch { .. } => true,
        _ => false,
    }
}

pub(super) fn put_pair(paths: &CertificatePaths, pem: &PemPair) -> Result<(), TlsError> {
    // The key first: a certificate without its key is never there.
    put(&paths.key, &pem.key, PRIVATE_FILE)?;
    put_certificate(&paths.crt, &pem.crt)
}

pub(super) fn put_certificate(path: &Path, text: &str) -> Result<(), TlsError> {
    put(path, text, CERTIFICATE_FILE)
}

fn put(path: &Path, text: &str, mode: u32) -> Result<(), TlsError> {
    files::replace_file(path, text.as_bytes(), FileMode::Exactly(mode)).map_err(|source| TlsError::Unwritable {
        path: path.to_path_buf(),
        source,
    })
}

fn read_text(path: &Path) -> Result<String, TlsError> {
    let bytes = super::identity::read(path)?;
    std::str::from_utf8(&bytes)
        .map(str::to_owned)
        .map_err(|error| bad_certificate(path, &error))
}

fn pair(dir: &Path, name: &str) -> CertificatePaths {
    CertificatePaths {
        crt: dir.join(format!("{name}.crt")),
        key: dir.join(format!("{name}.key")),
    }
}

/// The server CA, signed by Chia's private CA.
const CROSS: &str = "server_ca_by_chia.crt";
/// The server CA, signed by the one before it.
const ROTATED_CROSS: &str = "server_ca_by_old.crt";
/// The client CA before this one.
const OLD_CLIENT_CA: &str = "client_ca_old.crt";
