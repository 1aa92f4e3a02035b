//! Open invitations: who is invited, until when, from where, and how often somebody guessed. A pure state machine that
//! lives in memory alone: when the farmer ends, so do its invitations.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use crate::clock::Mono;
use crate::config::HarvesterName;
use crate::ids::Bytes32;
use crate::wire::token::TokenSecret;

/// Invitations of one farm.
#[derive(Debug, Default)]
pub struct Invites {
    open: BTreeMap<[u8; 4], Invite>,
}

#[derive(Debug)]
struct Invite {
    secret: TokenSecret,
    name: HarvesterName,
    until: Mono,
    from: Option<SourceRange>,
    wrong: u8,
    /// Who has used it: SHA-256 of the request.
    used_by: Option<Bytes32>,
    /// The certificate that was given for it.
    given: Option<String>,
}

/// Why nobody is invited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InviteError {
    /// There are too many open ones.
    #[error("{MAX_OPEN} invitations are open: wait until one is used or ends")]
    TooMany,
    /// An unused one has this id; chance will not do that twice.
    #[error("make the invitation again")]
    IdTaken,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A certificate is to be given to this harvester: see [`Invites::handle_given`] and [`Invites::handle_failed`].
    Grant {
        /// Its name.
        name: HarvesterName,
    },
    /// It has been given one and asks again, because the answer was lost.
    Again {
        /// Its name.
        name: HarvesterName,
        /// The certificate, PEM.
        certificate: String,
    },
    /// Nothing.
    Refuse(JoinRefusal),
}

/// Why a machine may not join. `Display` is a fragment that the machine is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinRefusal {
    /// There is no such invitation.
    #[error("there is no such invitation; it has ended, or the farmer was started anew")]
    Unknown,
    /// It has been used with another request.
    #[error("the invitation has been used")]
    Used,
    /// It is for machines elsewhere.
    #[error("the invitation is not for machines at this address")]
    WrongSource,
    /// The proof is wrong.
    #[error("the proof is wrong")]
    WrongProof,
    /// The proof was wrong too often, and the invitation is no more.
    #[error("the proof was wrong too often: the invitation is cancelled")]
    Burned {
        /// Who was invited.
        name: HarvesterName,
    },
}

impl Invites {
    /// Opens an invitation.
    ///
    /// # Errors
    /// [`InviteError`].
    pub fn open(
        &mut self,
        id: [u8; 4],
        secret: TokenSecret,
        name: HarvesterName,
        from: Option<SourceRange>,
        until: Mono,
        now: Mono,
    ) -> Result<(), InviteError> {
        self.forget_ended(now);
        // A new one for the same machine takes the place of the old one.
        self.open.retain(|_, it| it.name != name);
        if self.open.len() >= MAX_OPEN {
            return Err(InviteError::TooMany);
        }
        if self.open.contains_key(&id) {
            return Err(InviteError::IdTaken);
        }
        let invite = Invite {
            secret,
            name,
            until,
            from,
            wrong: 0,
            used_by: None,
            given: None,
        };
        self.open.insert(id, invite);
        Ok(())
    }

    /// Closes the invitation of a name, used or not. True if it could still have been used.
    pub fn cancel(&mut self, name: &str) -> bool {
        let is_of = |it: &Invite| it.name.as_str() == name;
        let unused = self.open.values().any(|it| is_of(it) && it.used_by.is_none());
        self.open.retain(|_, it| !is_of(it));
        unused
    }

    /// Whether anybody is invited. If not, whoever wants to join is not even listened to.
    pub fn any(&mut self, now: Mono) -> bool {
        self.forget_ended(now);
        !self.open.is_empty()
    }

    /// Who is invited and has not come, and for how long still.
    pub fn waiting(&mut self, now: Mono) -> Vec<(HarvesterName, Duration)> {
        self.forget_ended(now);
        let unused = self.open.values().filter(|it| it.used_by.is_none());
        unused.map(|it| (it.name.clone(), it.until.since(now))).collect()
    }

