//! Whether the files of a farm's authorities are whole. A new authority never takes the place of one that harvesters rely
//! on: what is missing or damaged is told, and a certificate can be made again from its key, since a CA's name follows from
//! its key and nobody sees a difference.

use std::path::PathBuf;

use super::ca_keys::CaKeys;
use super::farm_params::{Role, ca_of_key, make_ca};
use super::identity::read_anchors;
use super::{FarmCa, TimeSpan, TlsError, ca_key};
use crate::config::Root;
use crate::config::files;

/// What is wrong with an authority's certificate.
struct Fault {
    role: Role,
    /// Whether there is no file; else it is damaged.
    is_missing: bool,
    /// As a fragment.
    what: String,
}

impl FarmCa {
    /// Makes the authorities where there never were any, and completes those whose making was interrupted.
    pub(super) fn make_or_check(&self, has_members: bool, now: TimeSpan) -> Result<(), TlsError> {
        let faults = self.faults()?;
        if faults.is_empty() {
            return Ok(());
        }
        if has_members || !self.was_never_whole(&faults) {
            return Err(self.incomplete(&faults));
        }
        for Fault { role, .. } in faults {
            let paths = self.ca(role);
            if paths.key.exists() {
                super::farm_ca::put_certificate(&paths.crt, &ca_of_key(role, &self.keys().plain_key(role)?, now)?)?;
            } else {
                super::farm_ca::put_pair(&paths, &make_ca(role, now)?)?;
            }
        }
        Ok(())
    }

    /// Makes certificates of a root's authorities again from their keys, where they are missing or damaged; what was there
    /// is kept beside it. Answers which.
    ///
    /// # Errors
    /// When a key is gone, too, or something cannot be written.
    pub fn mend(root: &Root, has_members: bool, now: impl Into<TimeSpan>) -> Result<Vec<PathBuf>, TlsError> {
        let now = now.into();
        let it = Self::of(root, "");
        let faults = it.faults()?;
        if faults.is_empty() || !has_members && it.was_never_whole(&faults) {
            return Ok(Vec::new());
        }
        if !faults.iter().all(|fault| it.keys().has_plain(fault.role)) {
            return Err(it.incomplete(&faults));
        }
        let mut mended = Vec::new();
        for Fault { role, is_missing, .. } in faults {
            let path = it.ca(role).crt;
            let text = ca_of_key(role, &it.keys().plain_key(role)?, now)?;
            if !is_missing {
                files::set_aside(&path).map_err(|source| TlsError::Unwritable {
                    path: path.clone(),
                    source,
                })?;
            }
            super::farm_ca::put_certificate(&path, &text)?;
            mended.push(path);
        }
        Ok(mended)
    }

