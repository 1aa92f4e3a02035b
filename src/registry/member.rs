//! One harvester of the registry.

use serde::{Deserialize, Serialize};

use crate::config::HarvesterName;
use crate::ids::{Bytes32, PeerId};

/// What is kept of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRecord {
    /// SHA-256 of the certificate: the node id.
    pub sha256: PeerId,
    /// SHA-256 of its public key (SubjectPublicKeyInfo).
    pub spki_sha256: Bytes32,
    /// Serial number, in hex.
    pub serial: String,
    /// Valid from, unix seconds.
    pub not_before_unix_s: u64,
    /// Valid until, unix seconds.
    pub not_after_unix_s: u64,
    /// Name of the authority that signed it, of which each has its own; empty in what older versions wrote, and then not
    /// written, so that the checksum of their files stays right.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub issuer: String,
}

/// How a harvester came to its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberOrigin {
    /// Enrolled: a farmconsole harvester, which renews its certificate itself.
    Own,
    /// Enrolled: an official harvester.
    Official,
    /// A request that was signed by hand.
    Csr,
    /// Certificate of Chia's private CA.
    Legacy,
}

/// Whether a harvester may connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Standing {
    /// It may.
    Allowed,
    /// It waits for a person.
    Pending,
    /// Never again.
    Revoked {
        /// Since when, unix seconds.
        at_unix_s: u64,
    },
}

/// One harvester.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// What people call it.
    pub name: Option<HarvesterName>,
    /// How it came to its certificate.
    pub origin: MemberOrigin,
    /// Whether it may connect.
    pub standing: Standing,
    /// Its certificates, oldest first; more than one while a new one has not connected yet.
    pub certificates: Vec<CertificateRecord>,
    /// When it was entered, unix seconds.
    pub since_unix_s: u64,
    /// First connection, unix seconds.
    pub first_seen_unix_s: Option<u64>,
    /// Last connection, unix seconds.
    pub last_seen_unix_s: Option<u64>,
    /// IP address of the last connection, or of the last attempt while it waits to be let in.
    pub last_address: Option<String>,
    /// Software, as it called itself then.
    pub software: Option<String>,
    /// What a person wrote about it.
    #[serde(default)]
    pub note: String,
    /// SHA-256 of the keys (SPKI) of the certificates of Chia's private CA that it had before it got one of the farm.
    /// Whoever comes with one of them once it is revoked stays out; who has come with it before is another one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_keys: Vec<Bytes32>,
}

impl Member {
    pub(super) fn new(
        name: Option<HarvesterName>,
        origin: MemberOrigin,
        standing: Standing,
        certificate: CertificateRecord,
        since_unix_s: u64,
    ) -> Self {
        Self {
            name,
            origin,
            standing,
            certificates: vec![certificate],
            since_unix_s,
            first_seen_unix_s: None,
            last_seen_unix_s: None,
            last_address: None,
            software: None,
            note: String::new(),
            former_keys: Vec::new(),
        }
    }

    /// Whether it was revoked.
    #[must_use]
    pub const fn is_revoked(&self) -> bool {
        matches!(self.standing, Standing::Revoked { .. })
    }

    /// Whether one of its certificates is for this key (SHA-256 of its SPKI).
    pub(super) fn has_key(&self, spki_sha256: Bytes32) -> bool {
        self.certificates.iter().any(|it| it.spki_sha256 == spki_sha256)
    }

    /// The certificate it should use.
    #[must_use]
    pub fn newest(&self) -> Option<&CertificateRecord> {
        self.certificates.last()
    }

    /// Name, else address, else the beginning of the fingerprint.
    #[must_use]
    pub fn shown(&self) -> String {
        let name = self.name.as_ref().map(ToString::to_string);
        let fingerprint = || self.newest().map(|it| it.sha256.short()).unwrap_or_default();
        name.or_else(|| self.last_address.clone()).unwrap_or_else(fingerprint)
    }

    pub(super) fn add_certificate(&mut self, origin: MemberOrigin, certificate: CertificateRecord) {
        if self.origin == MemberOrigin::Legacy {
            self.former_keys
                .extend(self.certificates.iter().map(|it| it.spki_sha256));
        }
        self.origin = origin;
        self.standing = Standing::Allowed;
        self.certificates.push(certificate);
        if self.certificates.len() > MAX_CERTIFICATES {
            // The one in use and the newest stay; one in between never connected.
            self.certificates.remove(1);
        }
    }

    /// True if older certificates were dropped.
    pub(super) fn handle_connected(&mut self, with: PeerId, address: &str, software: &str, now_unix_s: u64) -> bool {
        self.first_seen_unix_s.get_or_insert(now_unix_s);
        self.last_seen_unix_s = Some(now_unix_s);
        self.last_address = Some(address.to_owned());
        self.software = Some(software.to_owned());
        let is_newest = self.newest().is_some_and(|it| it.sha256 == with);
        if !is_newest || self.certificates.len() == 1 {
            return false;
        }
        self.certificates.retain(|it| it.sha256 == with);
        true
    }
}

/// Certificates of one harvester: the one in use, and those it was given since and has not used.
const MAX_CERTIFICATES: usize = 4;
