//! The machine that joins: makes its key, finds the farmer, proves that it is invited, and checks what it is given.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, DnType, KeyPair};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use zeroize::Zeroizing;

use super::{frame, proof};
use crate::config::HostPort;
use crate::logging::strip_invisible;
use crate::tcp;
use crate::tls::{self, Membership, RefusalCause, TlsError, chia_server_name};
use crate::wire::enrol::{Grant, JoinAnswer, JoinKind, JoinRequest, MAX_JOIN_ANSWER};
use crate::wire::token::Token;

/// A key that was made here, and the request for its certificate. The same one is used for every try, so that a farmer
/// whose answer was lost knows it again.
pub struct JoinKey {
    key: Zeroizing<String>,
    public: Vec<u8>,
    request: Vec<u8>,
}

/// The network that a machine is set to before it joins. It joins no farm of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetNetwork {
    /// Its name, as `mainnet`.
    pub name: String,
    /// The settings file that says so.
    pub file: PathBuf,
}

/// What a machine is given.
#[derive(Debug)]
pub struct Joined {
    /// Its certificate, its key, and whom it trusts.
    pub membership: Membership,
    /// The farmer that gave it.
    pub farmer: HostPort,
    /// The network that is farmed there.
    pub network: String,
}

/// Why a machine did not join. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// No key or request can be made.
    #[error("make a key: {0}")]
    Key(rcgen::Error),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The token names an address that is none.
    #[error("the token names {0:?}, which is no address")]
    Address(String),
    /// Nobody answers there.
    #[error("reach the farmer at {address}: {source}")]
    Unreachable {
        /// Where.
        address: HostPort,
        /// Why not.
        source: io::Error,
    },
    /// By the clock of this machine its certificate is out of date.
    #[error("{address} shows a certificate that is not valid by the clock of this machine: {cause}")]
    ClockWrong {
        /// Where.
        address: HostPort,
        /// What TLS says.
        cause: RefusalCause,
    },
    /// It has another key than the token says.
    #[error("who answers at {address} is not the farmer of this token: {cause}")]
    NotTheFarmer {
        /// Where.
        address: HostPort,
        /// What TLS says.
        cause: RefusalCause,
    },
    /// It hung up.
    #[error("{address} hung up: {cause}")]
    HungUp {
        /// Where.
        address: HostPort,
        /// What TLS says.
        cause: RefusalCause,
    },
    /// It said no.
    #[error("the farmer says: {reason}")]
    Refused {
        /// Why, made safe to show.
        reason: String,
    },
    /// It farms another network than this machine is set to. The token has not been used.
    #[error(
        "join the farm of {address}: it is on the network {farm}, and {} sets this machine to {}",
        set.file.display(), set.name
    )]
    OtherNetwork {
        /// The farmer.
        address: HostPort,
        /// The farm's network, made safe to show.
        farm: String,
        /// The network of the settings here.
        set: SetNetwork,
    },
    /// What it gave is not what was asked for.
    #[error("what the farmer gave cannot be used: {what}")]
    BadGrant {
        /// What is wrong.
        what: &'static str,
    },
    /// It took too long.
    #[error("{address} gave no answer within {} s", PATIENCE.as_secs())]
    TimedOut {
        /// Where.
        address: HostPort,
    },
}

impl JoinError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } => {
                "is the farmer running, and does a firewall let this machine reach that port? If it is to be reached at \
                 another address, make a token with `farmconsole harvester invite NAME --address HOST:8447` on the \
                 farmer's machine"
            }
            Self::ClockWrong { .. } => {
                "is the clock of this machine right? `timedatectl` says whether it is synchronised; the token is still good"
            }
            Self::NotTheFarmer { .. } => {
                "something else answers there, or the farm has new keys: make a new token with `farmconsole harvester \
                 invite NAME` on the farmer's machine"
            }
            Self::Refused { .. } => {
                "if the token has ended, was used or is for other addresses, make a new one with `farmconsole harvester \
                 invite NAME` on the farmer's machine; what else it says is to be mended there, and then join again"
            }
            Self::HungUp { .. } => {
                "tokens are good once, for a limited time, from the addresses they were made for, and only while the \
                 farmer that made them runs: make a new one with `farmconsole harvester invite NAME` on the farmer's \
                 machine"
            }
            Self::Address(_) => "copy the whole token again",
            Self::OtherNetwork { farm, set, .. } => {
                let file = set.file.display();
                return format!("the token is still good: set `selected_network: {farm}` in {file}, and join again");
            }
            Self::BadGrant { .. } => "is farmconsole on both machines of one version?",
            Self::Key(_) | Self::Tls(_) => "the operating system gives no random numbers, or a file cannot be used",
        }
        .to_owned()
    }

    /// Whether another address may do better.
    const fn may_be_the_address(&self) -> bool {
        matches!(
            self,
            Self::Address(_) | Self::Unreachable { .. } | Self::NotTheFarmer { .. } | Self::TimedOut { .. }
        )
    }
}

