//! The certificates of a root: which are missing or do not fit, and making those.

use std::fs;
use std::path::{Path, PathBuf};

use super::{InitError, InitReport, InitStep};
use crate::clock::UnixMillis;
use crate::config::Root;
use crate::config::files::{self, FileMode};
use crate::registry::{CertificateRecord, Member, MemberOrigin, Registry, Standing};
use crate::tls::issue::{Issuer, PemPair, make_private_ca, verify_identity};
use crate::tls::{
    CertificateAuthority, CertificatePaths, Identity, ServiceName, SslLayout, TlsError, has_joined, names_in_ca_file,
};

/// Brings the certificates below `layout` into order. With `given`, that CA replaces the one there, and every private
/// certificate is made anew: a copied one is what makes two harvesters one.
pub(super) fn complete(
    layout: &SslLayout,
    given: Option<&Issuer>,
    now: UnixMillis,
    report: &mut InitReport,
) -> Result<(), InitError> {
    let paths = layout.ca(CertificateAuthority::Private);
    make_parent(&paths.crt)?;
    remove_half_written(layout);
    match given {
        Some(ca) => copy_ca(layout, ca, now, report)?,
        None if !paths.crt.exists() => {
            // A key without a certificate is what an interrupted `init` leaves; nothing was signed with it yet.
            write_pair(&paths, &make_private_ca(now)?)?;
            report.steps.push(InitStep::MadePrivateCa);
        }
        None => {}
    }
    // A harvester needs no CA key; then certificates can be used but not made.
    let private_ca = if paths.key.exists() {
        Some(Issuer::load(&paths, now)?)
    } else {
        None
    };
    let mut private = 0;
    for service in ServiceName::with_certificate_of(CertificateAuthority::Private) {
        let leaf = layout.leaf(CertificateAuthority::Private, *service);
        if given.is_none() && is_fine(&leaf, &paths.crt, now) {
            continue;
        }
        if let Some(ca) = &private_ca {
            write_pair(&leaf, &ca.issue_leaf(now)?)?;
            private += 1;
        }
    }
    if private_ca.is_none() {
        let harvester = layout.leaf(CertificateAuthority::Private, ServiceName::Harvester);
        check(&harvester, &paths.crt, now)?;
    }

    let chia_paths = layout.ca(CertificateAuthority::Chia);
    let chia = Issuer::chia(now)?;
    // Older ones are kept while they are valid: the key is the same.
    if Issuer::load(&chia_paths, now).is_err() {
        write_pair(&chia_paths, chia.pem())?;
    }
    let mut public = 0;
    for service in ServiceName::with_certificate_of(CertificateAuthority::Chia) {
        let leaf = layout.leaf(CertificateAuthority::Chia, *service);
        if !is_fine(&leaf, &chia_paths.crt, now) {
            write_pair(&leaf, &chia.issue_leaf(now)?)?;
            public += 1;
        }
    }
    if private + public > 0 {
        report.steps.push(InitStep::MadeCertificates { private, public });
    }
    Ok(())
}

/// Refuses to make a new CA beside certificates of a lost one: that would silently cut every harvester off.
pub(super) fn refuse_lost_ca(layout: &SslLayout, given: Option<&Issuer>, now: UnixMillis) -> Result<(), InitError> {
    let paths = layout.ca(CertificateAuthority::Private);
    if given.is_some() {
        return Ok(());
    }
    if paths.crt.exists() {
        if paths.key.exists() {
            Issuer::load(&paths, now)?;
        }
        return Ok(());
    }
    let is_there = |service: &ServiceName| layout.leaf(CertificateAuthority::Private, *service).crt.exists();
    if ServiceName::with_certificate_of(CertificateAuthority::Private)
        .iter()
        .any(is_there)
    {
        return Err(InitError::CaLost { file: paths.crt });
    }
    Ok(())
}

/// Refuses a CA other than the one there when that is in use: the root has joined a farm, or is a farmer's, and
/// harvesters connect with certificates of its CA, where those count.
pub(super) fn refuse_to_part(root: &Root, layout: &SslLayout, given: &Issuer, counts: bool) -> Result<(), InitError> {
    let paths = layout.ca(CertificateAuthority::Private);
    if given.is_in(&paths.crt) {
        return Ok(());
    }
    let ca_dir = given
        .paths()
        .crt
        .parent()
        .unwrap_or_else(|| Path::new("."))
        .to_path_buf();
    if has_joined(root) {
        let own = root.membership_file();
        return Err(InitError::HasJoined {
            dir: root.dir().to_path_buf(),
            ca_dir,
            moved: if own.exists() { own } else { layout.dir().to_path_buf() },
        });
    }
    if !counts || !paths.crt.exists() {
        return Ok(());
    }
    // The official software names all its CAs alike; old records name none.
    let names = names_in_ca_file(layout);
    let is_of_it = |it: &CertificateRecord| it.issuer.is_empty() || names.contains(&it.issuer);
    let registry = Registry::load(root)?;
    let members = registry.iter().flat_map(Registry::members);
    let harvesters: Vec<_> = members
        .filter(|it| it.origin == MemberOrigin::Legacy && it.standing == Standing::Allowed)
        .filter(|it| it.newest().is_some_and(is_of_it))
        .map(Member::shown)
        .collect();
    if harvesters.is_empty() {
        return Ok(());
    }
    Err(InitError::CaInUse {
        dir: paths.crt.parent().unwrap_or_else(|| layout.dir()).to_path_buf(),
        ca_dir,
        harvesters,
    })
}

