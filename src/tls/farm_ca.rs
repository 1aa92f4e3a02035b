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
//! The keys are read when something is to be signed, and wiped after.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PublicKeyData, SanType, SerialNumber,
};
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, TrustAnchor};
use zeroize::Zeroizing;

use super::config::{load_private, verify_server};
use super::identity::{read_anchors, read_certificates};
use super::issue::{Issuer, PemPair, back_date, bad_certificate, issue_error, name, unix_time};
use super::{
    CertificateAuthority, CertificateFacts, CertificatePaths, RequestedKey, ServiceName, SslLayout, TlsError, peer_id,
};
use crate::clock::UnixMillis;
use crate::config::HarvesterName;
use crate::config::Root;
use crate::config::files::{self, CERTIFICATE_FILE, FileMode, PRIVATE_FILE};
use crate::registry::{CertificateRecord, MemberOrigin};

/// Public key of a server CA, as a compressed P-256 point: what a token carries.
pub type CaKey = [u8; 33];

/// The authorities of one farm. Holds no key.
#[derive(Clone, Debug)]
pub struct FarmCa {
    dir: PathBuf,
    farm_id: String,
    /// Chia's private CA of this root.
    chia: CertificatePaths,
    /// Certificate that an official farmer of this root would show.
    chia_farmer: CertificatePaths,
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
    /// When a file is damaged or open to others, or cannot be written.
    pub fn open_or_make(root: &Root, farm_id: &str, now: UnixMillis) -> Result<Self, TlsError> {
        let layout = SslLayout::of(root);
        let it = Self {
            dir: root.farm_ca_dir(),
            farm_id: farm_id.to_owned(),
            chia: layout.ca(CertificateAuthority::Private),
            chia_farmer: layout.leaf(CertificateAuthority::Private, ServiceName::Farmer),
        };
        files::create_private_dirs(&it.dir).map_err(|source| TlsError::Unwritable {
            path: it.dir.clone(),
            source,
        })?;
        for role in [Role::Client, Role::Server] {
            let paths = it.ca(role);
            if !paths.crt.exists() {
                put_pair(&paths, &make_ca(role, now)?)?;
            }
        }
        it.renew_farmer(now)?;
        if it.chia.crt.exists() && it.cross(now).is_none() && it.chia.key.exists() && it.chia_may_sign() {
            it.cross_sign(&Issuer::load(&it.chia, now)?, now)?;
        }
        Ok(it)
    }

    /// Whether the farm of a root can do without the key of Chia's private CA.
    #[must_use]
    pub fn is_set_up(root: &Root) -> bool {
        root.farm_ca_dir().join(CROSS).exists()
    }