    /// Somebody shows an invitation. `is_right` says whether its proof is that of the secret; `request` is the hash of
    /// its certificate request.
    pub fn handle_request(
        &mut self,
        id: [u8; 4],
        from: IpAddr,
        request: Bytes32,
        is_right: impl FnOnce(&TokenSecret) -> bool,
        now: Mono,
    ) -> Decision {
        self.forget_ended(now);
        let Some(invite) = self.open.get_mut(&id) else {
            return Decision::Refuse(JoinRefusal::Unknown);
        };
        if invite.from.is_some_and(|range| !range.contains(from)) {
            return Decision::Refuse(JoinRefusal::WrongSource);
        }
        if !is_right(&invite.secret) {
            invite.wrong += 1;
            let name = invite.name.clone();
            if invite.wrong < MAX_WRONG {
                return Decision::Refuse(JoinRefusal::WrongProof);
            }
            self.open.remove(&id);
            return Decision::Refuse(JoinRefusal::Burned { name });
        }
        let name = invite.name.clone();
        match (invite.used_by, &invite.given) {
            (None, _) => {
                invite.used_by = Some(request);
                Decision::Grant { name }
            }
            (Some(by), Some(certificate)) if by == request => Decision::Again {
                name,
                certificate: certificate.clone(),
            },
            _ => Decision::Refuse(JoinRefusal::Used),
        }
    }

    /// The certificate of [`Decision::Grant`] is in the registry. Gives the secret, for the farmer's own proof.
    pub fn handle_given(&mut self, id: [u8; 4], certificate: &str) -> Option<TokenSecret> {
        let invite = self.open.get_mut(&id)?;
        invite.given = Some(certificate.to_owned());
        Some(invite.secret.clone())
    }

    /// There is no certificate after all: the invitation may be used again.
    pub fn handle_failed(&mut self, id: [u8; 4]) {
        if let Some(invite) = self.open.get_mut(&id) {
            invite.used_by = None;
        }
    }

    fn forget_ended(&mut self, now: Mono) {
        self.open.retain(|_, it| it.until > now);
    }
}

/// Addresses from which an invitation may be used, as `10.0.0.0/24` or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceRange {
    base: IpAddr,
    prefix: u8,
}

/// Why a text is no range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an address or a range as 10.0.0.0/24")]
pub struct SourceRangeError;

impl SourceRange {
    /// Whether an address is in the range.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let bits = |address: IpAddr| match address.to_canonical() {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, true),
            IpAddr::V6(v6) => (v6.to_bits(), false),
        };
        let ((base, four), (got, got_four)) = (bits(self.base), bits(address));
        let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
        four == got_four && base & mask == got & mask
    }
}

impl FromStr for SourceRange {
    type Err = SourceRangeError;

    fn from_str(text: &str) -> Result<Self, SourceRangeError> {
        let (base, prefix) = match text.split_once('/') {
            Some((base, prefix)) => (base, Some(prefix)),
            None => (text, None),
        };
        let base: IpAddr = base.parse().map_err(|_| SourceRangeError)?;
        let longest = if base.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.parse().map_err(|_| SourceRangeError)?,
            None => longest,
        };
        if prefix > longest {
            return Err(SourceRangeError);
        }
        Ok(Self { base, prefix })
    }
}

/// Invitations that are open at the same time.
const MAX_OPEN: usize = 32;

