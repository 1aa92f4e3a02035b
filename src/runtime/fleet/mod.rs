//! The certificates of a running farm: carries out what people order about them, keeps them fresh, and tells the farmer
//! names and alarms.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::embedded;
use crate::clock::{Mono, UnixMillis};
use crate::config::{HostPort, LegacyCa, Root, is_simulator};
use crate::enrol::{Desk, DeskError};
use crate::farmer::{ExpectedHarvester, FleetStatus, Input};
use crate::handle::{AnswersFleet, FleetAnswer, FleetAsk, FleetView};
use crate::ids::PeerId;
use crate::net::Server;
use crate::registry::{AllowList, ChangeError, Member, MemberOrigin, Registry, RegistryError, Standing};
use crate::snapshot::alarm::CHIAS_CA;
use crate::snapshot::{AlarmKind, ConnectedPeer};
use crate::system_clock::Clock;
use crate::tls::{
    CaKeyState, CertificateAuthority, CertificateFacts, FarmCa, FarmCaOptions, FarmerTls, Identity, PassphraseFile,
    ServiceName, SslLayout, TlsError, TrustedClock,
};

/// The certificates of a farm, and who may connect.
#[derive(Debug)]
pub(crate) struct Fleet {
    root: Root,
    list: Arc<AllowList>,
    desk: Arc<Desk>,
    tls: Arc<FarmerTls>,
    time: Arc<TrustedClock>,
    clock: Clock,
    /// When the farmer was started.
    started: Mono,
    network: String,
    /// What the port answers on, for tokens.
    port: u16,
}

/// The certificates and the listener that they are for.
#[derive(Debug)]
pub(super) struct FleetOffice {
    pub(super) fleet: Arc<Fleet>,
    pub(super) server: Arc<Server>,
}

impl AnswersFleet for FleetOffice {
    fn answer(&self, ask: FleetAsk) -> Result<FleetAnswer, String> {
        self.fleet.answer(ask, &self.server)
    }
}

/// The fleet of a root made by a test, whose server nobody can reach.
#[cfg(test)]
pub(crate) fn of_test_root(root: &Root) -> crate::handle::FleetHandle {
    use crate::handle::FleetHandle;
    use crate::net::{AdmissionLimits, IdentityRates, ServerOptions, SessionIds};

    let clock = Clock::start();
    let fleet = Arc::new(Fleet::open(root, None, "simulator1", 8447, clock, None).unwrap());
    let server = Server::new(ServerOptions {
        network_id: "simulator1".to_owned(),
        server_port: 8447,
        events: mpsc::channel(1).0,
        session_ids: SessionIds::default(),
        shutdown: CancellationToken::new(),
        clock,
        admission: AdmissionLimits::default(),
        identities: IdentityRates::default(),
        list: Arc::clone(fleet.list()),
        desk: Some(Arc::clone(fleet.desk())),
    });
    FleetHandle(Arc::new(FleetOffice { fleet, server }))
}

/// Why an order was not carried out.
#[derive(Debug, thiserror::Error)]
enum FleetError {
    #[error(transparent)]
    Change(#[from] ChangeError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Desk(#[from] DeskError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("{0}")]
    Other(String),
}

/// Why the certificates of a farm cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FleetStartError {
    /// The registry cannot be read.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A certificate cannot be used or made.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl FleetStartError {
    /// What to do about it, if that can be said.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Registry(error) => Some(error.hint()),
            // Nobody can be asked: no farmer runs that the passphrase could be given to.
            Self::Tls(TlsError::CaLocked { .. }) => {
                Some("give the passphrase in a file when you start it: --ca-passphrase-file FILE".to_owned())
            }
            Self::Tls(error) => error
                .hint()
                .or_else(|| Some("make certificates with `farmconsole init`".to_owned())),
        }
    }
}

