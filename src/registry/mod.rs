//! The harvesters of a farm and their certificates: who may connect, and what people call them.
//!
//! * [`Registry`] decides; it is plain data, changed by its methods, with time as an argument.
//! * [`AllowList`] is the registry of a running farm: shared by all connections, kept in a file, told to whoever waits
//!   for a change.
//!
//! A certificate of the farm's own client CA counts only while it is listed here, so that a stolen CA key makes no
//! harvester, and a revoked one is out at once. Certificates of Chia's private CA are listed as they come, as
//! [`LegacyCa`] says.
//!
//! Not here: certificates themselves (`tls`), and how a machine gets one (`enrol`).

mod file;
mod member;
mod shared;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::config::{HarvesterName, LegacyCa, Root};
use crate::ids::{Bytes32, PeerId};

pub use file::RegistryError;
pub use member::{CertificateRecord, Member, MemberOrigin, Standing};
pub use shared::{AllowList, Audit};

/// What the registry says of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its harvester may connect.
    Allowed,
    /// A person has to approve it first.
    Pending,
    /// It was taken back.
    Revoked,
    /// Nothing is known of it.
    Unknown,
}

/// Why the registry was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Nobody is called that.
    #[error(
        "no harvester is called {who:?} (`farmconsole harvester members` lists them; of a fingerprint, give 8 digits or more)"
    )]
    NoSuchHarvester {
        /// What was asked for.
        who: String,
    },
    /// The only one that is meant was revoked.
    #[error(
        "{who:?} is revoked, and that is for good (`farmconsole harvester invite NAME` lets the machine join anew)"
    )]
    Revoked {
        /// What was asked for.
        who: String,
    },
    /// It need not be let in.
    #[error(
        "{who:?} is let in already, and nobody else waits whom that fits (`farmconsole harvester members` lists them)"
    )]
    NotWaiting {
        /// What was asked for.
        who: String,
    },
    /// More than one harvester is meant.
    #[error(
        "{who:?} fits several harvesters: name one by the beginning of its id (`farmconsole harvester members` lists them)"
    )]
    Ambiguous {
        /// What was asked for.
        who: String,
    },
    /// Another harvester has the name.
    #[error("another harvester is called {name}")]
    NameTaken {
        /// The name.
        name: HarvesterName,
    },
    /// It has no certificate of the farm's own authorities that could be renewed, or none any more.
    #[error("it is not a harvester that has joined this farm, or it is one no longer")]
    NotJoined,
    /// There are too many.
    #[error("the registry holds {MAX_MEMBERS} harvesters and takes no more")]
    Full,
}

/// Every harvester that was ever let in or waits to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registry {
    /// Name of the farm in its certificates: 8 hex digits.
    farm_id: String,
    members: Vec<Member>,
    /// Where in `members` a certificate is.
    #[serde(skip)]
    index: BTreeMap<PeerId, usize>,
}

impl Registry {
    /// Nobody yet.
    #[must_use]
    pub const fn new(farm_id: String) -> Self {
        Self {
            farm_id,
            members: Vec::new(),
            index: BTreeMap::new(),
        }
    }