/// Wrong proofs for an invitation whose id is known. The secret has 128 bits: nobody guesses it, but somebody who tries
/// is worth an alarm.
const MAX_WRONG: u8 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    const START: Mono = Mono(1_000_000);
    const ID: [u8; 4] = [1; 4];
    const REQUEST: Bytes32 = Bytes32([5; 32]);
    const HOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 7));

    fn name(text: &str) -> HarvesterName {
        text.parse().unwrap()
    }

    fn invited(from: Option<&str>) -> Invites {
        let mut invites = Invites::default();
        let from = from.map(|it| it.parse().unwrap());
        let until = START + Duration::from_secs(3_600);
        invites
            .open(ID, TokenSecret([2; 16]), name("a"), from, until, START)
            .unwrap();
        invites
    }

    fn ask(invites: &mut Invites, request: Bytes32, right: bool, now: Mono) -> Decision {
        invites.handle_request(ID, HOST, request, |_| right, now)
    }

    fn refused(why: JoinRefusal) -> Decision {
        Decision::Refuse(why)
    }

    #[test]
    fn of_two_who_race_one_wins_and_may_ask_again() {
        let mut invites = invited(None);
        assert_eq!(
            ask(&mut invites, REQUEST, true, START),
            Decision::Grant { name: name("a") }
        );
        let other = Bytes32([6; 32]);
        assert_eq!(ask(&mut invites, other, true, START), refused(JoinRefusal::Used));
        invites.handle_given(ID, "pem").unwrap();
        let again = Decision::Again {
            name: name("a"),
            certificate: "pem".to_owned(),
        };
        assert_eq!(ask(&mut invites, REQUEST, true, START), again);
        assert_eq!(ask(&mut invites, other, true, START), refused(JoinRefusal::Used));
    }

    #[test]
    fn cancelled_invitation_is_none_whether_it_was_used_or_not() {
        let mut unused = invited(None);
        assert!(!unused.cancel("b"));
        assert!(unused.cancel("a"));
        assert_eq!(ask(&mut unused, REQUEST, true, START), refused(JoinRefusal::Unknown));
        // Whoever was revoked must not ask for the certificate again.
        let mut used = invited(None);
        ask(&mut used, REQUEST, true, START);
        used.handle_given(ID, "pem").unwrap();
        assert!(!used.cancel("a"));
        assert_eq!(ask(&mut used, REQUEST, true, START), refused(JoinRefusal::Unknown));
    }

    #[test]
    fn an_invitation_that_could_not_be_honoured_is_still_good() {
        let mut invites = invited(None);
        ask(&mut invites, REQUEST, true, START);
        invites.handle_failed(ID);
        let other = Bytes32([6; 32]);
        assert_eq!(
            ask(&mut invites, other, true, START),
            Decision::Grant { name: name("a") }
        );
    }

    #[test]
    fn five_wrong_proofs_burn_an_invitation_and_a_wrong_id_burns_none() {
        let mut invites = invited(None);
        for _ in 0..100 {
            let stranger = invites.handle_request([9; 4], HOST, REQUEST, |_| true, START);
            assert_eq!(stranger, refused(JoinRefusal::Unknown));
        }
        for _ in 0..4 {
            assert_eq!(
                ask(&mut invites, REQUEST, false, START),
                refused(JoinRefusal::WrongProof)
            );
        }
        let burned = refused(JoinRefusal::Burned { name: name("a") });
        assert_eq!(ask(&mut invites, REQUEST, false, START), burned);
        assert_eq!(ask(&mut invites, REQUEST, true, START), refused(JoinRefusal::Unknown));
        assert!(!invites.any(START));
    }

    #[test]
    fn an_invitation_ends_and_is_good_only_from_where_it_says() {
        let mut invites = invited(None);
        let late = START + Duration::from_secs(3_600);
        assert!(invites.any(START));
        assert_eq!(ask(&mut invites, REQUEST, true, late), refused(JoinRefusal::Unknown));
        assert!(!invites.any(late));
        let mut elsewhere = invited(Some("10.0.1.0/24"));
        assert_eq!(
            ask(&mut elsewhere, REQUEST, true, START),
            refused(JoinRefusal::WrongSource)
        );
        let mut here = invited(Some("10.0.0.0/24"));
        assert!(matches!(ask(&mut here, REQUEST, true, START), Decision::Grant { .. }));
    }

    #[test]
    fn ranges_are_those_of_the_network() {
        let fits =
            |range: &str, address: &str| range.parse::<SourceRange>().unwrap().contains(address.parse().unwrap());
        assert!(fits("10.0.0.0/8", "10.255.0.1") && !fits("10.0.0.0/8", "11.0.0.1"));
        assert!(fits("10.0.0.5", "10.0.0.5") && !fits("10.0.0.5", "10.0.0.4"));
        assert!(fits("0.0.0.0/0", "8.8.8.8") && !fits("0.0.0.0/0", "fd00::1"));
        assert!(fits("fd00::/8", "fd12::1") && fits("10.0.0.0/24", "::ffff:10.0.0.9"));
        for bad in ["", "10.0.0.0/33", "x", "10.0.0.0/", "10.0.0/8"] {
            assert!(bad.parse::<SourceRange>().is_err(), "{bad}");
        }
    }

    #[test]
    fn number_of_open_invitations_is_bounded() {
        let mut invites = Invites::default();
        let open = |invites: &mut Invites, n: u8| {
            let until = START + Duration::from_secs(9);
            invites.open([n; 4], TokenSecret([n; 16]), name(&format!("h{n}")), None, until, START)
        };
        for n in 0..32 {
            open(&mut invites, n).unwrap();
        }
        assert_eq!(open(&mut invites, 32), Err(InviteError::TooMany));
        assert_eq!(open(&mut invites, 31), Ok(()), "a new one for the same machine");
    }
}
