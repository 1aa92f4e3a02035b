//! What a certificate says of itself, for the registry and for people.

use std::fmt;

use sha2::{Digest, Sha256};
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::peer_id;
use crate::ids::Bytes32;
use crate::logging::strip_invisible;
use crate::registry::CertificateRecord;

/// Readable parts of a certificate that somebody showed. Foreign text in it is safe to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// For the registry.
    pub record: CertificateRecord,
    /// Whom it names, as `CN=rack1-a`.
    pub subject: String,
    /// Who signed it, by name. All of Chia's CAs have one name.
    pub issuer: String,
    /// Id of the signer's key, in hex, where it says so.
    pub issuer_key: Option<String>,
}

impl fmt::Display for CertificateFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "certificate {} of {:?}, signed by {:?}",
            self.record.sha256, self.subject, self.issuer
        )?;
        match &self.issuer_key {
            Some(key) => write!(f, " with the key {key}"),
            None => Ok(()),
        }
    }
}

impl CertificateFacts {
    /// Reads a certificate (DER); none if it is none.
    #[must_use]
    pub fn of(der: &[u8]) -> Option<Self> {
        let (_, x509) = X509Certificate::from_der(der).ok()?;
        let seconds = |time: i64| u64::try_from(time).unwrap_or(0);
        let issuer_key = x509.extensions().iter().find_map(|it| match it.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(id) => Some(hex::encode(id.key_identifier.as_ref()?.0)),
            _ => None,
        });
        let shown = |text: String| strip_invisible(&text).chars().take(120).collect();
        Some(Self {
            record: CertificateRecord {
                sha256: peer_id(der),
                spki_sha256: Bytes32(Sha256::digest(x509.public_key().raw).into()),
                serial: hex::encode(x509.raw_serial()),
                not_before_unix_s: seconds(x509.validity().not_before.timestamp()),
                not_after_unix_s: seconds(x509.validity().not_after.timestamp()),
                issuer: shown(x509.issuer().to_string()),
            },
            subject: shown(x509.subject().to_string()),
            issuer: shown(x509.issuer().to_string()),
            issuer_key,
        })
    }
}
