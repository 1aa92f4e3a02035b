//! Who is let in at the farmer's port: a certificate must be good *and* its harvester allowed.
//!
//! Everything cryptographic is the stock verifier's. One that trusts the farm's client CA is asked first, then one that
//! trusts Chia's private CA, so that it is known which of the two vouches; then the registry is asked. What
//! time it is says [`TrustedClock`], so that no wrong clock stops a farm. The beginning of a certificate that is listed
//! does not matter, since being listed says more; when its end has certainly passed, it is good for a renewal alone.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error as RustlsError, RootCertStore, SignatureScheme,
};

use super::{CertificateFacts, TrustedClock, peer_id};
use crate::ids::PeerId;
use crate::registry::{AllowList, CertificateRecord, Verdict};

/// The verifiers of one farm, shared by its connections.
#[derive(Clone, Debug)]
pub(super) struct Doors {
    /// Trusts the farm's client CA.
    pub(super) farm: Option<Arc<dyn ClientCertVerifier>>,
    /// Trusts Chia's private CA.
    pub(super) chia: Option<Arc<dyn ClientCertVerifier>>,
    /// Whom else a certificate of a stranger may be of, to be able to say so.
    pub(super) known: Arc<Vec<(String, RootCertStore)>>,
}

/// What became of the certificate that one connection showed.
#[derive(Clone, Debug, Default)]
pub struct Examined(Arc<Mutex<Option<Examination>>>);

/// A certificate, and what was said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examination {
    /// The certificate; none if it cannot be read.
    pub facts: Option<CertificateFacts>,
    /// What stands against it; nothing if it was let in.
    pub objection: Option<Objection>,
}

/// Why a certificate was not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Objection {
    /// The verifier's reason, which the TLS error says too.
    NotValid,
    /// Signed by a CA that is known, but not for harvesters of this farm.
    OtherCa {
        /// Which, as a fragment.
        which: String,
    },
    /// Its harvester was revoked.
    Revoked,
    /// A person has to approve it.
    Pending,
    /// Good, but not in the registry.
    NotListed,
    /// Of Chia's private CA, which does not count any more.
    LegacyOff,
    /// Of another service of the farmer's own root.
    OtherService {
        /// Which.
        service: &'static str,
    },
}

impl Examined {
    /// What was found; nothing before a certificate was shown.
    #[must_use]
    pub fn take(&self) -> Option<Examination> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, examination: Examination) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(examination);
    }
}

/// The verifier of one connection.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) doors: Doors,
    pub(super) list: Arc<AllowList>,
    pub(super) time: Arc<TrustedClock>,
    /// Whether the connection is for nothing but a new certificate.
    pub(super) is_renewal: bool,
    pub(super) examined: Examined,
    /// Any of the doors: which signatures are understood does not depend on whom it trusts.
    pub(super) any: Arc<dyn ClientCertVerifier>,
}

impl Gate {
    /// A harvester's certificate is signed by an authority itself, so what is sent along leads nowhere and is not looked
    /// at. OpenSSL sends the authority's own certificate along. Judged as an intermediate, and as of a moment that is
    /// right for the leaf, it may not have begun, and that would be told instead of what is wrong, or of nothing wrong.
    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        facts: Option<&CertificateFacts>,
    ) -> Result<ClientCertVerified, (Objection, RustlsError)> {
        let id = peer_id(leaf);
        let verdict = self.list.judge(id);
        let revoked = || (Objection::Revoked, CertificateError::Revoked.into());
        if verdict == Verdict::Revoked {
            return Err(revoked());
        }
        let Some(facts) = facts else {
            return Err((Objection::NotValid, CertificateError::BadEncoding.into()));
        };
        let at = self.moment(id, facts);
        let refused = |objection| (objection, CertificateError::ApplicationVerificationFailure.into());
        let of_farm = self.doors.farm.as_ref();
        let of_farm = of_farm.map(|door| door.verify_client_cert(leaf, &[], at));
        match of_farm {
            Some(Ok(verified)) => {
                return match verdict {
                    Verdict::Allowed => Ok(verified),
                    _ => Err(refused(Objection::NotListed)),
                };
            }
            Some(Err(error)) if !is_other_ca(&error) || self.doors.chia.is_none() => {
                return Err(self.with_known_ca(leaf, at, error));
            }
            _ => {}
        }
        let Some(chia) = &self.doors.chia else {
            return Err(refused(Objection::NotListed));
        };
        let verified = chia
            .verify_client_cert(leaf, &[], at)
            .map_err(|error| self.with_known_ca(leaf, at, error))?;
        if let Some(service) = self.list.other_service(id) {
            return Err(refused(Objection::OtherService { service }));
        }
        match self.list.handle_legacy(facts.record.clone(), at.as_secs()) {
            Verdict::Allowed => Ok(verified),
            Verdict::Pending => Err(refused(Objection::Pending)),
            Verdict::Revoked => Err(revoked()),
            Verdict::Unknown => Err(refused(Objection::LegacyOff)),
        }
    }

    /// As of when to judge a certificate.
    fn moment(&self, id: PeerId, facts: &CertificateFacts) -> UnixTime {
        let span = self.time.span();
        let now = span.earliest.seconds();
        let seconds = match self.list.validity(id) {
            Some((from, until)) if self.is_renewal => now.clamp(from, until.max(from)),
            Some((from, _)) => now.max(from),
            None => {
                let CertificateRecord {
                    not_before_unix_s: from,
                    not_after_unix_s: until,
                    ..
                } = facts.record;
                span.nearest_to(from, until).seconds()
            }
        };
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    /// Names the CA of a certificate that none of ours has signed, if it is one that is known. All of Chia's CAs have
    /// one name, so only trying the signature tells them apart.
    fn with_known_ca(&self, leaf: &CertificateDer<'_>, now: UnixTime, error: RustlsError) -> (Objection, RustlsError) {
        if is_other_ca(&error) {
            for (which, anchors) in self.doors.known.iter() {
                let door = super::config::client_verifier(anchors.clone());
                if door.is_ok_and(|door| door.verify_client_cert(leaf, &[], now).is_ok()) {
                    return (Objection::OtherCa { which: which.clone() }, error);
                }
            }
        }
        (Objection::NotValid, error)
    }
}

fn is_other_ca(error: &RustlsError) -> bool {
    matches!(
        error,
        RustlsError::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)
    )
}

impl ClientCertVerifier for Gate {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // Harvesters have one certificate and send it whatever is hinted; the names would tell strangers of the farm.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _sent_along: &[CertificateDer<'_>],
        _clock: UnixTime,
    ) -> Result<ClientCertVerified, RustlsError> {
        let facts = CertificateFacts::of(end_entity);
        let judged = self.judge(end_entity, facts.as_ref());
        let (objection, result) = match judged {
            Ok(verified) => (None, Ok(verified)),
            Err((objection, error)) => (Some(objection), Err(error)),
        };
        self.examined.put(Examination { facts, objection });
        result
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RustlsError> {
        self.any.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RustlsError> {
        self.any.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.any.supported_verify_schemes()
    }
}
