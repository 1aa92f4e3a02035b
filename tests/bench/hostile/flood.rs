//! The attackers: connections that cost the farmer something and are no harvesters.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use farmconsole::clock::UnixMillis;
use farmconsole::tls::issue::Issuer;
use farmconsole::tls::{CaKey, chia_server_name, joiner_config};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{ClientConfig, ClientConnection};
use tokio_util::sync::CancellationToken;

use crate::peers::{client_config, dial};

/// What hostile connections do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Nobody hostile: how things are without.
    Quiet,
    /// TCP connection, and not one byte.
    Stall,
    /// Half a ClientHello.
    Half,
    /// 4 KiB that are no TLS.
    Garbage,
    /// A request of a browser or port scanner.
    Http,
    /// TLS without a certificate.
    NoCertificate,
    /// TLS with a certificate of another CA.
    ForeignCa,
    /// TLS with a good certificate, and then not one byte.
    Silent,
    /// A good ClientHello, ten bytes a second.
    SlowBytes,
    /// A machine that wants to join although nobody is invited. (The official farmer sees TLS without a certificate.)
    Uninvited,
    /// A machine that wants to join while somebody else is invited, and then says nothing.
    Joining,
}

impl Kind {
    /// All, in the order of the table.
    pub(crate) const ALL: [Self; 11] = [
        Self::Quiet,
        Self::Stall,
        Self::Half,
        Self::Garbage,
        Self::Http,
        Self::NoCertificate,
        Self::ForeignCa,
        Self::Silent,
        Self::SlowBytes,
        Self::Uninvited,
        Self::Joining,
    ];

    /// For the table.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Quiet => "(no flood)",
            Self::Stall => "TCP stall",
            Self::Half => "half a ClientHello",
            Self::Garbage => "garbage",
            Self::Http => "plain HTTP",
            Self::NoCertificate => "TLS, no certificate",
            Self::ForeignCa => "TLS, foreign CA",
            Self::Silent => "TLS, then silent",
            Self::SlowBytes => "slow bytes",
            Self::Uninvited => "joins uninvited",
            Self::Joining => "joins, then silent",
        }
    }
}

/// What attackers need, made before a clock runs.
#[derive(Clone)]
pub(crate) struct Arms {
    farmer: SocketAddr,
    sources: u8,
    client_hello: Arc<[u8]>,
    garbage: Arc<[u8]>,
    no_certificate: Arc<ClientConfig>,
    foreign: Arc<ClientConfig>,
    stolen: Arc<ClientConfig>,
    joining: Arc<ClientConfig>,
}

/// What became of the attackers.
#[derive(Debug, Default)]
pub(crate) struct Toll {
    /// Connections that reached the farmer's port.
    pub(crate) connections: AtomicU64,
    /// Open at this moment.
    pub(crate) open: AtomicU64,
    /// Most open at one moment.
    pub(crate) most_open: AtomicU64,
    /// Longest that the farmer kept one, milliseconds; of those still open at the end, until then.
    pub(crate) longest_ms: AtomicU64,
}

impl Arms {
    /// Attackers of this farmer, from 127.0.1.1 and so on; `private_ca` signs the certificate that was stolen.
    /// `farm_key` is what a token tells of the farm, if there is one.
    pub(crate) fn new(
        farmer: SocketAddr,
        sources: u8,
        private_ca: &Issuer,
        farm_key: Option<CaKey>,
        now: UnixMillis,
    ) -> Result<Self> {
        let no_certificate = client_config(private_ca, None)?;
        let mut connection = ClientConnection::new(Arc::clone(&no_certificate), chia_server_name())?;
        let mut client_hello = Vec::new();
        connection.write_tls(&mut client_hello)?;
        // Bytes without a pattern that any parser would take for its own: squares modulo a prime.
        let garbage: Vec<u8> = (1..=4096_u32).map(|n| (n * n % 251) as u8 ^ 0xA5).collect();
        Ok(Self {
            farmer,
            sources,
            client_hello: client_hello.into(),
            garbage: garbage.into(),
            joining: match farm_key {
                Some(key) => joiner_config(&key)?,
                None => Arc::clone(&no_certificate),
            },
            no_certificate,
            foreign: client_config(private_ca, Some(&Issuer::chia(now)?.issue_leaf(now)?))?,
            stolen: client_config(private_ca, Some(&private_ca.issue_leaf(now)?))?,
        })
    }

