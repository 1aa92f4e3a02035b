//! The client's end of the control socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::frame::{self, FrameError, MAX_EVENT};
use super::protocol::{Answer, Ask, CONTROL_PROTOCOL, Event, Hello, Refusal, Request};

/// How long to wait for the greeting and for each reply.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why the farmer could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody listens there: no farmer runs on this root.
    #[error("no farmer answers at {path}: {source}")]
    NotRunning {
        /// Socket.
        path: PathBuf,
        /// Operating system's words.
        source: std::io::Error,
    },
    /// A farmer of another generation runs there.
    #[error(
        "the farmer at {path} is version {version} and speaks control protocol {got}, this program speaks {CONTROL_PROTOCOL}"
    )]
    VersionSkew {
        /// Socket.
        path: PathBuf,
        /// Its software version.
        version: String,
        /// Its control protocol.
        got: u32,
    },
    /// It listens but does not answer.
    #[error("the farmer at {path} gave no answer for {} s", PATIENCE.as_secs())]
    NoAnswer {
        /// Socket.
        path: PathBuf,
    },
    /// The connection ended.
    #[error("the farmer at {path} went away: {detail}")]
    Gone {
        /// Socket.
        path: PathBuf,
        /// How.
        detail: String,
    },
    /// It said no.
    #[error("the farmer says: {0}")]
    Refused(String),
}

/// The first frame.
#[derive(Debug, serde::Deserialize)]
#[serde(untagged)]
enum Greeting {
    Hello(Hello),
    Refusal(Refusal),
}

/// A connection to a running farmer or harvester.
#[derive(Debug)]
pub struct ControlClient {
    hello: Hello,
    path: PathBuf,
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    next_id: u64,
    is_read_only: bool,
    /// Events that came while a reply was waited for.
    early: std::collections::VecDeque<Event>,
}

impl ControlClient {
    /// Connects to the socket at `path` and reads its greeting.
    ///
    /// # Errors
    /// [`ControlError::NotRunning`], [`ControlError::VersionSkew`], [`ControlError::NoAnswer`], [`ControlError::Gone`],
    /// or [`ControlError::Refused`] when as many clients as there may be are there already.
    pub async fn connect(path: &Path) -> Result<Self, ControlError> {
        let path = path.to_owned();
        let stream = match UnixStream::connect(&path).await {
            Ok(stream) => stream,
            Err(source) => return Err(ControlError::NotRunning { path, source }),
        };
        let (mut reader, writer) = stream.into_split();
        let hello = match tokio::time::timeout(PATIENCE, frame::read(&mut reader, MAX_EVENT)).await {
            Ok(Ok(Greeting::Hello(hello))) => hello,
            Ok(Ok(Greeting::Refusal(refusal))) => return Err(ControlError::Refused(refusal.refused)),
            Ok(Err(e)) => return Err(gone(&path, &e)),
            Err(_) => return Err(ControlError::NoAnswer { path }),
        };
        if hello.protocol != CONTROL_PROTOCOL {
            return Err(ControlError::VersionSkew {
                path,
                version: hello.version,
                got: hello.protocol,
            });
        }
        Ok(Self {
            hello,
            path,
            reader,
            writer,
            next_id: 1,
            is_read_only: false,
            early: std::collections::VecDeque::new(),
        })
    }

    /// Connects as [`Self::connect`] does, only to look: the other side then refuses whatever would change something.
    ///
    /// # Errors
    /// As of [`Self::connect`]; [`ControlError::Refused`] when the other side does not know how to.
    pub async fn connect_read_only(path: &Path) -> Result<Self, ControlError> {
        let mut client = Self::connect(path).await?;
        client.ask(Ask::ReadOnly).await?;
        client.is_read_only = true;
        Ok(client)
    }

    /// Whether it was connected only to look.
    #[must_use]
    pub const fn is_read_only(&self) -> bool {
        self.is_read_only
    }

    /// What the other side said of itself.
    #[must_use]
    pub const fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Asks and waits for the answer; events that come meanwhile are kept for [`Self::next_event`].
    ///
    /// # Errors
    /// [`ControlError::Refused`] with the farmer's sentence, or what happened to the connection.
    pub async fn ask(&mut self, ask: Ask) -> Result<Answer, ControlError> {
        let id = self.send(ask).await?;
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let event = match tokio::time::timeout_at(deadline, frame::read(&mut self.reader, MAX_EVENT)).await {
                Ok(Ok(event)) => event,
                Ok(Err(e)) => return Err(gone(&self.path, &e)),
                Err(_) => {
                    return Err(ControlError::NoAnswer {
                        path: self.path.clone(),
                    });
                }
            };
            match event {
                Event::Reply(reply) if reply.id == id => return reply.answer.map_err(ControlError::Refused),
                other => self.early.push_back(other),
            }
        }
    }

    /// Sends a request without waiting; its reply comes as an [`Event::Reply`] with the returned id.
    ///
    /// # Errors
    /// [`ControlError::Gone`] when the connection ended.
    pub async fn send(&mut self, ask: Ask) -> Result<u64, ControlError> {
        let id = self.next_id;
        self.next_id += 1;
        frame::write(&mut self.writer, &Request { id, ask })
            .await
            .map_err(|e| gone(&self.path, &e))?;
        Ok(id)
    }

    /// The next event. Not safe to cancel in the middle of a frame: give it a task of its own, see [`Self::split`].
    ///
    /// # Errors
    /// [`ControlError::Gone`] when the connection ended.
    pub async fn next_event(&mut self) -> Result<Event, ControlError> {
        if let Some(event) = self.early.pop_front() {
            return Ok(event);
        }
        frame::read(&mut self.reader, MAX_EVENT)
            .await
            .map_err(|e| gone(&self.path, &e))
    }

    /// Takes the connection apart, so that one task reads events while another sends requests.
    #[must_use]
    pub fn split(self) -> (ControlEvents, ControlSender) {
        (
            ControlEvents {
                path: self.path.clone(),
                reader: self.reader,
                early: self.early,
            },
            ControlSender {
                path: self.path,
                writer: self.writer,
                next_id: self.next_id,
            },
        )
    }
}

/// The reading half of a split [`ControlClient`].
#[derive(Debug)]
pub struct ControlEvents {
    path: PathBuf,
    reader: OwnedReadHalf,
    early: std::collections::VecDeque<Event>,
}

impl ControlEvents {
    /// The next event.
    ///
    /// # Errors
    /// [`ControlError::Gone`] when the connection ended.
    pub async fn next_event(&mut self) -> Result<Event, ControlError> {
        if let Some(event) = self.early.pop_front() {
            return Ok(event);
        }
        frame::read(&mut self.reader, MAX_EVENT)
            .await
            .map_err(|e| gone(&self.path, &e))
    }
}

/// The sending half of a split [`ControlClient`].
#[derive(Debug)]
pub struct ControlSender {
    path: PathBuf,
    writer: OwnedWriteHalf,
    next_id: u64,
}

impl ControlSender {
    /// Sends a request; its reply comes as an [`Event::Reply`] with the returned id.
    ///
    /// # Errors
    /// [`ControlError::Gone`] when the connection ended.
    pub async fn send(&mut self, ask: Ask) -> Result<u64, ControlError> {
        let id = self.next_id;
        self.next_id += 1;
        frame::write(&mut self.writer, &Request { id, ask })
            .await
            .map_err(|e| gone(&self.path, &e))?;
        Ok(id)
    }
}

fn gone(path: &Path, error: &FrameError) -> ControlError {
    ControlError::Gone {
        path: path.to_owned(),
        detail: error.to_string(),
    }
}