    fn faults(&self) -> Result<Vec<Fault>, TlsError> {
        let mut faults = Vec::new();
        for role in [Role::Client, Role::Server] {
            let path = self.ca(role).crt;
            let (is_missing, what) = match read_anchors(&path) {
                Ok(anchors) if anchors.is_empty() => (false, "holds no certificate".to_owned()),
                Ok(_) => match super::identity::read_certificates(&path)?
                    .first()
                    .and_then(|it| ca_key(it))
                {
                    Some(_) => continue,
                    None => (false, "is damaged: its key is not P-256".to_owned()),
                },
                Err(TlsError::Unreadable { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                    (true, "is missing".to_owned())
                }
                Err(TlsError::BadCertificate { reason, .. }) => (false, format!("is damaged: {reason}")),
                Err(other) => return Err(other),
            };
            faults.push(Fault { role, is_missing, what });
        }
        Ok(faults)
    }

    /// Whether nothing was ever signed here: there is no part of an authority, or only what a first start leaves that was
    /// interrupted before it made the farmer's certificate.
    fn was_never_whole(&self, faults: &[Fault]) -> bool {
        let has_part = [Role::Client, Role::Server].iter().any(|role| {
            let paths = self.ca(*role);
            paths.crt.exists() || paths.key.exists()
        });
        let is_locked = self.keys().locked_is_there();
        let all_missing = faults.iter().all(|it| it.is_missing);
        all_missing && !is_locked && (!has_part || !self.farmer().key.exists() && !self.farmer().crt.exists())
    }

    fn incomplete(&self, faults: &[Fault]) -> TlsError {
        let named = |it: &Fault| format!("{}.crt {}", it.role.file(), it.what);
        TlsError::CaIncomplete {
            dir: self.dir().to_path_buf(),
            what: faults.iter().map(named).collect::<Vec<_>>().join(", "),
            keys_are_there: faults.iter().all(|it| self.keys().has_plain(it.role)),
        }
    }
}

impl CaKeys {
    /// Whether the key of an authority is there without a passphrase, and is one.
    fn has_plain(&self, role: Role) -> bool {
        self.plain_key(role)
            .is_ok_and(|key| rcgen::KeyPair::from_pem(&key).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::system_clock::unix_now;
    use crate::tls::FarmCaOptions;

    fn open(root: &Root, has_members: bool) -> Result<FarmCa, TlsError> {
        let options = FarmCaOptions {
            farm_id: "00112233",
            has_members,
            passphrase: None,
        };
        FarmCa::open(root, &options, unix_now())
    }

    fn read(root: &Root, file: &str) -> Vec<u8> {
        fs::read(root.farm_ca_dir().join(file)).unwrap()
    }

    #[test]
    fn missing_or_damaged_certificate_of_an_authority_stops_the_start_and_no_key_is_replaced() {
        for role in ["server_ca", "client_ca"] {
            for is_damaged in [false, true] {
                let dir = tempfile::tempdir().unwrap();
                let root = Root::new(dir.path());
                let before = open(&root, false).unwrap().server_key().unwrap();
                let (crt, key) = (format!("{role}.crt"), format!("{role}.key"));
                let path = root.farm_ca_dir().join(&crt);
                let (text, secret) = (read(&root, &crt), read(&root, &key));
                if is_damaged {
                    fs::write(&path, b"").unwrap();
                } else {
                    fs::remove_file(&path).unwrap();
                }
                let error = open(&root, false).unwrap_err();
                let said = error.to_string();
                assert!(
                    said.contains(&crt) && said.contains(dir.path().to_str().unwrap()),
                    "{said}"
                );
                assert!(
                    error.hint().unwrap().contains("`farmconsole init`"),
                    "{:?}",
                    error.hint()
                );
                assert_eq!(read(&root, &key), secret);
                assert_eq!(path.exists(), is_damaged);

                // Explicitly, from its key: the same authority for everybody who trusts it.
                assert_eq!(
                    FarmCa::mend(&root, true, unix_now()).unwrap(),
                    std::slice::from_ref(&path)
                );
                assert_eq!(open(&root, true).unwrap().server_key().unwrap(), before);
                assert_eq!(read(&root, &key), secret);
                assert_eq!(path.with_extension("crt.damaged").exists(), is_damaged);
                // Or the file itself.
                fs::write(&path, &text).unwrap();
                assert_eq!(open(&root, true).unwrap().server_key().unwrap(), before);
            }
        }
    }

    #[test]
    fn without_a_key_a_backup_is_asked_for_and_nothing_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path().join("my farm"));
        open(&root, false).unwrap();
        fs::remove_file(root.farm_ca_dir().join("server_ca.crt")).unwrap();
        fs::remove_file(root.farm_ca_dir().join("server_ca.key")).unwrap();
        for error in [
            open(&root, true).unwrap_err(),
            FarmCa::mend(&root, true, unix_now()).unwrap_err(),
        ] {
            let hint = error.hint().unwrap();
            assert!(hint.starts_with("restore") && hint.contains("invite"), "{hint}");
        }
        fs::remove_dir_all(root.farm_ca_dir()).unwrap();
        let error = open(&root, true).unwrap_err().to_string();
        assert!(
            error.contains("server_ca.crt is missing") && error.contains("client_ca.crt is missing"),
            "{error}"
        );
        assert!(FarmCa::mend(&root, true, unix_now()).is_err());
        assert!(!root.farm_ca_dir().join("server_ca.key").exists());
        // Nobody relied on them.
        open(&root, false).unwrap();
    }

    #[test]
    fn first_start_that_was_interrupted_is_completed_with_the_key_it_made() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        open(&root, false).unwrap();
        let key = read(&root, "client_ca.key");
        for file in [
            "client_ca.crt",
            "server_ca.crt",
            "server_ca.key",
            "farmer.crt",
            "farmer.key",
        ] {
            fs::remove_file(root.farm_ca_dir().join(file)).unwrap();
        }
        open(&root, false).unwrap();
        assert_eq!(read(&root, "client_ca.key"), key);
    }

    #[test]
    fn damaged_certificate_of_the_farmer_is_made_anew_and_what_was_there_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        open(&root, false).unwrap();
        let ca = root.farm_ca_dir();
        for (file, content) in [
            ("farmer.key", Some("")),
            ("farmer.key", None),
            ("farmer.crt", Some("x")),
            ("farmer.crt", None),
        ] {
            let path = ca.join(file);
            match content {
                Some(content) => fs::write(&path, content).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            let it = open(&root, true).unwrap();
            it.enrolment_chain().unwrap();
        }
        // The first key, the one of the damaged certificate, and so on: none is lost.
        let kept = fs::read_dir(&ca).unwrap().flatten();
        let kept = kept.filter(|it| it.file_name().to_string_lossy().starts_with("farmer.key.damaged"));
        assert!(kept.count() >= 3);

        fs::write(ca.join("farmer.key"), b"").unwrap();
        fs::remove_file(ca.join("server_ca.key")).unwrap();
        let error = open(&root, true).unwrap_err();
        assert!(error.to_string().contains("server_ca.key"), "{error}");
        assert!(error.hint().unwrap().contains("backup"), "{:?}", error.hint());
    }
}