/// Whether a root of the official software can be used: for a farmer (false) or for a harvester only (true).
pub(super) fn check_adopted(root: &Root, layout: &SslLayout, now: UnixMillis) -> Result<bool, InitError> {
    let ca = layout.ca(CertificateAuthority::Private).crt;
    let private = |service| check(&layout.leaf(CertificateAuthority::Private, service), &ca, now);
    let cannot = |reason| InitError::CannotAdopt {
        dir: root.dir().to_path_buf(),
        reason: Box::new(reason),
    };
    match private(ServiceName::Farmer) {
        Ok(()) => Ok(false),
        Err(farmer) => match private(ServiceName::Harvester) {
            Ok(()) => Ok(true),
            // The harvester's file is the less interesting one if both are wrong.
            Err(_) => Err(cannot(farmer)),
        },
    }
}

/// Every private key of the layout, there or not.
pub(super) fn key_files(layout: &SslLayout) -> Vec<PathBuf> {
    [CertificateAuthority::Private, CertificateAuthority::Chia]
        .into_iter()
        .flat_map(|authority| {
            let services = ServiceName::with_certificate_of(authority).iter();
            let leaves = services.map(move |service| layout.leaf(authority, *service).key);
            leaves.chain([layout.ca(authority).key])
        })
        .collect()
}

fn copy_ca(layout: &SslLayout, ca: &Issuer, now: UnixMillis, report: &mut InitReport) -> Result<(), InitError> {
    let paths = layout.ca(CertificateAuthority::Private);
    let is_there = Issuer::load(&paths, now).is_ok_and(|there| there.certificate() == ca.certificate());
    if is_there {
        return Ok(());
    }
    if paths.crt.exists() || paths.key.exists() {
        // It may be the only copy of a CA that other machines trust.
        let aside = layout.dir().join(format!("ca.bak-{}", now.seconds()));
        let make = files::create_private_dirs(&aside);
        make.map_err(InitError::unwritable(&aside))?;
        for file in [&paths.crt, &paths.key].into_iter().filter(|file| file.exists()) {
            let to = aside.join(file.file_name().unwrap_or_default());
            fs::rename(file, &to).map_err(InitError::unwritable(&to))?;
        }
        report.steps.push(InitStep::KeptOldCa { to: aside });
    }
    write_pair(&paths, ca.pem())?;
    let from = ca.paths().crt.parent().unwrap_or_else(|| Path::new("."));
    report.steps.push(InitStep::CopiedPrivateCa {
        from: from.to_path_buf(),
    });
    Ok(())
}

fn is_fine(leaf: &CertificatePaths, ca: &Path, now: UnixMillis) -> bool {
    check(leaf, ca, now).is_ok()
}

/// Whether a certificate, its key and its CA are there and belong together.
fn check(leaf: &CertificatePaths, ca: &Path, now: UnixMillis) -> Result<(), TlsError> {
    verify_identity(&Identity::load(leaf)?, leaf, ca, now)
}

/// Removes temporary files of an `init` that was killed: they may hold keys. Nobody else writes here meanwhile.
fn remove_half_written(layout: &SslLayout) {
    let crts = [CertificateAuthority::Private, CertificateAuthority::Chia]
        .into_iter()
        .flat_map(|authority| {
            let services = ServiceName::with_certificate_of(authority).iter();
            services
                .map(move |service| layout.leaf(authority, *service).crt)
                .chain([layout.ca(authority).crt])
        });
    for entry in crts
        .filter_map(|crt| fs::read_dir(crt.parent()?).ok())
        .flatten()
        .flatten()
    {
        if files::is_temporary(&entry.file_name()) {
            // One that stays does no harm but to lie there; the next `init` tries again.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The key first: a certificate without its key is never there, not even for a moment.
fn write_pair(paths: &CertificatePaths, pem: &PemPair) -> Result<(), InitError> {
    make_parent(&paths.crt)?;
    files::replace_file(&paths.key, pem.key.as_bytes(), FileMode::Exactly(files::PRIVATE_FILE))
        .map_err(InitError::unwritable(&paths.key))?;
    files::replace_file(
        &paths.crt,
        pem.crt.as_bytes(),
        FileMode::Exactly(files::CERTIFICATE_FILE),
    )
    .map_err(InitError::unwritable(&paths.crt))
}

fn make_parent(file: &Path) -> Result<(), InitError> {
    let parent = file.parent().unwrap_or_else(|| Path::new("."));
    files::create_private_dirs(parent).map_err(InitError::unwritable(parent))
}
