//! A farmer that listens on loopback, and what a machine says at its desk.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::config::{HarvesterName, HostPort, LegacyCa, Root};
use crate::enrol::{Desk, frame, proof};
use crate::net::{
    AdmissionLimits, DialOptions, IdentityRates, Listener, Server, ServerOptions, SessionEvent, SessionIds, connect,
};
use crate::registry::AllowList;
use crate::snapshot::RefusalCause;
use crate::system_clock::Clock;
use crate::tls::{FarmCa, FarmerTls, HarvesterTls, Membership, TrustedClock, chia_server_name, joiner_config};
use crate::wire::ProtocolVersion;
use crate::wire::enrol::{JoinAnswer, JoinKind, JoinRequest, MAX_JOIN_ANSWER};
use crate::wire::token::Token;

/// A farmer that listens on loopback, without a core.
pub(super) struct Farm {
    pub(super) dir: tempfile::TempDir,
    pub(super) list: Arc<AllowList>,
    pub(super) desk: Arc<Desk>,
    pub(super) server: Arc<Server>,
    pub(super) events: mpsc::Receiver<SessionEvent>,
    pub(super) port: u16,
    pub(super) clock: Clock,
    pub(super) tls: Arc<FarmerTls>,
}

impl Farm {
    pub(super) fn start() -> Self {
        Self::start_on(tempfile::tempdir().unwrap())
    }

    pub(super) fn start_on(dir: tempfile::TempDir) -> Self {
        let root = Root::new(dir.path());
        let clock = Clock::start();
        let time = Arc::new(TrustedClock::in_memory(move || clock.now()));
        let list = Arc::new(AllowList::open(&root, LegacyCa::Off).unwrap());
        let ca = FarmCa::open_or_make(&root, &list.farm_id(), time.span()).unwrap();
        let tls = Arc::new(FarmerTls::load(&root, &ca, Arc::clone(&list), Arc::clone(&time)).unwrap());
        let desk = Arc::new(Desk::new(ca, Arc::clone(&list), "simulator1".to_owned(), clock, time));
        let (sender, events) = mpsc::channel(100);
        let listener = Listener::bind_to(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let port = listener.address().port();
        let server = Server::new(ServerOptions {
            network_id: "simulator1".to_owned(),
            server_port: port,
            events: sender,
            session_ids: SessionIds::default(),
            shutdown: CancellationToken::new(),
            clock,
            admission: AdmissionLimits::default(),
            identities: IdentityRates::default(),
            list: Arc::clone(&list),
            desk: Some(Arc::clone(&desk)),
        });
        tokio::spawn(listener.serve(Arc::clone(&tls), Arc::clone(&server)));
        Self {
            dir,
            list,
            desk,
            server,
            events,
            port,
            clock,
            tls,
        }
    }

    pub(super) fn tls(&self) -> &FarmerTls {
        &self.tls
    }

    pub(super) fn address(&self) -> HostPort {
        HostPort::new("127.0.0.1", self.port)
    }

    pub(super) fn invite(&self, name: &str) -> Token {
        let addresses = vec![self.address().to_string()];
        self.desk
            .invite(&self::name(name), Duration::from_secs(60), None, addresses)
            .unwrap()
    }

    /// What the farmer was told of the next refusal.
    pub(super) async fn refused(&mut self) -> RefusalCause {
        match self.event().await {
            SessionEvent::Refused { cause, .. } => cause,
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    pub(super) async fn event(&mut self) -> SessionEvent {
        timeout(Duration::from_secs(20), self.events.recv())
            .await
            .expect("nothing happened")
            .expect("the server is gone")
    }

    /// Connects as a harvester with what a membership gives.
    pub(super) async fn farm_as(&self, membership: &Membership) -> Result<(), String> {
        let tls = HarvesterTls {
            config: membership.client_config().unwrap(),
            farmer_name: membership.farmer_name().unwrap(),
        };
        let reached = crate::net::reach(&self.address(), &tls.config, tls.farmer_name)
            .await
            .map_err(|error| error.to_string())?;
        let options = DialOptions {
            network_id: "simulator1".to_owned(),
            protocol_version: ProtocolVersion::CURRENT,
            host: self.address().to_string(),
            address: reached.address,
            own_address: reached.own_address,
            farmer_id: reached.peer_id,
        };
        let link = connect(reached.stream, options)
            .await
            .map_err(|error| error.to_string())?;
        let (to_farmer, outgoing) = mpsc::channel(1);
        let (incoming, from_farmer) = mpsc::channel(1);
        tokio::spawn(async move {
            let _open = (to_farmer, from_farmer);
            link.run(outgoing, incoming, &CancellationToken::new()).await
        });
        Ok(())
    }
}

pub(super) fn name(text: &str) -> HarvesterName {
    text.parse().unwrap()
}

/// A connection on which TLS for joiners is done.
pub(super) async fn at_the_desk(farm: &Farm, token: &Token) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", farm.port)).await.unwrap();
    let config = joiner_config(&token.ca_key).unwrap();
    TlsConnector::from(config)
        .connect(chia_server_name(), stream)
        .await
        .unwrap()
}

/// The request of a joiner that makes `request` its own.
pub(super) fn request_with(token: &Token, stream: &TlsStream<TcpStream>, request: Vec<u8>) -> JoinRequest {
    let channel = stream
        .get_ref()
        .1
        .export_keying_material([0; 32], proof::EXPORTER, None)
        .unwrap();
    JoinRequest {
        invitation: token.id,
        kind: JoinKind::Own,
        proof: proof::of_joiner(&token.secret, &channel, &request),
        request,
        network: String::new(),
    }
}

pub(super) async fn answer_to(farm: &Farm, token: &Token, request: Vec<u8>) -> JoinAnswer {
    let mut stream = at_the_desk(farm, token).await;
    let request = request_with(token, &stream, request);
    frame::write(&mut stream, &request).await.unwrap();
    frame::read(&mut stream, MAX_JOIN_ANSWER).await.unwrap()
}