impl Fleet {
    /// Opens what a root has, and makes what is missing.
    pub(super) fn open(
        root: &Root,
        legacy: Option<LegacyCa>,
        network: &str,
        port: u16,
        clock: Clock,
        ca_passphrase: Option<PassphraseFile>,
    ) -> Result<Self, FleetStartError> {
        let time = Arc::new(TrustedClock::open(root, clock));
        let has_chia_ca = SslLayout::of(root).ca(CertificateAuthority::Private).crt.exists();
        let default = if has_chia_ca { LegacyCa::Open } else { LegacyCa::Off };
        let list = Arc::new(AllowList::open(root, legacy.unwrap_or(default))?);
        list.set_not_harvesters(other_services(root));
        let registry = list.registry();
        let options = FarmCaOptions {
            farm_id: registry.farm_id(),
            has_members: registry.relies_on_farm_ca(),
            passphrase: ca_passphrase,
        };
        let ca = FarmCa::open(root, &options, time.span())?;
        let tls = Arc::new(FarmerTls::load(root, &ca, Arc::clone(&list), Arc::clone(&time))?);
        let desk = Desk::new(ca, Arc::clone(&list), network.to_owned(), clock, Arc::clone(&time));
        Ok(Self {
            root: root.clone(),
            list,
            desk: Arc::new(desk),
            tls,
            time,
            clock,
            started: clock.now().mono,
            network: network.to_owned(),
            port,
        })
    }

    /// Who may connect.
    pub(super) const fn list(&self) -> &Arc<AllowList> {
        &self.list
    }

