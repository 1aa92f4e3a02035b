//! The farmer's end: opens invitations, and serves machines that join and harvesters that renew.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::server::TlsStream;

use super::invites::{Decision, InviteError, Invites, JoinRefusal, SourceRange};
use super::{frame, proof};
use crate::clock::Mono;
use crate::config::HarvesterName;
use crate::ids::{Bytes32, PeerId};
use crate::logging::strip_invisible;
use crate::rate::{Bucket, Rate};
use crate::registry::{AllowList, CertificateRecord, ChangeError, MemberOrigin, Registry, RegistryError};
use crate::snapshot::RefusalCause;
use crate::system_clock::Clock;
use crate::tls::{FarmCa, IssuedCertificate, RequestError, RequestedKey, TlsError, TrustedClock};
use crate::wire::enrol::{Grant, JoinAnswer, JoinKind, JoinRequest, MAX_JOIN_REQUEST};
use crate::wire::token::{Token, TokenSecret};

/// Where machines join a farm. Invitations live here, in memory alone.
#[derive(Debug)]
pub struct Desk {
    ca: FarmCa,
    list: Arc<AllowList>,
    network: String,
    clock: Clock,
    time: Arc<TrustedClock>,
    invites: Mutex<Invites>,
    rates: Mutex<Rates>,
    places: Arc<Semaphore>,
    burned: Mutex<Vec<Burned>>,
}

/// An invitation that was cancelled because of wrong proofs.
#[derive(Debug)]
struct Burned {
    name: HarvesterName,
    address: IpAddr,
    at: Mono,
}

/// Why a certificate was not given.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The request is not one that is granted.
    #[error("the certificate request {0}")]
    Request(#[from] RequestError),
    /// The CA cannot sign.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The registry cannot be written.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The registry does not take it.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// Nobody can be invited now.
    #[error(transparent)]
    Invite(#[from] InviteError),
    /// No chance for a secret.
    #[error("make a secret: {0}")]
    NoChance(getrandom::Error),
    /// Harvesters that trust Chia's CA would not understand what the farmer shows to those that joined.
    #[error(
        "this farm's server CA is not signed by Chia's private CA, so harvesters that trust that one and harvesters that \
         joined cannot be served at the same time"
    )]
    NotCrossSigned,
}

impl DeskError {
    /// What to do about it, if that can be said.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotCrossSigned => Some(
                "put config/ssl/ca/private_ca.key back for one start of the farmer; if it is there, that CA may sign no other: \
                 `farmconsole ca harden --force`, then invite every harvester"
                    .to_owned(),
            ),
            Self::Request(_) => Some(
                "make a new one on the machine that is to harvest: `openssl req -new -newkey ec -pkeyopt \
                 ec_paramgen_curve:P-256 -nodes -keyout private_harvester.key -subj /CN=x -out x.csr`"
                    .to_owned(),
            ),
            Self::Tls(error) => error.hint(),
            Self::Registry(error) => Some(error.hint()),
            _ => None,
        }
    }
}

