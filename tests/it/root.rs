//! A root of its own for every test, and what runs on it.

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The BIP-39 test vector: worth nothing.
pub(crate) const MNEMONIC: &str =
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

/// How long a test waits for what has to happen: longer than it takes on a machine that is busy with other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// Lets the program under test go on: looking all the time would take a processor from it.
pub(crate) fn wait_a_moment() {
    std::thread::sleep(Duration::from_millis(20));
}

/// A root in a directory of its own, and what runs on it.
pub(crate) struct Program {
    pub(crate) dir: tempfile::TempDir,
    /// Where harvesters connect, once the root is on the simulated chain.
    pub(crate) port: u16,
    pub(crate) daemon: Option<Child>,
}

impl Program {
    /// An empty directory.
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            port: free_port(),
            daemon: None,
        }
    }

    /// A root on the simulated chain with keys and a free port.
    pub(crate) fn simulated() -> Self {
        let program = Self::new();
        program.ok(&["init", "--network", "simulator1"]);
        let mnemonic = program.dir.path().join("mnemonic");
        fs::write(&mnemonic, MNEMONIC).unwrap();
        program.ok(&["keys", "import", "--mnemonic-file", mnemonic.to_str().unwrap()]);
        program.settings(|text| text.replace("port: 8447", &format!("port: {}", program.port)));
        program
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_farmconsole"));
        command
            .arg("--root")
            .arg(self.root())
            .args(args)
            .env_clear()
            .env("HOME", self.dir.path())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs a command that must succeed; its standard output.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(
            output.status.success(),
            "{args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must fail with `status`; its standard error.
    pub(crate) fn fails(&self, args: &[&str], status: i32) -> String {
        let output = self.run(args);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{args:?}: {errors}");
        errors
    }

    pub(crate) fn settings(&self, change: impl Fn(String) -> String) {
        let file = self.root().join("config/config.yaml");
        fs::write(&file, change(fs::read_to_string(&file).unwrap())).unwrap();
    }

    /// Starts the daemon and waits until it answers; how long that took.
    pub(crate) fn start(&mut self) -> Duration {
        let command = self.command(&["--daemon"]);
        self.start_by(command)
    }

    /// Starts the daemon by this command.
    pub(crate) fn start_by(&mut self, mut command: Command) -> Duration {
        let started = Instant::now();
        let daemon = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        self.daemon = Some(daemon);
        while started.elapsed() < PATIENCE {
            if self.run(&["summary", "--json"]).status.success() {
                return started.elapsed();
            }
            let daemon = self.daemon.as_mut().unwrap();
            if let Some(status) = daemon.try_wait().unwrap() {
                let mut errors = String::new();
                daemon.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
                panic!("the daemon ended with {status}: {errors}");
            }
            wait_a_moment();
        }
        panic!("the daemon does not answer");
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(args)).unwrap()
    }

    /// Asks until `check` holds of the summary.
    pub(crate) fn until(&self, what: &str, check: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let summary = self.json(&["summary", "--json"]);
            if check(&summary) {
                return summary;
            }
            assert!(started.elapsed() < PATIENCE, "{what} never came true: {summary:#}");
            wait_a_moment();
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            // It may have ended by itself.
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

/// A port that nobody listens on, below those that the system gives to outgoing connections, which would take it away
/// between two starts of a daemon.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let process = u16::try_from(std::process::id() % 1000).unwrap();
    loop {
        let port = 12_000 + process * 20 + NEXT.fetch_add(1, Ordering::Relaxed) % 20;
        if std::net::TcpListener::bind(("::", port)).is_ok() {
            return port;
        }
    }
}
