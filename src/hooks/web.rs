//! The webhook: an HTTPS POST of the JSON, tried again with growing pauses while there is hope.

use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use tokio::sync::mpsc;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;

use super::{Call, tell};
use crate::config::HookUrl;
use crate::farmer::Input;
use crate::net::{Backoff, chance, mozilla_roots};

/// The HTTPS client cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("make an HTTPS client for alarms: {0}")]
pub struct WebError(String);

/// Where alarms are posted to.
#[derive(Debug)]
pub(super) struct Webhook {
    pub(super) url: HookUrl,
    pub(super) client: reqwest::Client,
    pub(super) farmer: mpsc::Sender<Input>,
}

/// Why a request came to nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Another time it may go better.
    Later(String),
    /// It is no use.
    Never(String),
}

/// A client that trusts what browsers trust and follows nobody elsewhere.
pub(super) fn client() -> Result<reqwest::Client, WebError> {
    let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| WebError(error.to_string()))?
        .with_root_certificates(mozilla_roots())
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(REQUEST_PATIENCE)
        .user_agent(concat!("farmconsole/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| WebError(error.without_url().to_string()))
}

impl Webhook {
    /// Posts each call, in order. While one is tried again, the others wait in the queue.
    pub(super) async fn run(self, mut calls: mpsc::Receiver<Arc<Call>>) {
        while let Some(call) = calls.recv().await {
            let failure = self.post_until_taken(&call).await.err();
            tell(&self.farmer, "webhook", failure).await;
        }
    }

    async fn post_until_taken(&self, call: &Call) -> Result<(), String> {
        let json = serde_json::to_vec(call).map_err(|error| error.to_string())?;
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE).map_err(|error| error.to_string())?;
        for attempt in 1..=ATTEMPTS {
            let request = self
                .client
                .post(self.url.expose())
                .header(CONTENT_TYPE, "application/json");
            match send(request.body(json.clone())).await {
                Ok(()) => return Ok(()),
                Err(Refusal::Never(why)) => return Err(format!("{}: {why}", self.url.host())),
                Err(Refusal::Later(why)) if attempt == ATTEMPTS => {
                    return Err(format!("{}: {why}, {ATTEMPTS} times", self.url.host()));
                }
                Err(Refusal::Later(why)) => {
                    if attempt == 1 {
                        let failure = format!("{}: {why}; tried again", self.url.host());
                        tell(&self.farmer, "webhook", Some(failure)).await;
                    }
                    tokio::time::sleep(backoff.handle_failure(chance())).await;
                }
            }
        }
        Ok(())
    }
}

/// Sends a request; anything but success is a refusal. The address, which may hold a secret, is in no text.
pub(super) async fn send(request: reqwest::RequestBuilder) -> Result<(), Refusal> {
    let answer = request
        .send()
        .await
        .map_err(|error| Refusal::Later(cause(&error.without_url())))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let why = format!("answered {status}");
    let may_pass =
        status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT;
    Err(if may_pass {
        Refusal::Later(why)
    } else {
        Refusal::Never(why)
    })
}

/// The innermost cause, which is the one that says something.
fn cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// How long one request may take.
const REQUEST_PATIENCE: Duration = Duration::from_secs(15);

/// Pauses before another try: a quarter of an hour in all, then the next alarm has its turn.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(120);
const ATTEMPTS: u32 = 12;