/// The place of one machine that is joining.
#[derive(Debug)]
pub struct Place(#[expect(dead_code, reason = "held, not read: dropping it frees the place")] OwnedSemaphorePermit);

impl Desk {
    /// A desk where nobody is invited yet.
    #[must_use]
    pub fn new(ca: FarmCa, list: Arc<AllowList>, network: String, clock: Clock, time: Arc<TrustedClock>) -> Self {
        Self {
            ca,
            list,
            network,
            clock,
            time,
            invites: Mutex::default(),
            rates: Mutex::default(),
            places: Arc::new(Semaphore::new(PLACES)),
            burned: Mutex::default(),
        }
    }

    /// The farm's authorities.
    #[must_use]
    pub const fn ca(&self) -> &FarmCa {
        &self.ca
    }

    /// Opens an invitation for `name`. `addresses` is where the farmer is to be found, a hint for the other side.
    ///
    /// # Errors
    /// [`DeskError`].
    pub fn invite(
        &self,
        name: &HarvesterName,
        ttl: Duration,
        from: Option<SourceRange>,
        addresses: Vec<String>,
    ) -> Result<Token, DeskError> {
        let now = self.clock.now();
        if self.list.legacy() != crate::config::LegacyCa::Off && !self.ca.can_serve_both(self.time.span()) {
            return Err(DeskError::NotCrossSigned);
        }
        self.ca.keys().make_ready(now.mono)?;
        let mut token = Token {
            addresses,
            id: [0; 4],
            secret: TokenSecret([0; 16]),
            ca_key: self.ca.server_key()?,
        };
        getrandom::fill(&mut token.id).map_err(DeskError::NoChance)?;
        getrandom::fill(&mut token.secret.0).map_err(DeskError::NoChance)?;
        let until = now.mono + ttl.min(LONGEST_TTL);
        lock(&self.invites).open(token.id, token.secret.clone(), name.clone(), from, until, now.mono)?;
        lock(&self.burned).retain(|it| it.name != *name);
        self.audit("invite", name.as_str());
        Ok(token)
    }

    /// Who is invited and has not come, and for how long still.
    #[must_use]
    pub fn waiting(&self) -> Vec<(HarvesterName, Duration)> {
        lock(&self.invites).waiting(self.clock.now().mono)
    }

    /// Cancels the open invitations of a name. True if there was one.
    pub fn cancel(&self, name: &str) -> bool {
        let cancelled = lock(&self.invites).cancel(name);
        if cancelled {
            self.audit("cancel", name);
        }
        cancelled
    }

    /// Invitations that were cancelled within the last day because of wrong proofs, and from where the last one came;
    /// not those that were made anew.
    #[must_use]
    pub fn burned(&self) -> Vec<(HarvesterName, IpAddr)> {
        let now = self.clock.now().mono;
        let mut burned = lock(&self.burned);
        burned.retain(|it| now.since(it.at) < BURNED_TOLD_FOR);
        burned.iter().map(|it| (it.name.clone(), it.address)).collect()
    }

    /// Signs a request (PEM) that a person brought, and enters it in the registry.
    ///
    /// # Errors
    /// [`DeskError`].
    pub fn sign_request(&self, name: &HarvesterName, request: &str) -> Result<IssuedCertificate, DeskError> {
        let key = RequestedKey::of_pem_request(request)?;
        let issued = self.enrol(&key, name, MemberOrigin::Csr)?;
        self.audit("sign-csr", &format!("{name} {}", issued.record.sha256));
        Ok(issued)
    }

    /// May somebody at this address try to join? Asked before TLS computes anything.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&self, address: IpAddr, now: Mono) -> Result<Place, RefusalCause> {
        if !lock(&self.invites).any(now) {
            return Err(refused("nobody is invited"));
        }
        lock(&self.rates).take(address, now)?;
        let place = Arc::clone(&self.places).try_acquire_owned();
        place.map(Place).map_err(|_| refused("too many machines are joining"))
    }

    /// Serves a machine that joins. Deadlines are the caller's.
    ///
    /// # Errors
    /// Why it did not.
    pub async fn serve_joiner<S>(
        self: &Arc<Self>,
        mut stream: TlsStream<S>,
        address: IpAddr,
        place: Place,
    ) -> Result<(), RefusalCause>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let channel = stream
            .get_ref()
            .1
            .export_keying_material([0; 32], proof::EXPORTER, None)
            .map_err(|error| refused(&error.to_string()))?;
        let request: JoinRequest = frame::read(&mut stream, MAX_JOIN_REQUEST)
            .await
            .map_err(|error| refused(&format!("its request cannot be read: {error}")))?;
        let desk = Arc::clone(self);
        // Signs and writes a file.
        let decided = tokio::task::spawn_blocking(move || desk.decide(&request, &channel, address)).await;
        let answer = decided.unwrap_or_else(|_| Err("an error in the farmer".into()));
        self.say(&mut stream, answer).await?;
        drop(place);
        Ok(())
    }

    /// Serves an enrolled harvester that wants a new certificate; TLS has shown who it is.
    ///
    /// # Errors
    /// Why it got none.
    pub async fn serve_renewal<S>(self: &Arc<Self>, mut stream: TlsStream<S>, peer: PeerId) -> Result<(), RefusalCause>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let request: JoinRequest = frame::read(&mut stream, MAX_JOIN_REQUEST)
            .await
            .map_err(|error| refused(&format!("its request cannot be read: {error}")))?;
        let desk = Arc::clone(self);
        let decided = tokio::task::spawn_blocking(move || desk.renew(&request, peer)).await;
        let answer = decided.unwrap_or_else(|_| Err("an error in the farmer".into()));
        self.say(&mut stream, answer).await
    }

    async fn say<S>(&self, stream: &mut TlsStream<S>, answer: Result<Grant, No>) -> Result<(), RefusalCause>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (answer, outcome) = match answer {
            Ok(grant) => (JoinAnswer::Granted(grant), Ok(())),
            Err(No::Because(reason)) => {
                let cause = refused(&reason);
                (JoinAnswer::Refused { reason }, Err(cause))
            }
            Err(No::OtherNetwork { set }) => {
                let farm = self.network.clone();
                let cause = RefusalCause::JoinOtherNetwork {
                    got: set,
                    expected: farm.clone(),
                };
                (JoinAnswer::OtherNetwork { farm }, Err(cause))
            }
        };
        let said = frame::write(stream, &answer).await;
        // Its certificate is in the registry: if the answer is lost, it asks again.
        stream.shutdown().await.ok();
        outcome?;
        said.map_err(|error| refused(&format!("the answer was lost: {error}")))
    }

    fn decide(&self, request: &JoinRequest, channel: &proof::Channel, address: IpAddr) -> Result<Grant, No> {
        let hash = Bytes32(Sha256::digest(&request.request).into());
        let is_right = |secret: &TokenSecret| proof::is_of_joiner(secret, channel, &request.request, &request.proof);
        let now = self.clock.now().mono;
        let decision = lock(&self.invites).handle_request(request.invitation, address, hash, is_right, now);
        let (name, certificate) = match decision {
            Decision::Refuse(refusal) => {
                self.audit("refuse", &format!("{address}: {refusal}"));
                if let JoinRefusal::Burned { name } = &refusal {
                    let mut burned = lock(&self.burned);
                    burned.retain(|it| it.name != *name);
                    let (name, at) = (name.clone(), now);
                    burned.push(Burned { name, address, at });
                }
                return Err(refusal.into());
            }
            Decision::Again { name, certificate } => (name, certificate),
            Decision::Grant { .. } if self.is_elsewhere(&request.network) => {
                lock(&self.invites).handle_failed(request.invitation);
                let set: String = strip_invisible(&request.network).chars().take(64).collect();
                self.audit("refuse", &format!("{address}: it is set to the network {set}"));
                return Err(No::OtherNetwork { set });
            }
            Decision::Grant { name } => match self.certify(request, &name) {
                Ok(issued) => {
                    self.audit("join", &format!("{name} {} from {address}", issued.record.sha256));
                    (name, issued.pem)
                }
                Err(error) => {
                    lock(&self.invites).handle_failed(request.invitation);
                    return Err(ungranted(&error));
                }
            },
        };
        let secret = lock(&self.invites).handle_given(request.invitation, &certificate);
        let secret = secret.ok_or(JoinRefusal::Unknown)?;
        let proof = proof::of_farmer(&secret, channel, &certificate);
        Ok(self.grant(certificate, &name, proof)?)
    }

    /// Whether a machine is set to a network that is not farmed here. One that is set to none takes any.
    fn is_elsewhere(&self, network: &str) -> bool {
        !network.is_empty() && network != self.network
    }

    pub(super) fn renew(&self, request: &JoinRequest, peer: PeerId) -> Result<Grant, No> {
        let registry = self.list.registry();
        let name = registry.member(peer).and_then(|member| member.name.clone());
        let name = name.ok_or("it has no name in the registry")?;
        let key = RequestedKey::of_request(&request.request)?;
        // Whether it may is decided as it is written: it may have been revoked since TLS let it in.
        let origin = origin_of(request.kind);
        let issued = self.enter(&key, &name, origin, |registry, record, _| {
            registry.renew(peer, origin, record)
        })?;
        self.audit("renew", &format!("{name} {}", issued.record.sha256));
        Ok(self.grant(issued.pem, &name, [0; 32])?)
    }

    fn certify(&self, request: &JoinRequest, name: &HarvesterName) -> Result<IssuedCertificate, DeskError> {
        let key = RequestedKey::of_request(&request.request)?;
        self.enrol(&key, name, origin_of(request.kind))
    }

    fn enrol(
        &self,
        key: &RequestedKey,
        name: &HarvesterName,
        origin: MemberOrigin,
    ) -> Result<IssuedCertificate, DeskError> {
        self.enter(key, name, origin, |registry, record, now_unix_s| {
            registry.enrol(name, origin, record, now_unix_s)
        })
    }

    /// A certificate that is in the registry, on disk, before anybody has it.
    fn enter(
        &self,
        key: &RequestedKey,
        name: &HarvesterName,
        origin: MemberOrigin,
        list: impl FnOnce(&mut Registry, CertificateRecord, u64) -> Result<(), ChangeError>,
    ) -> Result<IssuedCertificate, DeskError> {
        let now = self.clock.now().unix;
        let issued = self.ca.issue(key, name, origin, self.time.span())?;
        let record = issued.record.clone();
        self.list
            .change(|registry| Ok::<_, DeskError>(list(registry, record, now.seconds())?))?;
        Ok(issued)
    }

    fn grant(&self, certificate: String, name: &HarvesterName, proof: [u8; 32]) -> Result<Grant, TlsError> {
        Ok(Grant {
            certificate,
            server_ca: self.ca.server_ca_pem()?,
            farm_id: self.list.farm_id(),
            name: name.to_string(),
            network: self.network.clone(),
            proof,
        })
    }

    fn audit(&self, word: &str, about: &str) {
        self.list.audit().note(word, about, self.clock.now().unix.seconds());
    }
}

