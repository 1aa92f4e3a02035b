//! Which certificate lies where: the official layout of `config/ssl`.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::config::Root;

/// One of the two authorities a root knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateAuthority {
    /// The farm's own, secret one.
    Private,
    /// The public Chia CA, whose key everybody has.
    Chia,
}

/// A service of the official software that has certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "Chia's names of its services")]
pub enum ServiceName {
    FullNode,
    Wallet,
    Farmer,
    Harvester,
    Timelord,
    Crawler,
    DataLayer,
    Daemon,
    Solver,
    Introducer,
}

impl ServiceName {
    /// Services with a certificate of the given authority, in the order the official software makes them.
    #[must_use]
    pub const fn with_certificate_of(authority: CertificateAuthority) -> &'static [Self] {
        match authority {
            CertificateAuthority::Private => &[
                Self::FullNode,
                Self::Wallet,
                Self::Farmer,
                Self::Harvester,
                Self::Timelord,
                Self::Crawler,
                Self::DataLayer,
                Self::Daemon,
                Self::Solver,
            ],
            CertificateAuthority::Chia => &[
                Self::FullNode,
                Self::Wallet,
                Self::Farmer,
                Self::Introducer,
                Self::Timelord,
                Self::DataLayer,
                Self::Solver,
            ],
        }
    }

    /// The name as files and settings spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FullNode => "full_node",
            Self::Wallet => "wallet",
            Self::Farmer => "farmer",
            Self::Harvester => "harvester",
            Self::Timelord => "timelord",
            Self::Crawler => "crawler",
            Self::DataLayer => "data_layer",
            Self::Daemon => "daemon",
            Self::Solver => "solver",
            Self::Introducer => "introducer",
        }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Paths of one certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificatePaths {
    /// The PEM certificate.
    pub crt: PathBuf,
    /// Its PEM private key.
    pub key: PathBuf,
}

/// The files below one `ssl` directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SslLayout {
    dir: PathBuf,
}

impl SslLayout {
    /// The layout below `dir`, a root's `config/ssl`.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The layout of a root.
    #[must_use]
    pub fn of(root: &Root) -> Self {
        Self::new(root.ssl_dir())
    }

    /// The `ssl` directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// `ca/private_ca.{crt,key}` or `ca/chia_ca.{crt,key}`.
    #[must_use]
    pub fn ca(&self, authority: CertificateAuthority) -> CertificatePaths {
        let name = match authority {
            CertificateAuthority::Private => "private_ca",
            CertificateAuthority::Chia => "chia_ca",
        };
        pair(&self.dir.join("ca"), name)
    }

    /// `<service>/private_<service>.{crt,key}` or `<service>/public_<service>.{crt,key}`.
    #[must_use]
    pub fn leaf(&self, authority: CertificateAuthority, service: ServiceName) -> CertificatePaths {
        let prefix = match authority {
            CertificateAuthority::Private => "private",
            CertificateAuthority::Chia => "public",
        };
        pair(&self.dir.join(service.as_str()), &format!("{prefix}_{service}"))
    }
}

fn pair(dir: &Path, name: &str) -> CertificatePaths {
    CertificatePaths {
        crt: dir.join(format!("{name}.crt")),
        key: dir.join(format!("{name}.key")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_official_ones() {
        let layout = SslLayout::new("ssl");
        let farmer = layout.leaf(CertificateAuthority::Chia, ServiceName::Farmer);
        assert_eq!(farmer.crt, Path::new("ssl/farmer/public_farmer.crt"));
        let ca = layout.ca(CertificateAuthority::Private);
        assert_eq!(ca.key, Path::new("ssl/ca/private_ca.key"));
    }
}
