//! A pool for tests: real HTTPS on loopback with a certificate authority of its own. It writes down every request and
//! answers, or misbehaves, as a test tells it to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// A request as the pool got it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Recorded {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    /// Names in small letters.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Option<Value>,
}

/// What the pool does with a request.
pub(crate) enum Behaviour {
    /// Answers with this status and body.
    Answer(u16, String),
    /// Sends to another address.
    Redirect(u16, String),
    /// Wants to be left alone for so many seconds.
    Busy(&'static str),
    /// Answers with this `Date`.
    Dated(&'static str, String),
    /// Promises a body and sends one byte of it.
    SlowBody,
    /// Ends the connection.
    HangUp,
}

/// An answer that is as it should be.
pub(crate) fn json(value: &Value) -> Behaviour {
    Behaviour::Answer(200, value.to_string())
}

/// A pool that listens until it is dropped.
pub(crate) struct FakePool {
    /// As `https://127.0.0.1:1234`.
    pub(crate) url: String,
    /// Whom to trust to reach it.
    pub(crate) roots: RootCertStore,
    requests: Arc<Mutex<Vec<Recorded>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for FakePool {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FakePool {
    pub(crate) async fn start(answer: impl FnMut(&Recorded) -> Behaviour + Send + 'static) -> Self {
        let (config, roots) = certificates();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("https://{}", listener.local_addr().expect("bound"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (Arc::clone(&requests), Arc::new(Mutex::new(answer)));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    return;
                };
                let (acceptor, seen, answer) = (acceptor.clone(), Arc::clone(&seen), Arc::clone(&answer));
                tokio::spawn(async move {
                    // A client that trusts nobody here ends the handshake.
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let Some(request) = read_request(&mut stream).await else {
                        return;
                    };
                    seen.lock().expect("no panic").push(request.clone());
                    let behaviour = {
                        let mut answer = answer.lock().expect("no panic");
                        answer(&request)
                    };
                    respond(&mut stream, behaviour).await;
                });
            }
        });
        Self {
            url,
            roots,
            requests,
            task,
        }
    }

    /// The same pool under another name.
    pub(crate) fn url_by_name(&self) -> String {
        self.url.replace("127.0.0.1", "localhost")
    }

    /// All requests so far.
    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.requests.lock().expect("no panic").clone()
    }

    /// All requests so far, as `GET /pool_info`.
    pub(crate) fn asked(&self) -> Vec<String> {
        let requests = self.requests();
        requests.iter().map(|it| format!("{} {}", it.method, it.path)).collect()
    }
}

fn certificates() -> (ServerConfig, RootCertStore) {
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().expect("a key")).expect("a certificate");
    let mut leaf = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    leaf.subject_alt_names
        .push(SanType::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()));
    let key = KeyPair::generate().expect("a key");
    let leaf = leaf.signed_by(&key, &ca).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(ca.der().clone()).expect("a root");
    let config = ServerConfig::builder_with_provider(crate::tls::provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            rustls_pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .expect("a server");
    (config, roots)
}

async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> Option<Recorded> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?);
    let url = reqwest::Url::parse(&format!("http://pool{target}")).ok()?;
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers
        .get("content-length")
        .map_or(0, |length| length.parse().expect("a number"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Recorded {
        method,
        path: url.path().to_owned(),
        query: url.query_pairs().into_owned().collect(),
        headers,
        body: (length > 0).then(|| serde_json::from_slice(&body).expect("a JSON body")),
    })
}

async fn respond<S: AsyncWrite + Unpin>(stream: &mut S, behaviour: Behaviour) {
    let (status, more, body) = match behaviour {
        Behaviour::Answer(status, body) => (status, String::new(), body),
        Behaviour::Redirect(status, to) => (status, format!("Location: {to}\r\n"), String::new()),
        Behaviour::Busy(seconds) => (429, format!("Retry-After: {seconds}\r\n"), String::new()),
        Behaviour::Dated(date, body) => (200, format!("Date: {date}\r\n"), body),
        Behaviour::SlowBody => {
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n{";
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.flush().await;
            std::future::pending::<()>().await;
            return;
        }
        Behaviour::HangUp => return,
    };
    let length = body.len();
    let text = format!("HTTP/1.1 {status} X\r\n{more}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    // The client may have gone away.
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}