impl JoinKey {
    /// The request for its certificate, DER.
    #[cfg(test)]
    pub(super) fn request(&self) -> &[u8] {
        &self.request
    }

    /// Makes a key.
    ///
    /// # Errors
    /// [`JoinError::Key`].
    pub fn make() -> Result<Self, JoinError> {
        let key = KeyPair::generate().map_err(JoinError::Key)?;
        let mut params = CertificateParams::default();
        // Whatever stands here, the farmer writes the name it knows.
        params
            .distinguished_name
            .push(DnType::CommonName, "farmconsole harvester");
        let request = params.serialize_request(&key).map_err(JoinError::Key)?;
        Ok(Self {
            public: key.public_key_raw().to_vec(),
            request: request.der().to_vec(),
            key: Zeroizing::new(key.serialize_pem()),
        })
    }
}

/// Joins the farm of a token: tries its addresses one after the other, and asks once more if an answer was lost. A machine
/// that is set to a network joins no farm of another one.
///
/// # Errors
/// [`JoinError`].
pub async fn join(token: &Token, kind: JoinKind, set: Option<&SetNetwork>, key: &JoinKey) -> Result<Joined, JoinError> {
    let mut failed = JoinError::Address(String::new());
    for address in &token.addresses {
        let Ok(farmer) = address.parse::<HostPort>() else {
            failed = JoinError::Address(address.clone());
            continue;
        };
        let mut joined = join_at(token, kind, set, key, &farmer).await;
        if matches!(joined, Err(JoinError::HungUp { .. } | JoinError::TimedOut { .. })) {
            joined = join_at(token, kind, set, key, &farmer).await;
        }
        match joined {
            Err(error) if error.may_be_the_address() => failed = error,
            result => return result,
        }
    }
    Err(failed)
}

/// Asks the farmer that a membership belongs to for a new certificate with a new key.
///
/// # Errors
/// [`JoinError`]; the old one stays good.
pub async fn renew(membership: &Membership, farmer: &HostPort) -> Result<Membership, JoinError> {
    let key = JoinKey::make()?;
    let config = membership.renewal_config()?;
    let mut stream = reach(farmer, config, membership.farmer_name()?).await?;
    let request = JoinRequest {
        invitation: [0; 4],
        kind: JoinKind::Own,
        request: key.request.clone(),
        network: String::new(),
        proof: [0; 32],
    };
    let grant = ask(&mut stream, &request, farmer, None).await?;
    check(grant, &key, None)
}

/// Whether the farmer's certificate is of the very CA that a member trusts. If not, a newer one has signed it, which the
/// old one vouches for: the farm has new authorities.
///
/// # Errors
/// [`JoinError`].
pub async fn is_directly_trusted(membership: &Membership, farmer: &HostPort) -> Result<bool, JoinError> {
    let stream = reach(farmer, membership.client_config()?, membership.farmer_name()?).await?;
    let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
    Ok(shown.first().is_some_and(|leaf| membership.has_signed_farmer(leaf)))
}

/// Whether the farmer lets a member in, found out as far as the websocket and no further, so that it does not take this
/// for a harvester.
///
/// # Errors
/// [`JoinError`].
pub async fn try_out(membership: &Membership, farmer: &HostPort) -> Result<(), JoinError> {
    let stream = reach(farmer, membership.client_config()?, membership.farmer_name()?).await?;
    let url = format!("wss://{farmer}/ws");
    let upgraded = timeout(PATIENCE, tokio_tungstenite::client_async(url, stream)).await;
    match upgraded {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(JoinError::Refused {
            reason: error.to_string(),
        }),
        Err(_) => Err(JoinError::TimedOut {
            address: farmer.clone(),
        }),
    }
}

/// Whether the harvester of a membership has connected to the farmer. None from a farmer of a version that does not say.
///
/// # Errors
/// [`JoinError`].
pub async fn is_seen(membership: &Membership, farmer: &HostPort) -> Result<Option<bool>, JoinError> {
    let mut stream = reach(farmer, membership.seen_config()?, membership.farmer_name()?).await?;
    if stream.get_ref().1.alpn_protocol() != Some(tls::SEEN_ALPN) {
        return Ok(None);
    }
    let said = timeout(PATIENCE, stream.read_u8())
        .await
        .map_err(|_| JoinError::TimedOut {
            address: farmer.clone(),
        })?;
    let said = said.map_err(|error| JoinError::HungUp {
        address: farmer.clone(),
        cause: tls::cause(&error),
    })?;
    Ok(Some(said == 1))
}

