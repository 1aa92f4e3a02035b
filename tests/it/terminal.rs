//! The console on a real terminal: opens, follows its size, asks before farming stops, and leaves the terminal as it was,
//! also when it is told to end or its line drops.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::num::NonZeroU16;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};

/// The BIP-39 test vector: worth nothing.
const MNEMONIC: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// What SECURITY.md promises for a terminal that is gone.
const SOON: Duration = Duration::from_secs(2);

#[test]
fn console_opens_follows_its_size_and_leaves_the_terminal_clean() {
    let root = simulated_root();
    let mut terminal = Terminal::open(root.path(), "exec \"$0\" --root \"$1\"");
    terminal.until("SIMULATED");
    assert!(terminal.screen().alternate_screen() && terminal.screen().hide_cursor());
    for (columns, rows) in [(1, 1), (20, 5), (200, 60), (80, 24)] {
        terminal.resize(columns, rows);
    }
    terminal.until("Last Attempted Proofs");
    terminal.press("?");
    terminal.until("Keys (esc closes");
    terminal.press("?");
    terminal.press("q");
    terminal.until("Quit and stop farming?");
    terminal.press("y");
    assert!(terminal.ended(PATIENCE).success());
    assert!(!terminal.screen().alternate_screen() && !terminal.screen().hide_cursor());
}

#[test]
fn leaving_a_daemon_only_detaches() {
    let root = simulated_root();
    let daemon = Daemon::start(root.path());
    let mut terminal = Terminal::open(root.path(), "exec \"$0\" --root \"$1\"");
    terminal.until("SIMULATED");
    terminal.press("q");
    assert!(terminal.ended(SOON).success());
    assert!(!terminal.screen().alternate_screen() && !terminal.screen().hide_cursor());
    assert!(daemon.answers());
}

#[test]
fn sigterm_leaves_the_terminal_clean() {
    let root = simulated_root();
    let daemon = Daemon::start(root.path());
    let mut terminal = Terminal::open(root.path(), "exec \"$0\" --root \"$1\"");
    terminal.until("SIMULATED");
    let id = terminal.child.as_ref().and_then(|c| c.process_id()).unwrap();
    assert!(Command::new("kill").arg(id.to_string()).status().unwrap().success());
    terminal.ended(SOON);
    assert!(!terminal.screen().alternate_screen() && !terminal.screen().hide_cursor());
    assert!(daemon.answers());
}

#[test]
fn lost_terminal_ends_the_console_and_leaves_the_daemon_alone() {
    let root = simulated_root();
    let daemon = Daemon::start(root.path());
    // With the hang-up signal ignored, as under nohup, only the terminal itself can tell that it is gone.
    for script in ["exec \"$0\" --root \"$1\"", "trap '' HUP; exec \"$0\" --root \"$1\""] {
        let mut terminal = Terminal::open(root.path(), script);
        terminal.until("SIMULATED");
        let child = terminal.hang_up();
        wait(child, SOON);
        assert!(daemon.answers());
    }
}

/// A root on the simulated chain, with keys and a free port.
fn simulated_root() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    farmconsole(root.path(), &["init", "--network", "simulator1"]);
    let mnemonic = root.path().join("mnemonic");
    fs::write(&mnemonic, MNEMONIC).unwrap();
    farmconsole(
        root.path(),
        &["keys", "import", "--mnemonic-file", mnemonic.to_str().unwrap()],
    );
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = root.path().join("config/config.yaml");
    let text = fs::read_to_string(&settings)
        .unwrap()
        .replace("port: 8447", &format!("port: {port}"));
    fs::write(&settings, text).unwrap();
    root
}

/// Runs a command that must succeed.
fn farmconsole(root: &Path, args: &[&str]) {
    let output = command(root).args(args).output().unwrap();
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn command(root: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_farmconsole"));
    command.arg("--root").arg(root).stdin(Stdio::null());
    command
}

/// A farmer in the background; ended with the test.
struct Daemon<'a> {
    process: std::process::Child,
    root: &'a Path,
}

