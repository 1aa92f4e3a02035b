//! TCP as this program uses it: small messages that go out at once, in segments that every path carries.
//!
//! A tunnel carries smaller packets than the networks it lies on. Where nobody tells the sender so, as behind a firewall
//! that drops ICMP, the large ones vanish: a connection opens, small messages pass, and the first large one, mostly a
//! certificate, hangs for ever. Both ends of a connection keep to the smaller of the segments that they name when it
//! opens, so it is enough that this one names few: official peers follow.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::{sleep, timeout};

use crate::config::HostPort;

/// Connects to `peer`: to the first of its addresses that answers. One that does not is given up after 3 s if there is
/// another.
///
/// # Errors
/// The name has no address, or none can be reached: that somebody is there and nobody listens says more than that an
/// address is of no use here.
pub(crate) async fn connect(peer: &HostPort) -> io::Result<TcpStream> {
    let addresses: Vec<SocketAddr> = lookup_host((peer.host.as_str(), peer.port)).await?.collect();
    let Some((last, others)) = addresses.split_last() else {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    };
    let mut told = None;
    for address in others {
        let error = match timeout(BEFORE_THE_NEXT, connect_to(*address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => error,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
        told = Some(more_telling(told, error));
    }
    connect_to(*last).await.map_err(|error| more_telling(told, error))
}

/// Which error to tell of a host of which no address was reached: a refusal if there is one, otherwise the first.
fn more_telling(told: Option<io::Error>, next: io::Error) -> io::Error {
    match told {
        Some(told) if next.kind() != io::ErrorKind::ConnectionRefused => told,
        _ => next,
    }
}

async fn connect_to(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    keep_segments_small(&SockRef::from(&socket));
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Waits until this machine has not had `address` for a while, from which a connection comes: nothing arrives there any
/// more, and nobody says so, so it would seem alive until it has been silent for long. Where any address can be bound
/// (`net.ipv4.ip_nonlocal_bind`) this is never.
pub(crate) async fn address_gone(address: SocketAddr) {
    gone_for_a_while(|| has_address(address)).await;
}

/// A lease may be without its address for a moment while it is renewed.
async fn gone_for_a_while(is_there: impl Fn() -> bool) {
    let mut missed = 0;
    while missed < LOOKS_MISSED {
        sleep(BETWEEN_LOOKS).await;
        missed = if is_there() { 0 } else { missed + 1 };
    }
}

fn has_address(address: SocketAddr) -> bool {
    let mut any_port = address;
    any_port.set_port(0);
    let bound = UdpSocket::bind(any_port);
    bound.map_or_else(|error| error.kind() != io::ErrorKind::AddrNotAvailable, |_| true)
}

/// What connections of this socket send and are sent comes in segments that every path carries. To be called before it
/// connects or listens. A system that refuses leaves them to the path, as most programs do.
pub(crate) fn keep_segments_small(socket: &SockRef<'_>) {
    socket.set_tcp_mss(SEGMENT).ok();
}

/// Bytes of a segment that fits, with its headers, the 1,280 bytes that every IPv6 path carries (RFC 8200 §5), and so the
/// common tunnels.
const SEGMENT: u32 = 1_220;

const BEFORE_THE_NEXT: Duration = Duration::from_secs(3);

/// An address that was not there so often, looked for so often, is gone.
const LOOKS_MISSED: u32 = 3;
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn both_ends_of_a_connection_send_small_segments() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = HostPort::new("127.0.0.1", listener.local_addr().unwrap().port());
        let near = connect(&peer).await.unwrap();
        let (far, _) = listener.accept().unwrap();
        for end in [SockRef::from(&near), SockRef::from(&far)] {
            let bytes = end.tcp_mss().unwrap();
            assert!((1_000..=SEGMENT).contains(&bytes), "{bytes}");
        }
        assert!(near.nodelay().unwrap());
    }

    #[tokio::test]
    async fn closed_port_is_told_from_other_errors() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let refused = connect(&HostPort::new("127.0.0.1", port)).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn refusal_of_one_address_is_told_before_errors_of_the_others() {
        let told = |kinds: &[io::ErrorKind]| {
            let errors = kinds.iter().map(|kind| io::Error::from(*kind));
            errors
                .fold(None, |told, error| Some(more_telling(told, error)))
                .unwrap()
                .kind()
        };
        let (refused, no_family, no_route) = (
            io::ErrorKind::ConnectionRefused,
            io::ErrorKind::Unsupported,
            io::ErrorKind::NetworkUnreachable,
        );
        assert_eq!(told(&[refused, no_family]), refused);
        assert_eq!(told(&[no_route, refused, no_family]), refused);
        assert_eq!(told(&[no_route, no_family]), no_route);
        assert_eq!(told(&[no_family]), no_family);
    }

    #[test]
    fn own_addresses_are_told_from_others() {
        for (address, is_own) in [
            ("127.0.0.1:8447", true),
            ("[::1]:8447", true),
            ("203.0.113.9:8447", false),
        ] {
            assert_eq!(has_address(address.parse().unwrap()), is_own, "{address}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn address_that_is_away_for_a_moment_is_not_gone() {
        let begin = Instant::now();
        let away = [2, 4, 8, 12, 14, 16, 18];
        gone_for_a_while(|| !away.contains(&begin.elapsed().as_secs())).await;
        assert_eq!(begin.elapsed().as_secs(), 16);
    }
}