async fn join_at(
    token: &Token,
    kind: JoinKind,
    set: Option<&SetNetwork>,
    key: &JoinKey,
    farmer: &HostPort,
) -> Result<Joined, JoinError> {
    let config = tls::joiner_config(&token.ca_key)?;
    let mut stream = reach(farmer, config, chia_server_name()).await?;
    let channel = channel(&stream)?;
    let request = JoinRequest {
        invitation: token.id,
        kind,
        request: key.request.clone(),
        network: set.map(|it| it.name.clone()).unwrap_or_default(),
        proof: proof::of_joiner(&token.secret, &channel, &key.request),
    };
    let grant = ask(&mut stream, &request, farmer, set).await?;
    if !proof::is_of_farmer(&token.secret, &channel, &grant.certificate, &grant.proof) {
        return Err(BAD_PROOF);
    }
    let network = strip_invisible(&grant.network);
    let membership = check(grant, key, Some(&token.ca_key))?;
    Ok(Joined {
        membership,
        farmer: farmer.clone(),
        network,
    })
}

/// Why TLS ended before anything was said.
const fn untrusted(address: HostPort, cause: RefusalCause) -> JoinError {
    match cause {
        RefusalCause::Closed | RefusalCause::PeerAlert { .. } => JoinError::HungUp { address, cause },
        RefusalCause::Expired | RefusalCause::NotValidYet => JoinError::ClockWrong { address, cause },
        _ => JoinError::NotTheFarmer { address, cause },
    }
}

async fn reach(
    farmer: &HostPort,
    config: Arc<ClientConfig>,
    name: rustls_pki_types::ServerName<'static>,
) -> Result<TlsStream<TcpStream>, JoinError> {
    let address = || farmer.clone();
    let unreachable = |source| JoinError::Unreachable {
        address: address(),
        source,
    };
    let dial = async {
        let stream = tcp::connect(farmer).await.map_err(unreachable)?;
        let shaken = TlsConnector::from(config).connect(name, stream).await;
        shaken.map_err(|error| untrusted(address(), tls::cause(&error)))
    };
    timeout(PATIENCE, dial)
        .await
        .map_err(|_| JoinError::TimedOut { address: address() })?
}

fn channel(stream: &TlsStream<TcpStream>) -> Result<proof::Channel, JoinError> {
    let exported = stream
        .get_ref()
        .1
        .export_keying_material([0; 32], proof::EXPORTER, None);
    exported.map_err(|_| JoinError::BadGrant {
        what: "TLS gives no key for this connection",
    })
}

async fn ask<S>(
    stream: &mut S,
    request: &JoinRequest,
    farmer: &HostPort,
    set: Option<&SetNetwork>,
) -> Result<Grant, JoinError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let hung_up = |error: io::Error| JoinError::HungUp {
        address: farmer.clone(),
        cause: tls::cause(&error),
    };
    let talk = async {
        frame::write(stream, request).await.map_err(hung_up)?;
        frame::read(stream, MAX_JOIN_ANSWER).await.map_err(hung_up)
    };
    let answer = timeout(PATIENCE, talk).await.map_err(|_| JoinError::TimedOut {
        address: farmer.clone(),
    })?;
    match answer? {
        JoinAnswer::Granted(grant) => Ok(grant),
        JoinAnswer::Refused { reason } => Err(JoinError::Refused { reason: shown(&reason) }),
        JoinAnswer::OtherNetwork { farm } => Err(match set {
            Some(set) => JoinError::OtherNetwork {
                address: farmer.clone(),
                farm: shown(&farm),
                set: set.clone(),
            },
            None => JoinError::BadGrant {
                what: "it speaks of a network that it was not told of",
            },
        }),
    }
}

/// What somebody says whom we do not know yet, made safe to show.
fn shown(text: &str) -> String {
    strip_invisible(text).chars().take(1_000).collect()
}

/// Whether a grant is for our key and of the CA that the token names, in every part.
fn check(grant: Grant, key: &JoinKey, ca_key: Option<&tls::CaKey>) -> Result<Membership, JoinError> {
    let bad = |what| JoinError::BadGrant { what };
    let name = grant.name.parse().map_err(|_| bad("the name it gave"))?;
    let membership = Membership::new(name, grant.farm_id, grant.server_ca, grant.certificate, key.key.clone())
        .ok_or_else(|| bad("a certificate"))?;
    if membership.public_key().as_deref() != Some(key.public.as_slice()) {
        return Err(bad("the certificate is for another key"));
    }
    if let Some(ca_key) = ca_key
        && membership.ca_key() != Some(*ca_key)
    {
        return Err(bad("the CA is another than the token's"));
    }
    // Whatever is wrong shows here and not when the harvester starts.
    membership.client_config()?;
    Ok(membership)
}

const BAD_PROOF: JoinError = JoinError::BadGrant {
    what: "it does not know the token's secret",
};

/// For each part of the conversation.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_whose_clock_is_wrong_is_told_so_and_needs_no_other_token() {
        let told = |cause| untrusted(HostPort::new("10.0.0.1", 8447), cause);
        for cause in [RefusalCause::Expired, RefusalCause::NotValidYet] {
            let error = told(cause);
            assert!(error.to_string().contains("by the clock of this machine"), "{error}");
            assert!(
                error.hint().contains("clock") && !error.hint().contains("invite"),
                "{}",
                error.hint()
            );
        }
        assert!(matches!(told(RefusalCause::UnknownCa), JoinError::NotTheFarmer { .. }));
    }
}
