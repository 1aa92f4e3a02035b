//! An attached viewer: the program itself on a pseudo-terminal, attached to a control socket that says what a farmer with
//! a thousand harvesters would. Measured are its memory and its processor time, as the system counts them.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use farmconsole::config::Root;
use farmconsole::control::{Answer, Ask, CONTROL_PROTOCOL, Event, Hello, Reply, Request, Role};
use farmconsole::handle::FeedEvent;
use portable_pty::{Child, CommandBuilder, PtySize, native_pty_system};
use serde::Serialize;
use tokio::time::Instant;

use crate::console::cost::{self, Size};

/// How long each state is watched.
const WATCHED: Duration = Duration::from_secs(20);

/// How long a state lasts before it is watched.
const SETTLED: Duration = Duration::from_secs(5);

/// An attached viewer may take this much memory.
pub(crate) const MEMORY_GOAL: u64 = 40 << 20;

/// It may take this share of a processor when nothing happens, per cent.
pub(crate) const QUIET_GOAL: f64 = 1.0;

/// What happens on the farm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traffic {
    /// Nothing; as a farmer does then, a picture a second, for the clock.
    Nothing,
    /// A signage point every 9.375 s, which every harvester is sent and answers within two seconds; four pictures a
    /// second while they do.
    SignagePoints,
    /// As many messages a second as were asked for, and four pictures.
    Flood,
}

/// What it took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    /// Processor time of wall time, per cent.
    pub(crate) processor: f64,
    /// Resident memory at the end, bytes.
    pub(crate) memory: u64,
    /// The most it ever was, bytes.
    pub(crate) peak: u64,
    /// Bytes written to the terminal in a second.
    pub(crate) drawn: u64,
}

/// A viewer, and the farmer it is attached to.
pub(crate) struct Viewer {
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    drawn: Arc<AtomicU64>,
    farmer: Arc<Farmer>,
    _master: Box<dyn portable_pty::MasterPty + Send>,
    _root: tempfile::TempDir,
}

