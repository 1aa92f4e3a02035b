//! The program from outside: commands, exit statuses, files. Every test has a root of its own and a free port.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The BIP-39 test vector: worth nothing.
const MNEMONIC: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

/// A root in a directory of its own, and what runs on it.
struct Program {
    dir: tempfile::TempDir,
    /// Where harvesters connect, once the root is on the simulated chain.
    port: u16,
    daemon: Option<Child>,
}

impl Program {
    /// An empty directory.
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            port: free_port(),
            daemon: None,
        }
    }

    /// A root on the simulated chain with keys and a free port.
    fn simulated() -> Self {
        let program = Self::new();
        program.ok(&["init", "--network", "simulator1"]);
        let mnemonic = program.dir.path().join("mnemonic");
        fs::write(&mnemonic, MNEMONIC).unwrap();
        program.ok(&["keys", "import", "--mnemonic-file", mnemonic.to_str().unwrap()]);
        program.settings(|text| text.replace("port: 8447", &format!("port: {}", program.port)));
        program
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn command(&self, args: &[&str]) -> Command {
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

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs a command that must succeed; its standard output.
    fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(
            output.status.success(),
            "{args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must fail with `status`; its standard error.
    fn fails(&self, args: &[&str], status: i32) -> String {
        let output = self.run(args);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{args:?}: {errors}");
        errors
    }

    fn settings(&self, change: impl Fn(String) -> String) {
        let file = self.root().join("config/config.yaml");
        fs::write(&file, change(fs::read_to_string(&file).unwrap())).unwrap();
    }

    /// Starts the daemon and waits until it answers; how long that took.
    fn start(&mut self) -> Duration {
        let started = Instant::now();
        let daemon = self
            .command(&["--daemon"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        self.daemon = Some(daemon);
        while started.elapsed() < Duration::from_secs(20) {
            if self.run(&["summary", "--json"]).status.success() {
                return started.elapsed();
            }
            let daemon = self.daemon.as_mut().unwrap();
            if let Some(status) = daemon.try_wait().unwrap() {
                let mut errors = String::new();
                daemon.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
                panic!("the daemon ended with {status}: {errors}");
            }
            std::thread::yield_now();
        }
        panic!("the daemon does not answer");
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(args)).unwrap()
    }

    /// Asks until `check` holds of the summary.
    fn until(&self, what: &str, check: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let summary = self.json(&["summary", "--json"]);
            if check(&summary) {
                return summary;
            }
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "{what} never came true: {summary:#}"
            );
            std::thread::yield_now();
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

#[test]
fn every_command_that_needs_a_farmer_says_that_none_runs() {
    let program = Program::simulated();
    for command in ["summary", "challenges", "attempts", "messages", "alarms", "stop"] {
        let errors = program.fails(&[command], 69);
        assert!(
            errors.contains("no farmer answers at") && errors.contains("control.sock"),
            "{errors}"
        );
        assert!(
            errors.contains("hint: start one with `farmconsole --daemon`"),
            "{errors}"
        );
    }
}

#[test]
fn wrong_usage_and_bad_settings_have_statuses_of_their_own() {
    let program = Program::new();
    program.fails(&["no-such-command"], 2);
    let errors = program.fails(&["--daemon", "summary"], 2);
    assert!(errors.contains("hint: `farmconsole --daemon`"), "{errors}");
    let errors = program.fails(&["--daemon"], 78);
    assert!(errors.contains("hint: make a root with `farmconsole init`"), "{errors}");
    program.ok(&["init", "--network", "simulator1"]);
    program.settings(|text| text.replace("simulated_chain:", "simulatd_chain:"));
    let errors = program.fails(&["--daemon"], 78);
    assert!(
        errors.contains("simulatd_chain") && errors.contains("did you mean farmconsole.simulated_chain?"),
        "{errors}"
    );
    assert!(program.run(&["config", "check"]).status.code() == Some(1));
}

#[test]
fn init_makes_a_root_that_only_its_owner_reads() {
    let program = Program::simulated();
    let mode = |path: &str| fs::metadata(program.root().join(path)).unwrap().permissions().mode() & 0o777;
    for secret in [
        "config/ssl/ca/private_ca.key",
        "config/ssl/farmer/private_farmer.key",
        "farmconsole/farming-keys.yaml",
    ] {
        assert_eq!(mode(secret), 0o600, "{secret}");
    }
    assert_eq!(mode("farmconsole"), 0o700);
    let before = fs::read(program.root().join("config/ssl/ca/private_ca.crt")).unwrap();
    program.ok(&["init"]);
    assert_eq!(
        fs::read(program.root().join("config/ssl/ca/private_ca.crt")).unwrap(),
        before,
        "init is idempotent"
    );
}

#[test]
fn init_with_a_ca_directory_without_its_key_is_refused() {
    let farm = Program::simulated();
    let ca = farm.dir.path().join("ca");
    fs::create_dir(&ca).unwrap();
    fs::copy(
        farm.root().join("config/ssl/ca/private_ca.crt"),
        ca.join("private_ca.crt"),
    )
    .unwrap();
    let other = Program::new();
    let errors = other.fails(&["init", "-c", ca.to_str().unwrap()], 1);
    assert!(errors.contains("private_ca.key"), "{errors}");
    fs::copy(
        farm.root().join("config/ssl/ca/private_ca.key"),
        ca.join("private_ca.key"),
    )
    .unwrap();
    other.ok(&["init", "-c", ca.to_str().unwrap()]);
    let of = |p: &Program| fs::read(p.root().join("config/ssl/ca/private_ca.crt")).unwrap();
    assert_eq!(of(&farm), of(&other));
}

#[test]
fn keys_that_others_can_read_are_refused() {
    let program = Program::simulated();
    let shown = program.ok(&["keys", "show"]);
    assert!(
        shown.contains("Farmer public key") && shown.contains("txch1"),
        "{shown}"
    );
    let secret = fs::read_to_string(program.root().join("farmconsole/farming-keys.yaml")).unwrap();
    assert!(!secret.contains("abandon"), "the mnemonic is kept");
    let file = program.root().join("farmconsole/farming-keys.yaml");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let errors = program.fails(&["--daemon"], 78);
    assert!(errors.contains("hint: chmod 600"), "{errors}");
}

#[test]
fn a_farm_answers_refuses_a_second_and_stops() {
    let mut program = Program::simulated();
    program.start();
    let summary = program.until("a signage point", |s| s["signage_points_received"].as_u64() > Some(0));
    assert_eq!(summary["version"], 1);
    assert_eq!(summary["simulated"], true);
    let text = program.ok(&["summary"]);
    assert!(text.starts_with("Farming status: "), "{text}");
    assert!(
        text.contains("Plot count for all harvesters: 0") && text.contains("Never (no plots)"),
        "{text}"
    );
    assert!(text.contains("SIMULATED"), "{text}");
    assert!(program.ok(&["challenges", "-l", "1"]).starts_with("Hash: 0x"));

    let errors = program.fails(&["--daemon"], 75);
    assert!(errors.contains("another farmconsole (process "), "{errors}");
    program.ok(&["configure", "--log-level", "DEBUG"]);
    program.ok(&["stop"]);
    assert_eq!(program.daemon.as_mut().unwrap().wait().unwrap().code(), Some(0));
    assert!(!program.root().join("farmconsole/control.sock").exists());
}

#[test]
fn killed_at_any_moment_it_starts_again_at_once() {
    let mut program = Program::simulated();
    for _ in 0..3 {
        program.start();
        let mut daemon = program.daemon.take().unwrap();
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        assert!(
            program.root().join("farmconsole/control.sock").exists(),
            "a killed farmer leaves its socket"
        );
    }
    program.start();
}

#[test]
fn a_port_in_use_is_named_and_may_be_tried_again() {
    let program = Program::simulated();
    let port = program.port;
    let _taken = std::net::TcpListener::bind(("0.0.0.0", port)).unwrap();
    let errors = program.fails(&["--daemon"], 75);
    assert!(
        errors.contains(&port.to_string()) && errors.contains("in use"),
        "{errors}"
    );
}

#[test]
fn output_to_a_closed_pipe_is_success() {
    let program = Program::simulated();
    let mut child = program
        .command(&["man"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!((child.wait().unwrap().code(), errors.as_str()), (Some(0), ""));
}

#[test]
fn demo_makes_plots_connects_harvesters_and_wins_simulated_blocks() {
    let mut program = Program::new();
    let args = [
        "demo",
        "--daemon",
        "--harvesters",
        "3",
        "--plots",
        "1",
        "--interval",
        "0.2",
    ];
    program.daemon = Some(
        program
            .command(&args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let started = Instant::now();
    while !program.run(&["summary", "--json"]).status.success() {
        assert!(started.elapsed() < Duration::from_secs(20), "the demo does not answer");
        std::thread::yield_now();
    }
    let summary = program.until("three harvesters farm and a block is won", |s| {
        let harvesters = s["harvesters"].as_array().unwrap();
        s["plots"] == 3 && harvesters.len() == 3 && s["blocks_accepted"].as_u64() > Some(0)
    });
    assert_eq!(
        (summary["proofs_invalid"].as_u64(), summary["proofs_lost"].as_u64()),
        (Some(0), Some(0))
    );
    let attempt = program.ok(&["attempts", "-l", "1", "--json"]);
    let attempt = serde_json::from_str::<Value>(&attempt).unwrap();
    assert_eq!(
        (&attempt["version"], &attempt["outcome"]["outcome"]),
        (&1.into(), &"answered".into())
    );
    for list in ["attempts", "messages", "challenges"] {
        for line in program.ok(&[list, "-l", "3", "--json"]).lines() {
            assert_eq!(
                serde_json::from_str::<Value>(line).unwrap()["version"],
                1,
                "{list}: {line}"
            );
        }
    }
    assert_eq!(
        program.ok(&["harvester", "list", "--no-key"]),
        "no plot made for other keys\n"
    );
    let checked = program.ok(&["harvester", "list", "--refresh", "--json"]);
    for line in checked.lines() {
        let harvester: Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (
                &harvester["cross_check"]["missing"],
                &harvester["cross_check"]["unexpected"]
            ),
            (&0.into(), &0.into())
        );
    }
    program.ok(&["stop"]);
}

#[test]
fn following_goes_on_and_ends_with_the_farmer() {
    let mut program = Program::simulated();
    program.start();
    let mut follower = program
        .command(&["messages", "--follow", "--json"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    program.ok(&["stop"]);
    assert_eq!(follower.wait().unwrap().code(), Some(69));
    let mut errors = String::new();
    follower.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert!(
        errors.contains("the farmer at") || errors.contains("no farmer answers"),
        "{errors}"
    );
}

#[test]
fn keys_import_says_that_it_wrote_reward_addresses() {
    let program = Program::new();
    program.ok(&["init", "--network", "simulator1"]);
    let mnemonic = program.dir.path().join("mnemonic");
    fs::write(&mnemonic, MNEMONIC).unwrap();
    let import = ["keys", "import", "--mnemonic-file", mnemonic.to_str().unwrap()];
    assert!(program.ok(&import).contains("Reward addresses written to"));
    assert!(!program.ok(&import).contains("Reward addresses written to"));
}

#[test]
fn completions_and_manual_name_every_command() {
    let program = Program::new();
    let (bash, man) = (program.ok(&["completions", "bash"]), program.ok(&["man"]));
    for command in ["summary", "attempts", "harvester", "demo", "configure", "alarms"] {
        assert!(bash.contains(command) && man.contains(command), "{command}");
    }
    for section in [".SH FILES", ".SH JSON", ".SH EXIT STATUS"] {
        assert!(man.contains(section), "{section}");
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
