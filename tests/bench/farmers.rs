//! The two farmers that are measured, each a process of its own with a fresh root, and what the kernel knows of them.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use farmconsole::config::Root;
use farmconsole::control::{Ask, ControlClient, Event, RecordingPart};
use farmconsole::handle::RecentKind;
use farmconsole::system_clock::Clock;
use farmconsole::tls::issue::Issuer;
use farmconsole::tls::{CaKey, CertificateAuthority, SslLayout, ca_key};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::{Duration, Instant, sleep, timeout};

use crate::peers::NETWORK;

/// A farmer to be measured.
#[derive(Clone, Debug)]
pub(crate) enum Program {
    /// Ours.
    Farmconsole,
    /// The official one of a venv with this python.
    Official { python: PathBuf },
}

/// A farmer that listens. Ends with its root when dropped.
pub(crate) struct Farmer {
    /// Where harvesters connect.
    pub(crate) address: SocketAddr,
    /// Start of the process to open port.
    pub(crate) started_in: Duration,
    process: Child,
    root: TempDir,
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// User and system time of all threads.
    pub(crate) cpu: Duration,
    /// Resident memory, bytes.
    pub(crate) rss: u64,
    /// Most resident memory there ever was, bytes.
    pub(crate) peak: u64,
    /// Open file descriptors.
    pub(crate) files: usize,
}

impl Farmer {
    /// One of them, dialling a node on this machine.
    pub(crate) async fn of(program: &Program, node_port: u16) -> Result<Self> {
        match program {
            Program::Farmconsole => Self::ours(node_port).await,
            Program::Official { python } => Self::official(python, node_port).await,
        }
    }

    /// farmconsole as it was built with this benchmark, set up by its own commands.
    async fn ours(node_port: u16) -> Result<Self> {
        let root = TempDir::new()?;
        let port = free_port()?;
        set_up(ours_command(root.path()).args(["init", "--network", NETWORK]))?;
        let settings = format!(
            "selected_network: {NETWORK}\nfarmer:\n  port: {port}\n  full_node_peers:\n  - host: 127.0.0.1\n    \
             port: {node_port}\n"
        );
        fs::write(Root::new(root.path()).config_file(), settings)?;
        let words = root.path().join("words");
        fs::write(&words, MADE_UP_MNEMONIC)?;
        set_up(
            ours_command(root.path())
                .args(["keys", "import", "--mnemonic-file"])
                .arg(&words),
        )?;
        let mut command = ours_command(root.path());
        command.arg("--daemon");
        Self::start(root, port, command).await
    }

    /// The official farmer of a venv.
    async fn official(python: &Path, node_port: u16) -> Result<Self> {
        let root = TempDir::new()?;
        let port = free_port()?;
        let ports = [port.to_string(), node_port.to_string()];
        set_up(
            Command::new(python)
                .arg(OFFICIAL_SCRIPT)
                .arg("prepare")
                .arg(root.path())
                .args(ports),
        )?;
        let mut command = Command::new(python);
        command.arg(OFFICIAL_SCRIPT).arg("run").arg(root.path());
        Self::start(root, port, command).await
    }

    /// The farm's private CA, which signs the harvesters' certificates.
    pub(crate) fn private_ca(&self) -> Result<Issuer> {
        let ssl = SslLayout::of(&Root::new(self.root.path()));
        Ok(Issuer::load(
            &ssl.ca(CertificateAuthority::Private),
            Clock::start().now().unix,
        )?)
    }

    /// Key of the farm's server CA, as tokens carry it; none of an official farmer.
    pub(crate) fn farm_key(&self) -> Result<Option<CaKey>> {
        let file = Root::new(self.root.path()).farm_ca_dir().join("server_ca.crt");
        if !file.exists() {
            return Ok(None);
        }
        let certificate = CertificateDer::from_pem_slice(&fs::read(file)?)?;
        Ok(ca_key(&certificate))
    }

    /// Opens an invitation, where there are any.
    pub(crate) fn invite(&self, name: &str) -> Result<()> {
        if self.farm_key()?.is_none() {
            return Ok(());
        }
        set_up(ours_command(self.root.path()).args(["harvester", "invite", name]))
    }

    /// What it has used so far.
    pub(crate) fn usage(&self) -> Result<Usage> {
        Usage::of(self.process.id())
    }