impl Viewer {
    /// Attaches one and waits until it has drawn.
    pub(crate) fn attach(size: Size) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let root = Root::new(dir.path().join("r"));
        let socket = root.control_socket();
        fs::create_dir_all(socket.parent().unwrap_or_else(|| Path::new("/")))?;
        let farmer = Arc::new(Farmer {
            size,
            traffic: Mutex::new(Traffic::Nothing),
            watched: AtomicBool::new(false),
        });
        let listener = UnixListener::bind(&socket).context("bind the control socket")?;
        let served = Arc::clone(&farmer);
        std::thread::spawn(move || {
            if let Ok((stream, _)) = listener.accept() {
                // The viewer goes first, and takes its end with it.
                let _ = served.serve(stream);
            }
        });
        let pty = native_pty_system().openpty(PtySize {
            rows: size.rows,
            cols: size.columns,
            pixel_width: 0,
            pixel_height: 0,
        })?;
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_farmconsole"));
        command.env_clear();
        command.env("HOME", dir.path());
        command.env("TERM", "xterm-256color");
        command.env("COLORTERM", "truecolor");
        command.env("LANG", "C.UTF-8");
        command.args(["--root".as_ref(), root.dir().as_os_str()]);
        let child = pty.slave.spawn_command(command)?;
        drop(pty.slave);
        let drawn = Arc::new(AtomicU64::new(0));
        let (mut reader, counted) = (pty.master.try_clone_reader()?, Arc::clone(&drawn));
        std::thread::spawn(move || {
            let mut bytes = [0; 65536];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                counted.fetch_add(count as u64, Ordering::Relaxed);
            }
        });
        let keys = pty.master.take_writer()?;
        let mut viewer = Self {
            child,
            keys,
            drawn,
            farmer,
            _master: pty.master,
            _root: dir,
        };
        let started = Instant::now();
        while !viewer.farmer.watched.load(Ordering::SeqCst) {
            if let Some(status) = viewer.child.try_wait()? {
                bail!("the viewer ended: {status:?}");
            }
            if started.elapsed() > SETTLED * 4 {
                bail!("the viewer does not attach");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(viewer)
    }

    /// Presses keys, lets it happen, and watches.
    pub(crate) fn watch(&mut self, keys: &str, traffic: Traffic) -> Result<Taken> {
        self.keys.write_all(keys.as_bytes())?;
        self.keys.flush()?;
        *self.farmer.traffic.lock().unwrap_or_else(PoisonError::into_inner) = traffic;
        std::thread::sleep(SETTLED);
        let pid = self.child.process_id().context("the viewer has no process")?;
        let (ticks, drawn, started) = (ticks(pid)?, self.drawn.load(Ordering::Relaxed), Instant::now());
        std::thread::sleep(WATCHED);
        let took = started.elapsed().as_secs_f64();
        let worked = self::ticks(pid)?.saturating_sub(ticks) as f64 / TICKS_A_SECOND;
        let drawn = self.drawn.load(Ordering::Relaxed) - drawn;
        Ok(Taken {
            processor: worked * 100.0 / took,
            memory: kilobytes(pid, "VmRSS:")? << 10,
            peak: kilobytes(pid, "VmHWM:")? << 10,
            drawn: (drawn as f64 / took) as u64,
        })
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Linux has counted in hundredths of a second for programs since it has been on x86.
const TICKS_A_SECOND: f64 = 100.0;

/// Processor time of a process, in ticks.
fn ticks(pid: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in brackets may have spaces in it.
    let rest = stat.rsplit_once(") ").context("no name in the process's line")?.1;
    let numbers: Vec<&str> = rest.split(' ').collect();
    let ticks = |n: usize| numbers.get(n).and_then(|it| it.parse::<u64>().ok());
    Ok(ticks(11).context("no user time")? + ticks(12).context("no system time")?)
}

fn kilobytes(pid: u32, what: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    let number = line.and_then(|it| it.split_whitespace().next());
    number.and_then(|it| it.parse().ok()).context("no memory")
}

/// What stands for a farmer at the other end of the socket.
struct Farmer {
    size: Size,
    traffic: Mutex<Traffic>,
    watched: AtomicBool,
}

impl Farmer {
    fn serve(self: Arc<Self>, mut stream: UnixStream) -> io::Result<()> {
        let hello = Hello {
            protocol: CONTROL_PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            role: Role::Farmer,
        };
        let writer = Arc::new(Mutex::new(stream.try_clone()?));
        send(&writer, &hello)?;
        loop {
            let mut head = [0; 4];
            stream.read_exact(&mut head)?;
            let mut body = vec![0; u32::from_be_bytes(head) as usize];
            stream.read_exact(&mut body)?;
            let Request { id, ask } = serde_json::from_slice(&body)?;
            let answer = match ask {
                Ask::Snapshot => Ok(Answer::Snapshot(Box::new(cost::farm(self.size, 0)))),
                Ask::Page(request) => Ok(Answer::Page(cost::page(self.size, &request))),
                Ask::Recent { .. } => Ok(Answer::Recent(Vec::new())),
                Ask::Watch(_) => {
                    let (farmer, writer) = (Arc::clone(&self), Arc::clone(&writer));
                    std::thread::spawn(move || farmer.tell(&writer));
                    Ok(Answer::Done)
                }
                other => Err(format!("{other:?} is not answered here")),
            };
            send(&writer, &Event::Reply(Box::new(Reply { id, answer })))?;
        }
    }

    /// Sends pictures and messages until the viewer is gone.
    fn tell(&self, writer: &Mutex<UnixStream>) -> io::Result<()> {
        /// Steps of a second.
        const STEPS: u64 = 20;
        /// Steps from one signage point to the next.
        const POINT: u64 = STEPS * 9_375 / 1_000;
        /// Steps within which it is answered.
        const ANSWERED: u64 = STEPS * 2;
        self.watched.store(true, Ordering::SeqCst);
        let (started, mut sent) = (Instant::now(), 0u64);
        for step in 0.. {
            let traffic = *self.traffic.lock().unwrap_or_else(PoisonError::into_inner);
            let of_point = step % POINT;
            let (messages, pictures) = match traffic {
                Traffic::Nothing => (0, 1),
                Traffic::SignagePoints if of_point == 0 => (u64::from(self.size.harvesters), 4),
                Traffic::SignagePoints if of_point < ANSWERED => (u64::from(self.size.harvesters) / ANSWERED, 4),
                Traffic::SignagePoints => (0, 1),
                Traffic::Flood => (u64::from(self.size.messages) / STEPS, 4),
            };
            for _ in 0..messages {
                let record = cost::message(self.size, sent);
                sent += 1;
                send(writer, &Event::Feed(FeedEvent::Message(record)))?;
            }
            if step % (STEPS / pictures) == 0 {
                let farm = cost::farm(self.size, step * 1_500 / STEPS);
                send(writer, &Event::Snapshot(Box::new(farm)))?;
            }
            let next = started + Duration::from_millis((step + 1) * 1_000 / STEPS);
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        Ok(())
    }
}

/// Writes one frame.
fn send<T: Serialize>(stream: &Mutex<UnixStream>, value: &T) -> io::Result<()> {
    let body = serde_json::to_vec(value)?;
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    let mut frame = length.to_be_bytes().to_vec();
    frame.extend(body);
    stream.lock().unwrap_or_else(PoisonError::into_inner).write_all(&frame)
}