    /// Keeps `count` attackers busy until `end`: who is thrown out comes again a second later.
    pub(crate) async fn flood(self, kind: Kind, count: u32, toll: Arc<Toll>, end: CancellationToken) {
        let mut attackers = JoinSet::new();
        for n in 0..count {
            let (arms, toll, end) = (self.clone(), Arc::clone(&toll), end.clone());
            let source = Ipv4Addr::new(127, 0, 1, (n % u32::from(self.sources)) as u8 + 1);
            attackers.spawn(async move {
                // A thousand within the first second.
                sleep(Duration::from_millis(u64::from(n) * 1_000 / u64::from(count))).await;
                while !end.is_cancelled() {
                    arms.attack_once(kind, source, &toll, &end).await;
                    tokio::select! {
                        () = end.cancelled() => {}
                        () = sleep(Duration::from_secs(1)) => {}
                    }
                }
            });
        }
        while attackers.join_next().await.is_some() {}
    }

    async fn attack_once(&self, kind: Kind, source: Ipv4Addr, toll: &Toll, end: &CancellationToken) {
        // An overrun farmer takes no connection at all; that shows in what its harvesters get.
        let Ok(Ok(stream)) = timeout(Duration::from_secs(5), dial(source, self.farmer)).await else {
            return;
        };
        let began = Instant::now();
        toll.connections.fetch_add(1, Ordering::Relaxed);
        let open = toll.open.fetch_add(1, Ordering::Relaxed) + 1;
        toll.most_open.fetch_max(open, Ordering::Relaxed);
        tokio::select! {
            // However it ends, it was thrown out.
            _ = self.behave(kind, stream) => {}
            () = end.cancelled() => {}
        }
        toll.open.fetch_sub(1, Ordering::Relaxed);
        toll.longest_ms
            .fetch_max(began.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    async fn behave(&self, kind: Kind, mut stream: TcpStream) -> Result<()> {
        match kind {
            Kind::Quiet | Kind::Stall => {}
            Kind::Half => {
                let half = self.client_hello.len() / 2;
                stream.write_all(&self.client_hello[..half]).await?;
            }
            Kind::Garbage => stream.write_all(&self.garbage).await?,
            Kind::Http => stream.write_all(b"GET / HTTP/1.1\r\nHost: farmer\r\n\r\n").await?,
            Kind::NoCertificate => return self.over_tls(&self.no_certificate, stream).await,
            Kind::ForeignCa => return self.over_tls(&self.foreign, stream).await,
            Kind::Silent => return self.over_tls(&self.stolen, stream).await,
            Kind::SlowBytes => return self.slowly(stream).await,
            Kind::Uninvited | Kind::Joining => return self.over_tls(&self.joining, stream).await,
        }
        until_closed(stream).await
    }

    async fn over_tls(&self, tls: &Arc<ClientConfig>, stream: TcpStream) -> Result<()> {
        let connector = TlsConnector::from(Arc::clone(tls));
        until_closed(connector.connect(chia_server_name(), stream).await?).await
    }

    async fn slowly(&self, stream: TcpStream) -> Result<()> {
        let (read, mut write) = stream.into_split();
        let dribble = async {
            for byte in self.client_hello.iter() {
                write.write_all(&[*byte]).await?;
                sleep(Duration::from_millis(100)).await;
            }
            Ok(())
        };
        tokio::select! {
            closed = until_closed(read) => closed,
            sent = dribble => sent,
        }
    }
}

async fn until_closed(mut stream: impl AsyncRead + Unpin) -> Result<()> {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).await.context("thrown out")? > 0 {}
    Ok(())
}
