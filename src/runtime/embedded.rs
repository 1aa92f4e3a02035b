//! A harvester in the farmer's own process: the same messages as over the network, without frames or TLS.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::harvester::{FarmerChannels, Service};
use crate::ids::{PeerId, SessionId};
use crate::net::{Credits, SOFTWARE_VERSION, SessionEvent, outbox};
use crate::snapshot::{ConnectedPeer, DisconnectCause};
use crate::wire::ProtocolVersion;

/// Messages that may wait in each direction.
const QUEUE: usize = 256;

/// Pause before an embedded harvester that was disconnected connects again.
const PAUSE: Duration = Duration::from_secs(1);

/// Connects `service` to the engine as `session` and serves until `stop`.
pub(super) async fn run(
    mut service: Service,
    session: SessionId,
    events: mpsc::Sender<SessionEvent>,
    stop: CancellationToken,
) {
    loop {
        let peer = ConnectedPeer {
            peer_id: PeerId([0; 32]),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            software_version: SOFTWARE_VERSION.to_owned(),
            protocol_version: ProtocolVersion::CURRENT.to_string(),
        };
        let (outbox, from_core) = outbox();
        if events
            .send(SessionEvent::Connected { session, peer, outbox })
            .await
            .is_err()
        {
            return;
        }
        let (to_harvester, from_farmer) = mpsc::channel(QUEUE);
        let (to_farmer, mut from_harvester) = mpsc::channel(QUEUE);
        let credits = Credits::default();
        let serving = service.serve(FarmerChannels { from_farmer, to_farmer }, &stop);
        let carrying = async {
            loop {
                let event = tokio::select! {
                    () = stop.cancelled() => return DisconnectCause::Shutdown,
                    outgoing = from_core.next() => match outgoing {
                        Ok(crate::net::Outgoing::Message { message, id }) => {
                            if to_harvester.send((message, id)).await.is_err() {
                                return DisconnectCause::ClosedByPeer;
                            }
                            continue;
                        }
                        Ok(crate::net::Outgoing::Ping) => SessionEvent::Heard { session },
                        Err(cause) => return cause,
                    },
                    message = from_harvester.recv() => match message {
                        Some((message, id)) => {
                            SessionEvent::Message { session, id, message, size: 0, credit: credits.acquire(0).await }
                        }
                        None => return DisconnectCause::ClosedByPeer,
                    },
                };
                if events.send(event).await.is_err() {
                    return DisconnectCause::Shutdown;
                }
            }
        };
        let cause = tokio::select! {
            () = serving => DisconnectCause::ClosedByPeer,
            cause = carrying => cause,
        };
        if events
            .send(SessionEvent::Disconnected { session, cause })
            .await
            .is_err()
            || stop.is_cancelled()
        {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}
