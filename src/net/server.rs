//! What all connections of one farmer share: limits, counters, and where events go.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::admission::{Admission, AdmissionLimits};
use super::events::{SessionEvent, SessionIds};
use super::identity::{Identities, IdentityRates};
use super::refusals::Refusals;
use crate::enrol::Desk;
use crate::ids::PeerId;
use crate::logging::target;
use crate::registry::AllowList;
use crate::snapshot::{RefusalCause, RefusalView};
use crate::system_clock::Clock;

/// How a farmer presents itself and where its connections report to.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Network id, as `mainnet`; harvesters of others are refused.
    pub network_id: String,
    /// Port that handshakes name (`farmer.port`).
    pub server_port: u16,
    /// To the engine. A full queue makes the sessions wait, never lose.
    pub events: mpsc::Sender<SessionEvent>,
    /// Numbers for sessions.
    pub session_ids: SessionIds,
    /// Ends the listener and every session.
    pub shutdown: CancellationToken,
    /// Time.
    pub clock: Clock,
    /// Caps for connections that have not authenticated.
    pub admission: AdmissionLimits,
    /// Rates per certificate.
    pub identities: IdentityRates,
    /// Whose certificates count.
    pub list: Arc<AllowList>,
    /// Where machines join; nowhere if there is none.
    pub desk: Option<Arc<Desk>>,
}

/// The shared state of all connections. Kept in an `Arc`.
#[derive(Debug)]
pub struct Server {
    pub(super) network_id: String,
    pub(super) server_port: u16,
    pub(super) events: mpsc::Sender<SessionEvent>,
    pub(super) session_ids: SessionIds,
    pub(super) shutdown: CancellationToken,
    pub(super) clock: Clock,
    pub(super) list: Arc<AllowList>,
    pub(super) desk: Option<Arc<Desk>>,
    admission: Mutex<Admission>,
    identities: Mutex<Identities>,
    refusals: Mutex<Refusals>,
    counters: Counters,
}

#[derive(Debug, Default)]
struct Counters {
    accepted: AtomicU64,
    accept_errors: AtomicU64,
    slowed_messages: AtomicU64,
}

/// Counters since start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetStats {
    /// TCP connections accepted, those closed at once included.
    pub accepted: u64,
    /// Connections refused, by [`RefusalCause::word`].
    pub refused: BTreeMap<&'static str, u64>,
    /// Unauthenticated connections at this moment.
    pub unauthenticated: usize,
    /// Times accepting failed (too many open files, most likely).
    pub accept_errors: u64,
    /// Times a session waited because its identity sent too many messages.
    pub slowed_messages: u64,
}

impl Server {
    /// Nobody connected yet.
    #[must_use]
    pub fn new(options: ServerOptions) -> Arc<Self> {
        Arc::new(Self {
            network_id: options.network_id,
            server_port: options.server_port,
            events: options.events,
            session_ids: options.session_ids,
            shutdown: options.shutdown,
            clock: options.clock,
            list: options.list,
            desk: options.desk,
            admission: Mutex::new(Admission::new(options.admission)),
            identities: Mutex::new(Identities::new(options.identities)),
            refusals: Mutex::default(),
            counters: Counters::default(),
        })
    }

    /// Counters now.
    #[must_use]
    pub fn stats(&self) -> NetStats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        NetStats {
            accepted: load(&self.counters.accepted),
            refused: lock(&self.refusals).counts(),
            unauthenticated: lock(&self.admission).unauthenticated(),
            accept_errors: load(&self.counters.accept_errors),
            slowed_messages: load(&self.counters.slowed_messages),
        }
    }

    /// May this connection try to authenticate? The ticket is its place.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Ticket, RefusalCause> {
        self.counters.accepted.fetch_add(1, Ordering::Relaxed);
        lock(&self.admission).handle_connection(address, self.clock.now().mono)?;
        Ok(Ticket {
            server: Arc::clone(self),
            address,
            authenticated: false,
        })
    }

    /// May this identity have one more connection?
    pub(super) fn admit_identity(&self, peer: PeerId) -> Result<(), RefusalCause> {
        let now = self.clock.now().mono;
        let admitted = lock(&self.identities).handle_connection(peer, now);
        admitted.map_err(|_| RefusalCause::RateLimited)
    }

    /// One message of an identity; how long to wait if it sends too fast.
    pub(super) fn count_message(&self, peer: PeerId) -> Result<(), Duration> {
        let now = self.clock.mono();
        let result = lock(&self.identities).handle_message(peer, now);
        if result.is_err() {
            self.counters.slowed_messages.fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    pub(super) fn note_misbehaviour(&self, peer: PeerId) {
        let now = self.clock.now().mono;
        lock(&self.identities).handle_misbehaviour(peer, now);
    }

    pub(super) fn note_accept_error(&self) {
        self.counters.accept_errors.fetch_add(1, Ordering::Relaxed);
    }

    /// Who was refused lately, the last one first.
    #[must_use]
    pub fn refused(&self) -> Vec<RefusalView> {
        lock(&self.refusals).kept()
    }

    /// Counts a refusal; tells the log and the core about it unless it is one of a flood. `certificate` is what is known
    /// of the certificate that was shown, as a fragment.
    pub(super) fn refuse(&self, address: SocketAddr, cause: RefusalCause, certificate: Option<String>) {
        let now = self.clock.now();
        let told = lock(&self.refusals).handle_refusal(address.ip(), &cause, certificate.as_deref(), now);
        let Some(untold) = told else { return };
        let like_it = match untold {
            0 => String::new(),
            n => format!(" ({n} more like it were not logged)"),
        };
        if cause.needs_a_person() {
            let shown = certificate.map(|it| format!("; {it}")).unwrap_or_default();
            tracing::warn!(target: target::FARMER_SERVER, "refused {address}: {cause}{shown}{like_it}");
        } else {
            tracing::info!(target: target::FARMER_SERVER, "refused {address}: {cause}{like_it}");
        }
        // A core that is too busy to hear of a refusal has it in its counters.
        self.events.try_send(SessionEvent::Refused { address, cause }).ok();
    }
}

/// The place of one unauthenticated connection; dropping it frees the place.
#[derive(Debug)]
pub(super) struct Ticket {
    server: Arc<Server>,
    address: IpAddr,
    authenticated: bool,
}

impl Ticket {
    /// It is a harvester of this farm.
    pub(super) fn authenticated(mut self) {
        self.authenticated = true;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let now = self.server.clock.now().mono;
        let mut admission = lock(&self.server.admission);
        if self.authenticated {
            admission.handle_authenticated(self.address, now);
        } else {
            admission.handle_end(self.address);
        }
    }
}

/// No code panics while it holds one of these locks, and if it did, counters would still be counters.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