    /// Where machines join.
    pub(super) const fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }

    /// How the farmer presents itself.
    pub(super) const fn tls(&self) -> &Arc<FarmerTls> {
        &self.tls
    }

    /// What time it is.
    pub(super) const fn time(&self) -> &Arc<TrustedClock> {
        &self.time
    }

    /// Follows what the settings say of Chia's private CA, if they do, and the farmer's certificates as they are now.
    ///
    /// # Errors
    /// Why the certificates cannot be used; then nothing has changed.
    pub(super) fn read_again(&self, legacy: Option<LegacyCa>) -> Result<(), TlsError> {
        let before = self.list.legacy();
        let legacy = legacy.filter(|legacy| *legacy != before);
        if let Some(legacy) = legacy {
            self.list.set_legacy(legacy);
        }
        let reloaded = self.tls.reload(&self.root, self.desk.ca());
        if reloaded.is_err() && legacy.is_some() {
            self.list.set_legacy(before);
        }
        reloaded
    }

    /// Carries out an order. Reads and writes files.
    fn answer(&self, ask: FleetAsk, server: &Server) -> Result<FleetAnswer, String> {
        self.carry_out(ask, server).map_err(|error| match &error {
            FleetError::Desk(desk) => with_hint(&error, desk.hint()),
            FleetError::Tls(tls) => with_hint(&error, tls.hint()),
            _ => error.to_string(),
        })
    }

    fn carry_out(&self, ask: FleetAsk, server: &Server) -> Result<FleetAnswer, FleetError> {
        let now = self.clock.now().unix;
        let done = |word: &str, who: String| {
            let noted = self.list.audit().try_note(word, &who, now.seconds());
            let unnoted = |why| FleetError::Other(format!("this is done ({word} {who}), but not written down: {why}"));
            noted.map_err(unnoted)?;
            Ok(FleetAnswer::Done { who })
        };
        refuse_own_name(&ask)?;
        match ask {
            FleetAsk::Members => Ok(FleetAnswer::Members(self.view())),
            FleetAsk::Refused => Ok(FleetAnswer::Refused(server.refused())),
            FleetAsk::Invite {
                name,
                ttl_seconds,
                from,
                addresses,
            } => {
                let from = from.map(|it| it.parse()).transpose();
                let from =
                    from.map_err(|error: crate::enrol::SourceRangeError| FleetError::Other(error.to_string()))?;
                let ttl = Duration::from_secs(ttl_seconds);
                let addresses = if addresses.is_empty() {
                    vec![SocketAddr::new(own_address(), self.port).to_string()]
                } else {
                    let with_port = |it: &String| HostPort::with_default_port(it, self.port).map(|it| it.to_string());
                    let named = addresses.iter().map(with_port).collect::<Result<_, _>>();
                    named.map_err(|error| FleetError::Other(error.to_string()))?
                };
                let token = self.desk.invite(&name, ttl, from, addresses)?;
                Ok(FleetAnswer::Invited {
                    token: token.to_string(),
                    ttl_seconds,
                })
            }
            FleetAsk::SignRequest { name, request } => Ok(FleetAnswer::Signed {
                certificate: self.desk.sign_request(&name, &request)?.pem,
                server_ca: self.desk.ca().server_ca_pem()?,
            }),
            FleetAsk::Revoke { who } => {
                let was_invited = self.desk.cancel(&who);
                match self.change(|registry| registry.revoke(&who, now.seconds())) {
                    Ok(who) => {
                        // It may have been named by its address or fingerprint.
                        self.desk.cancel(&who);
                        done("revoke", who)
                    }
                    // It never came.
                    Err(FleetError::Change(ChangeError::NoSuchHarvester { .. } | ChangeError::Revoked { .. }))
                        if was_invited =>
                    {
                        done("revoke", format!("the invitation of {who}"))
                    }
                    Err(error) => Err(error),
                }
            }
            FleetAsk::Rename { who, name } => {
                let to = name.clone();
                // Whoever joined by the invitation would take the place of this one.
                if self.desk.waiting().iter().any(|(invited, _)| *invited == name) {
                    return Err(FleetError::Other(format!(
                        "somebody is invited as {name}: choose another name, or cancel the invitation with \
                         `farmconsole harvester revoke {name}`"
                    )));
                }
                let before = self.change(|registry| registry.rename(&who, name))?;
                done("rename", format!("{before} to {to}"))
            }
            FleetAsk::Approve { who, name } => {
                let who = self.change(|registry| registry.approve(&who, name))?;
                done("approve", who)
            }
            FleetAsk::Note { who, note } => {
                let who = self.change(|registry| registry.note(&who, &note))?;
                done("note", who)
            }
            FleetAsk::SetLegacy { legacy } => {
                self.list.set_legacy(legacy);
                self.tls.reload(&self.root, self.desk.ca())?;
                done("legacy-ca", legacy.word().to_owned())
            }
            FleetAsk::Rotate => {
                self.desk.ca().rotate(self.time.span())?;
                self.tls.reload(&self.root, self.desk.ca())?;
                done("rotate", String::new())
            }
            FleetAsk::FinishRotation => {
                self.desk.ca().finish_rotation()?;
                self.tls.reload(&self.root, self.desk.ca())?;
                done("rotate-finish", String::new())
            }
            FleetAsk::UnlockCa { passphrase } => {
                let until = self.clock.now().mono + UNLOCKED_FOR;
                self.desk.ca().keys().unlock(passphrase.into_passphrase(), until)?;
                done("ca-unlock", String::new())
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut Registry) -> Result<String, ChangeError>) -> Result<String, FleetError> {
        self.list.change(|registry| Ok(change(registry)?))
    }

    fn view(&self) -> FleetView {
        let registry = self.list.registry();
        let invited = self.desk.waiting().into_iter();
        let ca = self.desk.ca();
        let has_not_followed = |it: &&Member| {
            let in_use = it.certificates.first().filter(|_| it.origin != MemberOrigin::Legacy);
            it.standing == Standing::Allowed && in_use.is_some_and(|it| ca.is_of_old(it))
        };
        FleetView {
            not_followed: registry
                .members()
                .iter()
                .filter(has_not_followed)
                .map(Member::shown)
                .collect(),
            farm_id: registry.farm_id().to_owned(),
            legacy: self.list.legacy(),
            rotating: self.desk.ca().is_rotating(),
            ca_locked: self.desk.ca().keys().state() == CaKeyState::Locked,
            members: registry.members().to_vec(),
            invited: invited.map(|(name, left)| (name, left.as_secs())).collect(),
        }
    }

    /// Names and alarms, as the farmer takes them.
    fn status(&self) -> FleetStatus {
        let registry = self.list.registry();
        let mut alarms = Vec::new();
        let (span, clock_ahead_s) = (self.time.span(), self.time.clock_ahead_s());
        // A clock that is known to be wrong ends nothing, but a doubt must not keep a warning back.
        let now = clock_ahead_s.map_or(span.likely, |_| span.earliest).seconds();
        if let Some(ahead_s) = clock_ahead_s {
            alarms.push(AlarmKind::ClockWrong { ahead_s });
        }
        if self.list.damaged().is_some() {
            alarms.push(AlarmKind::RegistryDamaged);
        }
        let wanted = self.desk.ca().keys().wanted();
        if !wanted.is_empty() {
            alarms.push(AlarmKind::CaKeyLocked { wanted });
        }
        alarms.extend(
            self.desk
                .ca()
                .keys()
                .faults()
                .iter()
                .map(|(file, why)| AlarmKind::CaKeyUnusable {
                    file: file.display().to_string(),
                    why: why.to_string(),
                    remedy: why.hint().unwrap_or_default(),
                }),
        );
        for member in registry.members() {
            if member.standing == Standing::Pending {
                let fingerprint = member.newest().map(|it| it.sha256.to_string()).unwrap_or_default();
                alarms.push(AlarmKind::HarvesterPending { fingerprint });
            }
            let warn_days = match member.origin {
                // It should have renewed it months ago.
                MemberOrigin::Own => 30,
                MemberOrigin::Official | MemberOrigin::Csr => 90,
                // Chia's certificates end in 2100.
                MemberOrigin::Legacy => 0,
            };
            let newest = member.newest().filter(|_| member.standing == Standing::Allowed);
            if let Some(days_left) = newest.and_then(|it| days_left(it.not_after_unix_s, now, warn_days)) {
                let name = member.shown();
                alarms.push(AlarmKind::CertificateEnds { name, days_left });
            }
        }
        if self.list.legacy() != LegacyCa::Off
            && let Some(until) = chia_ca_until(&self.root)
            && let Some(days_left) = days_left(until, now, 365)
        {
            let name = CHIAS_CA.to_owned();
            alarms.push(AlarmKind::CertificateEnds { name, days_left });
        }
        let running = self.clock.now().mono.since(self.started);
        if running >= MISSING_AFTER {
            alarms.extend(self.missing().iter().map(|it| AlarmKind::HarvesterMissing {
                name: it.shown(),
                fingerprint: it.newest().map(|it| it.sha256.to_string()).unwrap_or_default(),
                address: it.last_address.clone(),
                plots: 0,
            }));
        }
        for (name, address) in self.desk.burned() {
            let name = name.to_string();
            alarms.push(AlarmKind::InvitationGuessed { name, address });
        }
        let legacy = self.list.legacy();
        // A harvester on this machine needs no copy.
        let is_here = |it: &Member| {
            let address = it.last_address.as_ref().and_then(|it| it.parse::<IpAddr>().ok());
            address.is_some_and(|it| it.to_canonical().is_loopback())
        };
        let holds_ca_key = |it: &&Member| {
            it.origin == MemberOrigin::Legacy
                && it.standing == Standing::Allowed
                && legacy != LegacyCa::Off
                && !is_here(it)
        };
        FleetStatus {
            names: registry.names(),
            alarms,
            ca_key_copies: registry.members().iter().filter(holds_ca_key).count() as u64,
            revoked: registry.revoked(),
            expected: Vec::new(),
        }
    }

    /// Harvesters that came in earlier runs, and not in this one.
    fn missing(&self) -> Vec<Member> {
        let legacy_from = if is_simulator(&self.network) {
            // Whoever tries things out starts and ends such harvesters all the time.
            u64::MAX
        } else {
            self.time.span().earliest.seconds().saturating_sub(LEGACY_EXPECTED_S)
        };
        self.list.missing(legacy_from)
    }

    /// The same, as the farmer takes them at the start.
    fn expected(&self) -> Vec<ExpectedHarvester> {
        let expected = |member: Member| {
            let address: IpAddr = member.last_address.as_deref()?.parse().ok()?;
            let millis = |seconds: Option<u64>| seconds.map(|it| UnixMillis(it.saturating_mul(1000)));
            Some(ExpectedHarvester {
                peer: ConnectedPeer {
                    peer_id: member.certificates.first()?.sha256,
                    address: SocketAddr::new(address, 0),
                    software_version: member.software.unwrap_or_default(),
                    protocol_version: String::new(),
                },
                first_seen: millis(member.first_seen_unix_s)?,
                last_seen: millis(member.last_seen_unix_s)?,
            })
        };
        self.missing().into_iter().filter_map(expected).collect()
    }

    /// Tells the farmer of every change, writes down what harvesters did, and keeps the farmer's certificate fresh.
    pub(super) async fn keep(self: Arc<Self>, farmer: mpsc::Sender<Input>, stop: CancellationToken) {
        let mut changes = self.list.changes();
        changes.mark_changed();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut expected = self.expected();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                changed = changes.changed() => if changed.is_err() { break },
                _ = tick.tick() => self.freshen().await,
            }
            let status = FleetStatus {
                expected: std::mem::take(&mut expected),
                ..self.status()
            };
            if farmer.send(Input::Fleet(status)).await.is_err() {
                break;
            }
            // Many harvesters that come at once are one change.
            tokio::time::sleep(PAUSE).await;
        }
        self.flush();
    }

    async fn freshen(self: &Arc<Self>) {
        let it = Arc::clone(self);
        let freshened = tokio::task::spawn_blocking(move || {
            it.flush();
            let now = it.clock.now();
            if let Err(error) = it.time.keep() {
                let file = it.root.trusted_time_file();
                tracing::warn!(target: "tls", "write {}: {error}", file.display());
            }
            let renewed = it.desk.ca().renew_farmer(it.time.span());
            // Not before: an unlocked key is there for this, too.
            if it.desk.waiting().is_empty() && it.desk.ca().keys().handle_idle(now.mono) {
                it.list.audit().note("ca-lock", "", now.unix.seconds());
            }
            if renewed? {
                it.tls.reload(&it.root, it.desk.ca())?;
                it.list
                    .audit()
                    .note("renew", "the farmer's own certificate", now.unix.seconds());
            }
            Ok::<(), TlsError>(())
        });
        // A locked key is an alarm.
        if let Ok(Err(error)) = freshened.await
            && !matches!(error, TlsError::CaLocked { .. })
        {
            tracing::error!(target: "tls", "renew the farmer's certificate: {error}");
        }
    }

    fn flush(&self) {
        if let Err(error) = self.list.flush() {
            tracing::error!(target: "registry", "{error}");
        }
    }
}