    /// How soon a question about nothing much is answered by the task that farms, and how soon one that attaches a
    /// recorder, which is read to the end of the farmer's beginning and leaves.
    pub(crate) async fn attach_recorder(&self) -> Result<[Duration; 2]> {
        let mut client = ControlClient::connect(&Root::new(self.root.path()).control_socket()).await?;
        let mut took = [Duration::ZERO; 2];
        let little = Ask::Recent {
            kind: RecentKind::Notices,
            limit: 1,
        };
        for (took, ask) in took.iter_mut().zip([little, Ask::Record]) {
            let asked = Instant::now();
            client.ask(ask).await?;
            *took = asked.elapsed();
        }
        while !matches!(client.next_event().await?, Event::Recording(RecordingPart::Begun(_))) {}
        Ok(took)
    }

    /// Its process, for measuring it from another thread.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The last lines of what it wrote, for a report of what went wrong.
    pub(crate) fn last_words(&self) -> String {
        let text = fs::read_to_string(self.root.path().join(OUTPUT)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    async fn start(root: TempDir, port: u16, mut command: Command) -> Result<Self> {
        let output = fs::File::create(root.path().join(OUTPUT))?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let began = Instant::now();
        let process = command
            .spawn()
            .with_context(|| format!("start {:?}", command.get_program()))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut farmer = Self {
            address,
            started_in: Duration::ZERO,
            process,
            root,
        };
        let listening = async {
            while TcpStream::connect(address).await.is_err() {
                if let Some(status) = farmer.process.try_wait()? {
                    bail!(
                        "{:?} ended with {status}:\n{}",
                        command.get_program(),
                        farmer.last_words()
                    );
                }
                sleep(Duration::from_millis(1)).await;
            }
            Ok(began.elapsed())
        };
        farmer.started_in = match timeout(START_DEADLINE, listening).await {
            Ok(started_in) => started_in?,
            Err(_) => bail!(
                "no farmer listens on {address} after {START_DEADLINE:?}:\n{}",
                farmer.last_words()
            ),
        };
        Ok(farmer)
    }
}

impl Drop for Farmer {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl Usage {
    /// Of this process: what the harvesters cost.
    pub(crate) fn own() -> Result<Self> {
        Self::of(std::process::id())
    }

    /// Of any process of this user.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let process = PathBuf::from(format!("/proc/{pid}"));
        let status = fs::read_to_string(process.join("status"))?;
        let bytes = |name: &str| -> Result<u64> {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .context("a line is missing")?;
            Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
        };
        let cpu = ticks(&process)?.max(nanoseconds(&process)?);
        Ok(Self {
            cpu,
            rss: bytes("VmRSS:")?,
            peak: bytes("VmHWM:")?,
            files: fs::read_dir(process.join("fd"))?.count(),
        })
    }
}

/// CPU time in the kernel's ticks of 10 ms: all threads, those that have ended too.
fn ticks(process: &Path) -> Result<Duration> {
    let stat = fs::read_to_string(process.join("stat"))?;
    // The name of the program stands in parentheses and may contain anything; utime and stime are fields 14 and 15.
    let (_, fields) = stat.rsplit_once(')').context("no name in stat")?;
    let times: Vec<u64> = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    Ok(Duration::from_millis(times.iter().sum::<u64>() * 10))
}

/// CPU time in nanoseconds, but only of the threads there are now. Like the ticks it is never too high.
fn nanoseconds(process: &Path) -> Result<Duration> {
    let mut sum = 0;
    for thread in fs::read_dir(process.join("task"))? {
        // A thread may end meanwhile, and not every kernel keeps this account.
        let Ok(account) = fs::read_to_string(thread?.path().join("schedstat")) else {
            continue;
        };
        sum += account
            .split_whitespace()
            .next()
            .and_then(|field| field.parse().ok())
            .unwrap_or(0);
    }
    Ok(Duration::from_nanos(sum))
}

fn ours_command(root: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_farmconsole"));
    command.arg("--root").arg(root);
    command
}

/// Runs a command that prepares a root.
fn set_up(command: &mut Command) -> Result<()> {
    let done = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("run {command:?}"))?;
    ensure!(
        done.status.success(),
        "{command:?} ended with {}:\n{}",
        done.status,
        String::from_utf8_lossy(&done.stderr)
    );
    Ok(())
}

/// A port nobody has at this moment.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?.local_addr()?.port())
}

const OFFICIAL_SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench/official_farmer.py");

/// What a farmer prints, in its root.
const OUTPUT: &str = "output";

/// The official farmer needs about a second on an idle machine.
const START_DEADLINE: Duration = Duration::from_secs(10);

/// The first mnemonic of the BIP-39 test vectors: known to everybody and worth nothing.
const MADE_UP_MNEMONIC: &str =
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