impl<'a> Daemon<'a> {
    fn start(root: &'a Path) -> Self {
        let process = command(root)
            .arg("--daemon")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut daemon = Self { process, root };
        while !daemon.answers() {
            assert_eq!(daemon.process.try_wait().unwrap(), None, "the daemon has ended");
            std::thread::yield_now();
        }
        daemon
    }

    fn answers(&self) -> bool {
        command(self.root).arg("summary").output().unwrap().status.success()
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The program in a terminal of 120 by 36.
struct Terminal {
    /// Until somebody waits for it.
    child: Option<Box<dyn Child + Send + Sync>>,
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    output: Receiver<Vec<u8>>,
    reading: JoinHandle<()>,
    parser: vt100::Parser,
}

impl Terminal {
    /// Runs `script` with the program as `$0` and the root as `$1`.
    fn open(root: &Path, script: &str) -> Self {
        let pair = native_pty_system().openpty(size(120, 36)).unwrap();
        let mut command = CommandBuilder::new("/bin/sh");
        command.args(["-c", script, env!("CARGO_BIN_EXE_farmconsole")]);
        command.arg(root);
        for (name, value) in [("TERM", "xterm-256color"), ("LANG", "C.UTF-8"), ("LC_ALL", "C.UTF-8")] {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (send, output) = sync_channel(256);
        let reading = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                if send.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        let keys = pair.master.take_writer().unwrap();
        let parser = vt100::Parser::new(cells(36), cells(120), 0);
        Self {
            child: Some(child),
            master: pair.master,
            keys,
            output,
            reading,
            parser,
        }
    }

    fn screen(&self) -> &vt100::Screen {
        self.parser.screen()
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    fn resize(&mut self, columns: u16, rows: u16) {
        self.master.resize(size(columns, rows)).unwrap();
        self.parser.screen_mut().set_size(cells(rows), cells(columns));
    }

    /// Reads until the screen shows `text`.
    fn until(&mut self, text: &str) {
        // A console that draws for ever and never this would not run into the time-out of a single read.
        for _ in 0..10_000 {
            if self.screen().contents().contains(text) {
                return;
            }
            match self.output.recv_timeout(PATIENCE) {
                Ok(bytes) => self.parser.process(&bytes),
                Err(_) => break,
            }
        }
        panic!("the screen never shows {text:?}:\n{}", self.screen().contents());
    }

    /// Reads to the program's last word; it must have ended within `limit` of that.
    fn ended(&mut self, limit: Duration) -> ExitStatus {
        while let Ok(bytes) = self.output.recv_timeout(limit) {
            self.parser.process(&bytes);
        }
        wait(self.child.take().unwrap(), limit)
    }

    /// Takes the terminal away.
    fn hang_up(self) -> Box<dyn Child + Send + Sync> {
        let Self {
            child,
            master,
            keys,
            output,
            reading,
            ..
        } = self;
        drop((master, keys, output));
        // The reader has the terminal open too, until the next frame finds nobody to take it.
        reading.join().unwrap();
        child.unwrap()
    }
}

/// The program must end within `limit`.
fn wait(mut child: Box<dyn Child + Send + Sync>, limit: Duration) -> ExitStatus {
    let mut killer = child.clone_killer();
    let (send, ended) = sync_channel(1);
    std::thread::spawn(move || send.send(child.wait().unwrap()));
    ended.recv_timeout(limit).unwrap_or_else(|_| {
        // It may have ended just now.
        let _ = killer.kill();
        panic!("still running after {limit:?}");
    })
}

fn size(cols: u16, rows: u16) -> PtySize {
    PtySize {
        rows,
        cols,
        pixel_width: 0,
        pixel_height: 0,
    }
}

fn cells(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).unwrap()
}