fn with_hint(error: &FleetError, hint: Option<String>) -> String {
    match hint {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    }
}

/// Days until a certificate ends, if they are few.
fn days_left(until_unix_s: u64, now_unix_s: u64, few: u64) -> Option<u64> {
    let days = until_unix_s.saturating_sub(now_unix_s) / 86_400;
    (days < few).then_some(days)
}

fn chia_ca_until(root: &Root) -> Option<u64> {
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject as _;

    let path = SslLayout::of(root).ca(CertificateAuthority::Private).crt;
    let pem = crate::config::files::read_limited(&path, 1 << 20).ok()?;
    let der = CertificateDer::from_pem_slice(&pem).ok()?;
    Some(CertificateFacts::of(&der)?.record.not_after_unix_s)
}

/// Certificates of Chia's private CA on this machine that are none of a harvester: nobody harvests with them.
fn other_services(root: &Root) -> std::collections::BTreeMap<PeerId, &'static str> {
    let layout = SslLayout::of(root);
    let services = ServiceName::with_certificate_of(CertificateAuthority::Private).iter();
    services
        .filter(|service| **service != ServiceName::Harvester)
        .filter_map(|service| {
            let identity = Identity::load(&layout.leaf(CertificateAuthority::Private, *service)).ok()?;
            Some((identity.peer_id(), service.as_str()))
        })
        .collect()
}

