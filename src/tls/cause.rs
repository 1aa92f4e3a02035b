//! Why a TLS handshake failed, in one word.

use std::fmt;
use std::io;

use tokio_rustls::rustls::{AlertDescription, CertificateError, Error as RustlsError, PeerIncompatible};

/// Why a peer was refused, or refused us, before it was known who it is. `Display` is a fragment that fits after
/// "refused 10.0.0.7:".
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusalCause {
    /// Its certificate is signed by another CA than the one we trust. (Another CA of the same name shows as a wrong
    /// signature; it is the same mistake and the same answer.)
    UnknownCa,
    /// It showed no certificate.
    NoCertificate,
    /// Its certificate has expired, by our clock.
    Expired,
    /// Its certificate is not valid yet, by our clock.
    NotValidYet,
    /// Its certificate does not carry the name `chia.net`.
    WrongName,
    /// Its certificate must not be used in this role (extended key usage).
    WrongPurpose,
    /// Its certificate is damaged or uses something we do not know.
    BadCertificate {
        /// What the verifier says.
        reason: String,
    },
    /// It speaks TLS, but not version 1.3.
    TlsTooOld,
    /// What it sent is not TLS.
    NotTls,
    /// It ended the handshake because it does not accept our certificate.
    RefusedOurCertificate {
        /// Its alert, as TLS names it.
        alert: String,
    },
    /// It ended the handshake for another reason.
    PeerAlert {
        /// Its alert, as TLS names it.
        alert: String,
    },
    /// It closed or reset the connection during the handshake.
    Closed,
    /// It let the time for the handshake pass.
    TimedOut,
    /// Something else.
    Other {
        /// What the library says.
        reason: String,
    },
}

impl fmt::Display for RefusalCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownCa => f.write_str("its certificate is signed by another CA"),
            Self::NoCertificate => f.write_str("it shows no certificate"),
            Self::Expired => f.write_str("its certificate has expired"),
            Self::NotValidYet => f.write_str("its certificate is not valid yet (is a clock wrong?)"),
            Self::WrongName => f.write_str("its certificate is not one of Chia software (name chia.net)"),
            Self::WrongPurpose => f.write_str("its certificate is not meant for this side of the connection"),
            Self::BadCertificate { reason } => write!(f, "its certificate is not usable: {reason}"),
            Self::TlsTooOld => f.write_str("it does not speak TLS 1.3"),
            Self::NotTls => f.write_str("it does not speak TLS"),
            Self::RefusedOurCertificate { alert } => write!(f, "it does not accept our certificate ({alert})"),
            Self::PeerAlert { alert } => write!(f, "it ended the TLS handshake ({alert})"),
            Self::Closed => f.write_str("it closed the connection during the TLS handshake"),
            Self::TimedOut => f.write_str("it did not finish the TLS handshake in time"),
            Self::Other { reason } => write!(f, "the TLS handshake failed: {reason}"),
        }
    }
}

impl From<&RustlsError> for RefusalCause {
    fn from(error: &RustlsError) -> Self {
        match error {
            RustlsError::InvalidCertificate(reason) => certificate_cause(reason),
            RustlsError::NoCertificatesPresented => Self::NoCertificate,
            RustlsError::PeerIncompatible(
                PeerIncompatible::SupportedVersionsExtensionRequired
                | PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled
                | PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
            ) => Self::TlsTooOld,
            // Before the handshake is under way these are what the first bytes of another protocol look like.
            RustlsError::InvalidMessage(_)
            | RustlsError::InappropriateMessage { .. }
            | RustlsError::InappropriateHandshakeMessage { .. }
            | RustlsError::PeerSentOversizedRecord => Self::NotTls,
            RustlsError::AlertReceived(alert) => alert_cause(*alert),
            other => Self::Other {
                reason: other.to_string(),
            },
        }
    }
}

/// Why a handshake ended with `error`, which is what `tokio_rustls` gives: a rustls error inside, or an error of the
/// connection below.
#[must_use]
pub fn cause(error: &io::Error) -> RefusalCause {
    if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<RustlsError>()) {
        return tls.into();
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => RefusalCause::Closed,
        io::ErrorKind::TimedOut => RefusalCause::TimedOut,
        _ => RefusalCause::Other {
            reason: error.to_string(),
        },
    }
}

fn certificate_cause(error: &CertificateError) -> RefusalCause {
    match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => RefusalCause::UnknownCa,
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => RefusalCause::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => RefusalCause::NotValidYet,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => RefusalCause::WrongName,
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => RefusalCause::WrongPurpose,
        CertificateError::Other(other) => RefusalCause::BadCertificate {
            reason: verifier_words(&other.to_string()),
        },
        other => RefusalCause::BadCertificate {
            reason: other.to_string(),
        },
    }
}

/// What the verifier calls by names of its own; both are what openssl makes when it is asked for little.
fn verifier_words(name: &str) -> String {
    match name {
        "UnsupportedCertVersion" => "it is one of X.509 version 1, and version 3 is needed".to_owned(),
        "CaUsedAsEndEntity" => "it is that of a CA itself, as one that somebody has signed for himself".to_owned(),
        other => other.to_owned(),
    }
}

fn alert_cause(alert: AlertDescription) -> RefusalCause {
    let name = format!("{alert:?}");
    match alert {
        AlertDescription::ProtocolVersion => RefusalCause::TlsTooOld,
        AlertDescription::NoCertificate
        | AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied
        | AlertDescription::DecryptError
        | AlertDescription::CertificateRequired => RefusalCause::RefusedOurCertificate { alert: name },
        _ => RefusalCause::PeerAlert { alert: name },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio_rustls::rustls::OtherError;

    use super::*;

    #[test]
    fn connection_errors_are_told_from_tls_errors() {
        assert_eq!(cause(&io::ErrorKind::UnexpectedEof.into()), RefusalCause::Closed);
        assert_eq!(cause(&io::ErrorKind::TimedOut.into()), RefusalCause::TimedOut);
        let tls = io::Error::new(io::ErrorKind::InvalidData, RustlsError::NoCertificatesPresented);
        assert_eq!(cause(&tls), RefusalCause::NoCertificate);
    }

    #[test]
    fn what_the_verifier_has_names_for_is_told_in_words() {
        let told = |name: &str| {
            let error = CertificateError::Other(OtherError(Arc::new(io::Error::other(name.to_owned()))));
            RefusalCause::from(&RustlsError::InvalidCertificate(error)).to_string()
        };
        let version = told("UnsupportedCertVersion");
        assert!(version.contains("version 3 is needed"), "{version}");
        let own = told("CaUsedAsEndEntity");
        assert!(own.contains("signed for himself") && !own.contains("Other"), "{own}");
        assert_eq!(told("Else"), "its certificate is not usable: Else");
    }

    #[test]
    fn alerts_about_certificates_say_whose_certificate_is_meant() {
        let alert = RustlsError::AlertReceived(AlertDescription::UnknownCA);
        let cause = RefusalCause::from(&alert);
        assert_eq!(cause.to_string(), "it does not accept our certificate (UnknownCA)");
    }
}