    /// That of a root; none if no farmer was started there.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub fn load(root: &Root) -> Result<Option<Self>, RegistryError> {
        Ok(file::load(&root.registry_file())?.map(|loaded| loaded.registry))
    }

    /// Name of the farm in its certificates: 8 hex digits.
    #[must_use]
    pub fn farm_id(&self) -> &str {
        &self.farm_id
    }

    /// Everybody, in the order they came.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Whether somebody who may connect has a certificate of the farm's own authorities.
    #[must_use]
    pub fn relies_on_farm_ca(&self) -> bool {
        self.members
            .iter()
            .any(|it| it.origin != MemberOrigin::Legacy && !it.is_revoked())
    }

    /// The harvester of a certificate.
    #[must_use]
    pub fn member(&self, certificate: PeerId) -> Option<&Member> {
        self.members.get(*self.index.get(&certificate)?)
    }

    /// What is known of a listed certificate.
    #[must_use]
    pub fn certificate(&self, certificate: PeerId) -> Option<&CertificateRecord> {
        let member = self.member(certificate)?;
        member.certificates.iter().find(|it| it.sha256 == certificate)
    }

    /// What a certificate is worth.
    #[must_use]
    pub fn judge(&self, certificate: PeerId) -> Verdict {
        match self.member(certificate).map(|member| member.standing) {
            None => Verdict::Unknown,
            Some(Standing::Allowed) => Verdict::Allowed,
            Some(Standing::Pending) => Verdict::Pending,
            Some(Standing::Revoked { .. }) => Verdict::Revoked,
        }
    }

    /// Whether a revoked harvester had this key: another certificate for it is no way back.
    #[must_use]
    pub fn is_key_revoked(&self, spki_sha256: Bytes32) -> bool {
        let mut revoked = self.members.iter().filter(|it| it.is_revoked());
        revoked.any(|it| it.has_key(spki_sha256) || it.former_keys.contains(&spki_sha256))
    }

    /// Names of certificates, where people gave some.
    #[must_use]
    pub fn names(&self) -> BTreeMap<PeerId, String> {
        let named = self.members.iter().filter_map(|it| Some((it, it.name.as_ref()?)));
        named
            .flat_map(|(member, name)| member.certificates.iter().map(move |it| (it.sha256, name.to_string())))
            .collect()
    }

    /// Certificates of those that were revoked.
    #[must_use]
    pub fn revoked(&self) -> BTreeSet<PeerId> {
        let revoked = self.members.iter().filter(|it| it.is_revoked());
        revoked
            .flat_map(|it| it.certificates.iter().map(|it| it.sha256))
            .collect()
    }

    /// A certificate of Chia's private CA that is not listed. With [`LegacyCa::Open`] it is from now on; with
    /// [`LegacyCa::Approve`] it is remembered, for a person to look at.
    pub fn handle_stranger(&mut self, certificate: CertificateRecord, legacy: LegacyCa, now_unix_s: u64) -> Verdict {
        let known = self.judge(certificate.sha256);
        if known != Verdict::Unknown {
            return known;
        }
        if self.is_key_revoked(certificate.spki_sha256) {
            return Verdict::Revoked;
        }
        let (standing, verdict) = match legacy {
            LegacyCa::Off => return Verdict::Unknown,
            LegacyCa::Open => (Standing::Allowed, Verdict::Allowed),
            LegacyCa::Approve => (Standing::Pending, Verdict::Pending),
        };
        if standing == Standing::Pending {
            self.forget_oldest_pending();
        }
        if self.members.len() >= MAX_MEMBERS {
            return Verdict::Unknown;
        }
        self.members.push(Member::new(
            None,
            MemberOrigin::Legacy,
            standing,
            certificate,
            now_unix_s,
        ));
        self.reindex();
        verdict
    }

    /// Lists the certificate of an enrolled harvester. A harvester of that name gets it as another one of its own;
    /// its older ones count until the new one has connected.
    ///
    /// # Errors
    /// [`ChangeError::Full`].
    pub fn enrol(
        &mut self,
        name: &HarvesterName,
        origin: MemberOrigin,
        certificate: CertificateRecord,
        now_unix_s: u64,
    ) -> Result<(), ChangeError> {
        let named = |it: &Member| !it.is_revoked() && it.name.as_ref() == Some(name);
        match self.members.iter().position(named) {
            Some(place) => self.members[place].add_certificate(origin, certificate),
            None if self.members.len() >= MAX_MEMBERS => return Err(ChangeError::Full),
            None => self.members.push(Member::new(
                Some(name.clone()),
                origin,
                Standing::Allowed,
                certificate,
                now_unix_s,
            )),
        }
        self.reindex();
        Ok(())
    }

    /// Lists a new certificate of the harvester that has `old`, which it has joined with and which still counts. Who was let
    /// in with one of Chia's CA has to be invited: it may be a copy.
    ///
    /// # Errors
    /// [`ChangeError::NotJoined`].
    pub fn renew(
        &mut self,
        old: PeerId,
        origin: MemberOrigin,
        certificate: CertificateRecord,
    ) -> Result<(), ChangeError> {
        let place = self.index.get(&old).copied();
        let member = place.and_then(|place| self.members.get_mut(place));
        let member = member
            .filter(|it| it.standing == Standing::Allowed && it.origin != MemberOrigin::Legacy)
            .ok_or(ChangeError::NotJoined)?;
        member.add_certificate(origin, certificate);
        self.reindex();
        Ok(())
    }

    /// A harvester has connected with this certificate. True if older ones of it are not listed any more.
    pub fn handle_connected(&mut self, certificate: PeerId, address: &str, software: &str, now_unix_s: u64) -> bool {
        let Some(place) = self.index.get(&certificate).copied() else {
            return false;
        };
        let replaced = self.members[place].handle_connected(certificate, address, software, now_unix_s);
        if replaced {
            self.reindex();
        }
        replaced
    }

    /// A harvester that waits to be let in has knocked. True if it came from elsewhere before.
    pub fn handle_waiting(&mut self, certificate: PeerId, address: &str) -> bool {
        let place = self.index.get(&certificate).copied();
        let Some(member) = place.and_then(|place| self.members.get_mut(place)) else {
            return false;
        };
        if member.standing != Standing::Pending || member.last_address.as_deref() == Some(address) {
            return false;
        }
        member.last_address = Some(address.to_owned());
        true
    }

    /// Gives a harvester a name, or another one.
    ///
    /// # Errors
    /// When it is not clear who is meant, or the name is taken.
    pub fn rename(&mut self, who: &str, name: HarvesterName) -> Result<String, ChangeError> {
        let place = self.find(who)?;
        let before = self.told(place);
        self.give_name(place, name)?;
        Ok(before)
    }

    fn give_name(&mut self, place: usize, name: HarvesterName) -> Result<(), ChangeError> {
        let taken = |(at, it): (usize, &Member)| at != place && !it.is_revoked() && it.name.as_ref() == Some(&name);
        if self.members.iter().enumerate().any(taken) {
            return Err(ChangeError::NameTaken { name });
        }
        self.members[place].name = Some(name);
        Ok(())
    }

    /// Takes every certificate of a harvester back, for good. Says who it was.
    ///
    /// # Errors
    /// When it is not clear who is meant.
    pub fn revoke(&mut self, who: &str, now_unix_s: u64) -> Result<String, ChangeError> {
        let place = self.find(who)?;
        self.members[place].standing = Standing::Revoked { at_unix_s: now_unix_s };
        Ok(self.told(place))
    }

    /// Lets in a harvester that waits for it, under a name if one is given. Says who it is. Those that are in already
    /// are not meant: one that waits may come from the same address.
    ///
    /// # Errors
    /// When nobody waits whom that fits, when it is not clear who is meant, or the name is taken.
    pub fn approve(&mut self, who: &str, name: Option<HarvesterName>) -> Result<String, ChangeError> {
        let waiting = self.places(who, |it| it.standing == Standing::Pending);
        let who = who.to_owned();
        let place = match waiting.as_slice() {
            [place] => *place,
            [] => match self.find(&who) {
                Ok(_) | Err(ChangeError::Ambiguous { .. }) => return Err(ChangeError::NotWaiting { who }),
                Err(error) => return Err(error),
            },
            _ => return Err(ChangeError::Ambiguous { who }),
        };
        if let Some(name) = name {
            self.give_name(place, name)?;
        }
        self.members[place].standing = Standing::Allowed;
        Ok(self.told(place))
    }

    /// Writes a note on a harvester. Says who it is.
    ///
    /// # Errors
    /// When it is not clear who is meant.
    pub fn note(&mut self, who: &str, note: &str) -> Result<String, ChangeError> {
        let place = self.find(who)?;
        let member = &mut self.members[place];
        member.note = note.chars().filter(|c| !c.is_control()).take(200).collect();
        Ok(self.told(place))
    }

    /// Who a member is, told to the person who ordered something about it: nobody shall wonder which of several without
    /// a name, all of one address, it was.
    fn told(&self, place: usize) -> String {
        let member = &self.members[place];
        let shown = member.shown();
        let is_one_of_several = || self.members.iter().filter(|it| it.shown() == shown).count() > 1;
        match member.newest() {
            Some(certificate) if member.name.is_none() && is_one_of_several() => {
                format!("{shown} ({})", certificate.sha256.short())
            }
            _ => shown,
        }
    }

    /// After loading: the index is not in the file.
    pub(super) fn reindex(&mut self) {
        let members = self.members.iter().enumerate();
        self.index = members
            .flat_map(|(place, member)| member.certificates.iter().map(move |it| (it.sha256, place)))
            .collect();
    }

    /// By name, by the beginning of a fingerprint (8 hex digits or more), or by the address it came from last.
    fn find(&self, who: &str) -> Result<usize, ChangeError> {
        let found = self.places(who, |it| !it.is_revoked());
        match found.as_slice() {
            [place] => Ok(*place),
            [] if !self.places(who, Member::is_revoked).is_empty() => Err(ChangeError::Revoked { who: who.to_owned() }),
            [] => Err(ChangeError::NoSuchHarvester { who: who.to_owned() }),
            _ => Err(ChangeError::Ambiguous { who: who.to_owned() }),
        }
    }

    /// Which of some members a name, else the beginning of a fingerprint, else an address fits.
    fn places(&self, who: &str, among: impl Fn(&Member) -> bool) -> Vec<usize> {
        let places = |fits: &dyn Fn(&Member) -> bool| -> Vec<usize> {
            let members = self.members.iter().enumerate();
            let fitting = members.filter(|(_, it)| among(it) && fits(it));
            fitting.map(|(place, _)| place).collect()
        };
        let is_fingerprint = who.len() >= 8 && who.bytes().all(|b| b.is_ascii_hexdigit());
        let by_name = places(&|it| it.name.as_ref().is_some_and(|name| name.as_str() == who));
        match by_name.as_slice() {
            [] if is_fingerprint => {
                let start = who.to_ascii_lowercase();
                places(&|it| it.certificates.iter().any(|c| c.sha256.to_string().starts_with(&start)))
            }
            [] => places(&|it| it.last_address.as_deref() == Some(who)),
            _ => by_name,
        }
    }

    fn forget_oldest_pending(&mut self) {
        let is_pending = |it: &Member| it.standing == Standing::Pending;
        if self.members.iter().filter(|it| is_pending(it)).count() >= MAX_PENDING
            && let Some(oldest) = self.members.iter().position(is_pending)
        {
            self.members.remove(oldest);
            self.reindex();
        }
    }
}

/// Harvesters in the registry, revoked ones included.
const MAX_MEMBERS: usize = 4096;

/// Harvesters that wait for a person; whoever has the CA's key can make any number.
const MAX_PENDING: usize = 64;

#[cfg(test)]
mod tests;
