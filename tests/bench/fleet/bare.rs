//! What no farmer can be faster than on this machine: a process that writes as many bytes as a signage point has to as
//! many sockets, and reads as many as the answers have, with nothing in between: no TLS, no messages, no decisions.
//!
//! It is this benchmark's own program, started once more, so that its CPU time is counted as that of a farmer is.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::time::{ClockId, clock_gettime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

use crate::farmers::Usage;
use crate::table::{Points, Size};

/// Bytes on the wire of a signage point, and of its answer: message, websocket frame, TLS record.
const SIGNAGE_POINT: usize = 158;
const ANSWER: usize = 126;

/// Nanoseconds of the system's monotonic clock at the sender stand at the beginning of each signage point.
const STAMP: usize = 8;

/// Serves so many connections with so many signage points. The caller reads the port, connects, waits for "connected",
/// says "go", and waits for "done"; the end of its words ends it.
pub(crate) fn serve(size: Size) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut words = io::stdin().lines();
    writeln!(io::stdout(), "{}", listener.local_addr()?.port())?;
    let mut links = Vec::new();
    for _ in 0..size.harvesters {
        let (link, _) = listener.accept()?;
        link.set_nodelay(true)?;
        links.push(link);
    }
    writeln!(io::stdout(), "connected")?;
    words.next().context("the benchmark has gone")??;
    let mut answer = [0; ANSWER];
    for _ in 0..size.signage_points {
        std::thread::sleep(size.interval);
        let mut point = [0; SIGNAGE_POINT];
        point[..STAMP].copy_from_slice(&nanoseconds().to_be_bytes());
        for link in &mut links {
            link.write_all(&point)?;
        }
        for link in &mut links {
            link.read_exact(&mut answer)?;
        }
    }
    writeln!(io::stdout(), "done")?;
    // Its CPU time is read before it is gone.
    words.next();
    Ok(())
}

/// Measures it.
pub(crate) async fn measure(size: Size) -> Result<Points> {
    let mut process = Server(
        Command::new(std::env::current_exe()?)
            .args(["--bench", "--bare-farmer"])
            .args(["--signage-points", &size.signage_points.to_string()])
            .args(["--interval-ms", &size.interval.as_millis().to_string()])
            .arg(size.harvesters.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?,
    );
    let mut says = BufReader::new(process.0.stdout.take().context("its output is piped")?);
    let port: u16 = line(&mut says)?.parse()?;
    let mut harvesters = JoinSet::new();
    for _ in 0..size.harvesters {
        let link = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        link.set_nonblocking(true)?;
        link.set_nodelay(true)?;
        harvesters.spawn(answer(tokio::net::TcpStream::from_std(link)?, size.look_up));
    }
    ensure!(line(&mut says)? == "connected", "it did not connect");

    let pid = process.0.id();
    let (before, own) = (Usage::of(pid)?, Usage::own()?);
    let mut hears = process.0.stdin.take().context("its input is piped")?;
    writeln!(hears, "go")?;
    let done = tokio::task::spawn_blocking(move || line(&mut says));
    ensure!(done.await?? == "done", "it did not come to its end");
    let (after, own_after) = (Usage::of(pid)?, Usage::own()?);
    drop(hears);

    let mut points = vec![Vec::new(); size.signage_points as usize];
    while let Some(delays) = harvesters.join_next().await {
        let delays = delays??;
        ensure!(
            delays.len() == points.len(),
            "a harvester got {} signage points",
            delays.len()
        );
        for (point, delay) in points.iter_mut().zip(delays) {
            point.push(delay);
        }
    }
    let (first, last) = (
        |delays: &[Duration]| delays.iter().min().copied(),
        |delays: &[Duration]| delays.iter().max().copied(),
    );
    Ok(Points {
        spread: points
            .iter()
            .filter_map(|delays| Some(last(delays)? - first(delays)?))
            .collect(),
        from_node: points.iter().filter_map(|delays| last(delays)).collect(),
        cpu: after.cpu.saturating_sub(before.cpu) / size.signage_points,
        own_cpu: own_after.cpu.saturating_sub(own.cpu) / size.signage_points,
        fan_out_cpu: Vec::new(),
    })
}

/// A harvester: it says how long each signage point was under way.
async fn answer(mut link: tokio::net::TcpStream, look_up: Duration) -> Result<Vec<Duration>> {
    let (mut point, mut delays) = ([0; SIGNAGE_POINT], Vec::new());
    // The end of the connection is the end of the signage points.
    while link.read_exact(&mut point).await.is_ok() {
        let now = nanoseconds();
        if !look_up.is_zero() {
            tokio::time::sleep(look_up).await;
        }
        link.write_all(&[0; ANSWER]).await?;
        let mut stamp = [0; STAMP];
        stamp.copy_from_slice(&point[..STAMP]);
        delays.push(Duration::from_nanos(now.saturating_sub(u64::from_be_bytes(stamp))));
    }
    Ok(delays)
}

fn line(says: &mut BufReader<ChildStdout>) -> Result<String> {
    let mut line = String::new();
    says.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

/// The same for all processes of this machine.
fn nanoseconds() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Ends with whoever started it.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