/// The address of this machine that others reach it at, most likely: the one that packets to far away leave from, by IPv4
/// if it can. Localhost if there is no way to far away. Nothing is sent.
fn own_address() -> IpAddr {
    let leaving_for = |far_away: &str, from: &str| {
        let socket = UdpSocket::bind((from, 0)).ok()?;
        socket.connect((far_away, 9)).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    // Addresses for documentation, RFC 5737 and RFC 3849: nobody has them.
    leaving_for("192.0.2.1", "0.0.0.0")
        .or_else(|| leaving_for("2001:db8::1", "::"))
        .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// Between two looks at what ends.
const TICK: Duration = Duration::from_secs(15);

/// Two harvesters that a person cannot tell apart would be meant by one command.
fn refuse_own_name(ask: &FleetAsk) -> Result<(), FleetError> {
    let name = match ask {
        FleetAsk::Invite { name, .. } | FleetAsk::SignRequest { name, .. } | FleetAsk::Rename { name, .. } => {
            Some(name)
        }
        FleetAsk::Approve { name, .. } => name.as_ref(),
        _ => None,
    };
    if name.is_some_and(|it| it.as_str() == embedded::NAME) {
        let taken = format!(
            "{} is what the farmer's own harvester is called: choose another name",
            embedded::NAME
        );
        return Err(FleetError::Other(taken));
    }
    Ok(())
}

/// How long harvesters may take to come after the farmer was started. Official ones try every few seconds.
const MISSING_AFTER: Duration = Duration::from_secs(120);

/// A harvester with a certificate of Chia's private CA is expected if it came within these seconds before: 30 days.
const LEGACY_EXPECTED_S: u64 = 30 * 86_400;

/// How long a key can be used after a person has given the passphrase, if nobody is invited.
const UNLOCKED_FOR: Duration = Duration::from_secs(600);

/// Between two reports.
const PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