/// How often somebody tries to join.
#[derive(Debug, Default)]
struct Rates {
    all: Bucket,
    of_address: BTreeMap<IpAddr, Bucket>,
}

impl Rates {
    fn take(&mut self, address: IpAddr, now: Mono) -> Result<(), RefusalCause> {
        if !self.of_address.contains_key(&address) && self.of_address.len() >= ADDRESSES_REMEMBERED {
            self.of_address.retain(|_, bucket| !bucket.is_full(now));
            if self.of_address.len() >= ADDRESSES_REMEMBERED {
                return Err(RefusalCause::RateLimited);
            }
        }
        let bucket = self.of_address.entry(address).or_default();
        bucket.take(PER_ADDRESS, now).map_err(|_| RefusalCause::RateLimited)?;
        self.all.take(IN_ALL, now).map_err(|_| RefusalCause::RateLimited)
    }
}

const fn origin_of(kind: JoinKind) -> MemberOrigin {
    match kind {
        JoinKind::Own => MemberOrigin::Own,
        JoinKind::Official => MemberOrigin::Official,
    }
}

fn refused(reason: &str) -> RefusalCause {
    RefusalCause::JoinRefused {
        reason: reason.to_owned(),
    }
}

/// Why a machine gets no certificate.
pub(super) enum No {
    /// As a fragment.
    Because(String),
    /// It is set to a network that is not farmed here.
    OtherNetwork {
        /// Which, made safe to show.
        set: String,
    },
}

impl<T: std::fmt::Display> From<T> for No {
    fn from(reason: T) -> Self {
        Self::Because(reason.to_string())
    }
}

/// Why somebody who may have a certificate gets none, with what is to be done at the farmer: at the machine that joins
/// nobody would look for it there. A request that is wrong was made by the program that joins.
fn ungranted(error: &DeskError) -> No {
    let hint = error.hint().filter(|_| !matches!(error, DeskError::Request(_)));
    hint.map_or_else(
        || error.into(),
        |hint| format!("{error}; the token is still good; on the farmer's machine: {hint}").into(),
    )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Machines that join at the same moment.
const PLACES: usize = 4;

/// Six a minute.
const PER_ADDRESS: Rate = Rate {
    burst: 6,
    interval: Duration::from_secs(10),
};

/// Thirty a minute.
const IN_ALL: Rate = Rate {
    burst: 30,
    interval: Duration::from_secs(2),
};

const BURNED_TOLD_FOR: Duration = Duration::from_secs(24 * 3_600);

const ADDRESSES_REMEMBERED: usize = 1_024;

/// An invitation that is forgotten somewhere must not be good for ever.
const LONGEST_TTL: Duration = Duration::from_secs(24 * 3_600);