    /// What the farmer shows: its certificate under the server CA with the cross-certificate. Where harvesters trust
    /// Chia's CA and there is no cross-certificate, the certificate of Chia's CA, as an official farmer.
    pub(super) fn farmer_chain(&self, trusts_chia: bool, now: UnixMillis) -> Result<Chain, TlsError> {
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
    pub fn can_serve_both(&self, now: UnixMillis) -> bool {
        !self.has_chia_ca() || self.cross(now).is_some()
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
        now: UnixMillis,
    ) -> Result<IssuedCertificate, TlsError> {
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
        let issuer = self.issuer(Role::Client, now)?;
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
    pub fn rotate(&self, now: UnixMillis) -> Result<(), TlsError> {
        if self.is_rotating() {
            return Err(issue_error(
                "new authorities",
                &"a rotation is under way: finish it first",
            ));
        }
        let old = self.issuer(Role::Server, now)?;
        let (server, client) = (make_ca(Role::Server, now)?, make_ca(Role::Client, now)?);
        let key = public_key_of(&server.crt)?;
        let cross = old.sign(&server_cross_params(&key, now), &key)?;
        put(
            &self.dir.join(OLD_CLIENT_CA),
            &read_text(&self.ca(Role::Client).crt)?,
            CERTIFICATE_FILE,
        )?;
        put(&self.dir.join(ROTATED_CROSS), &cross.pem(), CERTIFICATE_FILE)?;
        put_pair(&self.ca(Role::Client), &client)?;
        put_pair(&self.ca(Role::Server), &server)?;
        self.make_farmer(now)?;
        if self.chia.key.exists() && self.chia_may_sign() {
            self.cross_sign(&Issuer::load(&self.chia, now)?, now)?;
        }
        Ok(())
    }

    /// Whether old authorities still count.
    #[must_use]
    pub fn is_rotating(&self) -> bool {
        self.dir.join(OLD_CLIENT_CA).exists()
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
    pub fn renew_farmer(&self, now: UnixMillis) -> Result<bool, TlsError> {
        let paths = self.farmer();
        let is_fine = paths.crt.exists() && {
            let identity = load_private(&paths)?;
            let anchors = read_anchors(&self.ca(Role::Server).crt)?;
            let until = CertificateFacts::of(identity.leaf()).map_or(0, |it| it.record.not_after_unix_s);
            let left = until.saturating_sub(now.seconds());
            let is_ours = verify_server(identity.leaf(), &[], anchors, unix_time(now)).is_ok();
            // Below a third it is renewed; far above what is given out, a clock was wrong.
            is_ours && left > FARMER_DAYS * DAY / 3 && left <= (FARMER_DAYS + 1) * DAY
        };
        if is_fine {
            return Ok(false);
        }
        self.make_farmer(now)?;
        Ok(true)
    }

    fn make_farmer(&self, now: UnixMillis) -> Result<(), TlsError> {
        let failed = |error: rcgen::Error| issue_error("the farmer's certificate", &error);
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = leaf_params(FARMER_DAYS, now)?;
        params.distinguished_name = name(&[(DnType::CommonName, &format!("farmer {}", self.farm_id))]);
        params.subject_alt_names = vec![
            SanType::DnsName("chia.net".try_into().map_err(failed)?),
            SanType::DnsName(farmer_name(&self.farm_id).try_into().map_err(failed)?),
        ];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = self.issuer(Role::Server, now)?.sign(&params, &key)?;
        put_pair(
            &self.farmer(),
            &PemPair {
                crt: certificate.pem(),
                key: Zeroizing::new(key.serialize_pem()),
            },
        )
    }

    /// The cross-certificate of Chia's private CA, if it leads from the farmer's certificate to the CA that is there.
    fn cross(&self, now: UnixMillis) -> Option<CertificateDer<'static>> {
        let cross = read_certificates(&self.dir.join(CROSS)).ok()?.into_iter().next()?;
        let leaf = read_certificates(&self.farmer().crt).ok()?.into_iter().next()?;
        let anchors = read_anchors(&self.chia.crt).ok()?;
        if !self.chia_may_sign() {
            return None;
        }
        verify_server(&leaf, std::slice::from_ref(&cross), anchors, unix_time(now)).ok()?;
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

    fn cross_sign(&self, chia: &Issuer, now: UnixMillis) -> Result<(), TlsError> {
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

    fn issuer(&self, role: Role, now: UnixMillis) -> Result<Issuer, TlsError> {
        let paths = self.ca(role);
        load_private(&paths)?;
        Issuer::load(&paths, now)
    }

    fn ca(&self, role: Role) -> CertificatePaths {
        pair(&self.dir, role.file())
    }

    fn farmer(&self) -> CertificatePaths {
        pair(&self.dir, "farmer")
    }
}

/// The name that a farmer's certificate has for harvesters that joined: theirs alone, unlike `chia.net`.
#[must_use]
pub fn farmer_name(farm_id: &str) -> String {
    format!("farmer.{farm_id}.farmconsole.internal")
}

/// The same as rustls takes it; none if `farm_id` is no part of a name.
#[must_use]
pub fn farmer_server_name(farm_id: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(farmer_name(farm_id)).ok()
}

/// The server CA whose key a token carries, as something to trust.
pub(super) fn anchor_of_key(key: &CaKey) -> TrustAnchor<'static> {
    TrustAnchor {
        subject: subject(Role::Server, key).into(),
        subject_public_key_info: [&SPKI_HEAD, key.as_slice()].concat().into(),
        name_constraints: None,
    }
}

/// The key of a CA certificate as a compressed point; none if it is not P-256.
#[must_use]
pub fn ca_key(der: &[u8]) -> Option<CaKey> {
    use x509_parser::prelude::{FromDer, X509Certificate};

    let (_, x509) = X509Certificate::from_der(der).ok()?;
    let point = x509.public_key().subject_public_key.data.as_ref();
    compressed(point)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Server,
    Client,
}

impl Role {
    const fn file(self) -> &'static str {
        match self {
            Self::Server => "server_ca",
            Self::Client => "client_ca",
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Server => "server CA",
            Self::Client => "client CA",
        }
    }
}

fn make_ca(role: Role, now: UnixMillis) -> Result<PemPair, TlsError> {
    let failed = |error: rcgen::Error| issue_error("a CA", &error);
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = ca_params(role, &key, now).self_signed(&key).map_err(failed)?;
    Ok(PemPair {
        crt: certificate.pem(),
        key: Zeroizing::new(key.serialize_pem()),
    })
}

/// A CA's certificate. Its name follows from its key, so that the key alone is enough to trust it.
fn ca_params(role: Role, key: &impl PublicKeyData, now: UnixMillis) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name(&[(DnType::CommonName, &ca_name(role, key.der_bytes()))]);
    back_date(&mut params, now);
    params.not_after = params.not_before + Duration::from_secs(CA_DAYS * DAY);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

/// The server CA's certificate as another CA signs it.
fn server_cross_params(key: &impl PublicKeyData, now: UnixMillis) -> CertificateParams {
    let mut params = ca_params(Role::Server, key, now);
    // What keeps harvesters' certificates out of everything else that trusts the other CA.
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params
}

fn ca_name(role: Role, point: &[u8]) -> String {
    let key = compressed(point).unwrap_or([0; 33]);
    format!("Farmconsole {} {}", role.words(), hex::encode(&peer_id(&key).0[..4]))
}

/// The name of a CA as it stands in certificates: one common name, DER without the outer frame.
fn subject(role: Role, key: &CaKey) -> Vec<u8> {
    let text = ca_name(role, key);
    let framed = |tag: u8, content: &[u8]| -> Vec<u8> {
        // Names of CAs are far shorter than 128 bytes.
        let length = u8::try_from(content.len()).unwrap_or(u8::MAX);
        [&[tag, length], content].concat()
    };
    let value = [COMMON_NAME.as_slice(), &framed(UTF8_STRING, text.as_bytes())].concat();
    framed(SET, &framed(SEQUENCE, &value))
}

/// A P-256 point of 65 bytes (or 33), in 33.
fn compressed(point: &[u8]) -> Option<CaKey> {
    if let Ok(key) = CaKey::try_from(point)
        && matches!(key[0], 2 | 3)
    {
        return Some(key);
    }
    let (4, [xy @ .., last]) = (*point.first()?, point.get(1..)?) else {
        return None;
    };
    let x = xy.get(..32)?;
    let mut key = [2 + (last & 1); 33];
    key[1..].copy_from_slice(x);
    (point.len() == 65).then_some(key)
}

fn public_key_of(pem: &str) -> Result<rcgen::SubjectPublicKeyInfo, TlsError> {
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use x509_parser::prelude::{FromDer, X509Certificate};

    let failed = |error: &dyn std::fmt::Display| issue_error("a cross-certificate", &error.to_string());
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| failed(&error))?;
    let (_, x509) = X509Certificate::from_der(&der).map_err(|error| failed(&error))?;
    rcgen::SubjectPublicKeyInfo::from_der(x509.public_key().raw).map_err(|error| failed(&error))
}

fn leaf_params(days: u64, now: UnixMillis) -> Result<CertificateParams, TlsError> {
    let mut serial = [0; 16];
    fill(&mut serial)?;
    // Positive, and not shorter than it looks.
    serial[0] = serial[0] & 0x7f | 0x40;
    let mut params = CertificateParams::default();
    back_date(&mut params, now);
    params.not_after = params.not_before + Duration::from_secs((days + 1) * DAY);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn fill(bytes: &mut [u8]) -> Result<(), TlsError> {
    getrandom::fill(bytes).map_err(|error| issue_error("a certificate", &error))
}

fn put_pair(paths: &CertificatePaths, pem: &PemPair) -> Result<(), TlsError> {
    // The key first: a certificate without its key is never there.
    put(&paths.key, &pem.key, PRIVATE_FILE)?;
    put(&paths.crt, &pem.crt, CERTIFICATE_FILE)
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

const DAY: u64 = 86_400;
/// Longer than the plots will be farmed.
const CA_DAYS: u64 = 20 * 365;
/// The farmer renews its own.
const FARMER_DAYS: u64 = 365;

const SET: u8 = 0x31;
const SEQUENCE: u8 = 0x30;
const UTF8_STRING: u8 = 0x0c;
/// 2.5.4.3.
const COMMON_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x03];

/// What stands before a compressed P-256 point in the content of a SubjectPublicKeyInfo.
const SPKI_HEAD: [u8; 24] = [
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03,
    0x01, 0x07, 0x03, 0x22, 0x00,
];
