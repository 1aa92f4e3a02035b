//! The console on a real pseudo-terminal, seen as a person sees it: a terminal emulator reads what it draws.

use std::io::{Read, Write};
use std::num::NonZero;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};

use crate::root::Program;

/// How long anything on the screen may take on a loaded machine; everything is polled, so this costs only failures.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the program may outlive its terminal, or a signal, as promised.
const FAREWELL: Duration = Duration::from_secs(5);

/// Between two keys; what comes faster the console takes for pasted text.
const PAUSE: Duration = Duration::from_millis(100);

/// A terminal with the demo in it.
struct Screen {
    /// Taken away to lose the terminal.
    master: Option<Box<dyn MasterPty + Send>>,
    keys: Option<Box<dyn Write + Send>>,
    child: Box<dyn Child + Send + Sync>,
    emulator: Arc<Mutex<vt100::Parser>>,
    /// Reads what is drawn; it holds the terminal too, until it is told to look away.
    reader: Option<JoinHandle<()>>,
    look_away: Arc<AtomicBool>,
    root: tempfile::TempDir,
    pressed: Option<Instant>,
}

impl Screen {
    /// The demo on a terminal of `columns` × `rows`, one harvester, signage points twice a second.
    fn demo(columns: u16, rows: u16) -> Self {
        Self::open(
            columns,
            rows,
            &["demo", "--harvesters", "1", "--plots", "1", "--interval", "0.5"],
        )
    }

    fn open(columns: u16, rows: u16, args: &[&str]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let pty = native_pty_system().openpty(size(columns, rows)).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_farmconsole"));
        command.env_clear();
        command.env("HOME", root.path());
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        command.args(args);
        let child = pty.slave.spawn_command(command).unwrap();
        // The program alone holds the terminal, so that it is lost when the master goes.
        drop(pty.slave);
        let emulator = Arc::new(Mutex::new(emulator(columns, rows)));
        let mut drawn = pty.master.try_clone_reader().unwrap();
        let look_away = Arc::new(AtomicBool::new(false));
        let (seen, away) = (Arc::clone(&emulator), Arc::clone(&look_away));
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = drawn.read(&mut bytes) {
                if away.load(Ordering::SeqCst) {
                    return;
                }
                seen.lock().unwrap().process(&bytes[..count]);
            }
        });
        let keys = pty.master.take_writer().unwrap();
        Self {
            master: Some(pty.master),
            keys: Some(keys),
            child,
            emulator,
            reader: Some(reader),
            look_away,
            root,
            pressed: None,
        }
    }

    /// The home directory of the program.
    fn home(&self) -> &std::path::Path {
        self.root.path()
    }

    /// As one burst, with the pause before it that no person can do without.
    fn press(&mut self, keys: &str) {
        if let Some(before) = self.pressed {
            std::thread::sleep(PAUSE.saturating_sub(before.elapsed()));
        }
        self.pressed = Some(Instant::now());
        let writer = self.keys.as_mut().unwrap();
        writer.write_all(keys.as_bytes()).unwrap();
        writer.flush().unwrap();
    }

    /// Another size, and nothing on the emulator's screen: what it shows from here on was drawn for that size.
    fn resize(&self, columns: u16, rows: u16) {
        *self.emulator.lock().unwrap() = emulator(columns, rows);
        self.master.as_ref().unwrap().resize(size(columns, rows)).unwrap();
    }

    fn text(&self) -> String {
        self.emulator.lock().unwrap().screen().contents()
    }

    /// Waits until the screen fulfils `check`.
    fn until(&mut self, what: &str, check: impl Fn(&vt100::Screen) -> bool) {
        let started = Instant::now();
        while !check(self.emulator.lock().unwrap().screen()) {
            assert!(started.elapsed() < PATIENCE, "{what} never came true:\n{}", self.text());
            if let Some(status) = self.child.try_wait().unwrap() {
                // What was drawn last may still be on its way.
                let ended = Instant::now();
                while !check(self.emulator.lock().unwrap().screen()) {
                    assert!(
                        ended.elapsed() < FAREWELL,
                        "ended ({status:?}) before {what}:\n{}",
                        self.text()
                    );
                    std::thread::yield_now();
                }
                return;
            }
            std::thread::yield_now();
        }
    }

    fn until_shown(&mut self, words: &str) {
        self.until(&format!("{words:?} on screen"), |screen| {
            screen.contents().contains(words)
        });
    }

    /// Waits until the program has ended, and for how long it took.
    fn ended(&mut self, within: Duration) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                started.elapsed() < within,
                "still runs after {within:?}:\n{}",
                self.text()
            );
            std::thread::yield_now();
        }
    }

    /// Closes the terminal, as a window that is closed or a line that breaks.
    fn lose_terminal(&mut self) {
        self.look_away.store(true, Ordering::SeqCst);
        // The clock in the header is drawn every second, so the reader wakes.
        self.reader.take().unwrap().join().unwrap();
        (self.keys, self.master) = (None, None);
    }

    /// Waits until the terminal is as it was before: normal screen, cursor shown.
    fn until_restored(&mut self) {
        self.until("the terminal is restored", |screen| {
            let mouse = screen.mouse_protocol_mode() != vt100::MouseProtocolMode::None;
            !screen.alternate_screen() && !screen.hide_cursor() && !mouse
        });
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn demo_opens_says_simulated_and_farms() {
    let mut screen = Screen::demo(100, 30);
    screen.until_shown("SIMULATED");
    screen.until_shown("FARMING");
    assert!(screen.emulator.lock().unwrap().screen().alternate_screen());
    screen.press("2");
    screen.until_shown("demo-1");
    screen.press("?");
    screen.until_shown("only what is wrong");
}

#[test]
fn every_size_is_drawn() {
    let mut screen = Screen::demo(100, 30);
    screen.until_shown("SIMULATED");
    for key in ["1", "2", "3", "4", "5", "6", "7", "?"] {
        screen.press(key);
        for (columns, rows) in [(80, 24), (20, 5), (130, 40), (1, 1)] {
            screen.resize(columns, rows);
            let shown = match (key, columns) {
                (_, 1) => "",
                // The help lies over the header.
                ("?", 80..) => "only what is wrong",
                _ => "SIM",
            };
            screen.until(&format!("{key} in {columns} x {rows}"), |s| {
                s.contents().contains(shown)
            });
        }
    }
    screen.resize(100, 30);
    screen.until_shown("only what is wrong");
}

#[test]
fn ascii_is_kept_to() {
    let mut screen = Screen::open(100, 30, &["--ascii", "--color", "never", "demo", "--harvesters", "1"]);
    screen.until_shown("SIMULATED");
    screen.until_shown("SP ");
    assert!(screen.text().is_ascii(), "{}", screen.text());
}

#[test]
fn tables_are_clicked_filtered_and_saved() {
    let mut screen = Screen::demo(120, 30);
    screen.until_shown("1 plot ");
    screen.until("clicks come to the console", |s| {
        s.mouse_protocol_mode() != vt100::MouseProtocolMode::None
    });
    // The left button, on column 27 and row 4: the third tab.
    screen.press("\u{1b}[<0;27;4M");
    screen.until_shown("farmed twice 0");
    screen.until_shown(".plot");
    screen.press("/no such file\r");
    screen.until_shown("nothing has these words");
    screen.press("\u{1b}");
    screen.until_shown(".plot");
    let path = screen.home().join("plots.csv");
    screen.press(&format!("\u{13}\u{15}{}", path.display()));
    screen.press("\r");
    screen.until_shown("1 row saved");
    let saved = std::fs::read_to_string(&path).unwrap();
    assert!(
        saved.starts_with("harvester,file,plot_id,") && saved.contains("demo-1,"),
        "{saved}"
    );
    screen.press("m");
    screen.until("clicks go to the terminal", |s| {
        s.mouse_protocol_mode() == vt100::MouseProtocolMode::None
    });
}

#[test]
fn suspended_console_gives_the_terminal_back_and_takes_it_again() {
    let mut farm = Program::simulated();
    farm.start();
    let mut screen = Screen::open(100, 30, &["--root", farm.root().to_str().unwrap()]);
    screen.until_shown("SIMULATED");
    screen.press("\u{1a}");
    screen.until_restored();
    let pid = screen.child.process_id().unwrap().to_string();
    assert!(Command::new("kill").args(["-CONT", &pid]).status().unwrap().success());
    screen.until("the console is back", |s| {
        s.alternate_screen() && s.contents().contains("SIMULATED")
    });
    screen.press("q");
    assert!(screen.ended(FAREWELL).success());
    screen.until_restored();
}

#[test]
fn attached_console_survives_a_restart_of_the_farmer_and_leaves_it_alone() {
    let mut farm = Program::simulated();
    farm.start();
    let mut screen = Screen::open(100, 30, &["--root", farm.root().to_str().unwrap()]);
    screen.until_shown("SIMULATED");
    farm.ok(&["stop"]);
    screen.until_shown("NO FARMER");
    farm.start();
    screen.until("the farmer is back", |s| !s.contents().contains("NO FARMER"));
    screen.press("q");
    assert!(screen.ended(FAREWELL).success());
    screen.until_restored();
    farm.ok(&["summary"]);
}

#[test]
fn recording_is_shown_on_the_same_screens_and_says_when_it_is_over() {
    let mut farm = Program::simulated();
    farm.start();
    let file = farm.dir.path().join("farm.recording");
    let path = file.to_str().unwrap();
    farm.ok(&["record", path, "--for", "3s"]);
    farm.ok(&["stop"]);
    let mut screen = Screen::open(100, 30, &["replay", path, "--speed", "4"]);
    screen.until_shown("REPLAY");
    screen.until_shown("SIMULATED");
    screen.press("2");
    screen.until_shown("the recording is over");
    screen.press("q");
    assert!(screen.ended(FAREWELL).success());
    screen.until_restored();
}

#[test]
fn harvester_has_a_console_of_its_own_and_one_that_attaches_leaves_it_alone() {
    let machine = Program::new();
    machine.ok(&["init", "--network", "simulator1"]);
    machine.ok(&["configure", "--set-farmer-peer", "127.0.0.1:1"]);
    let root = machine.root();
    let root = root.to_str().unwrap();
    let mut screen = Screen::open(100, 30, &["--root", root, "harvester", "run"]);
    screen.until_shown("NO FARMER");
    screen.until_shown("nobody listens on that port");
    screen.until("clicks come to the console", |s| {
        s.mouse_protocol_mode() != vt100::MouseProtocolMode::None
    });
    let mut other = Screen::open(80, 24, &["--root", root]);
    other.until_shown("NO FARMER");
    other.press("!");
    other.until_shown("What is wrong");
    other.press("!");
    other.until("the console without it", |s| !s.contents().contains("What is wrong"));
    other.press("q");
    assert!(other.ended(FAREWELL).success());
    other.until_restored();
    screen.press("q");
    screen.until_shown("Quit and stop harvesting?");
    screen.press("\u{1b}");
    machine.ok(&["stop"]);
    assert!(screen.ended(FAREWELL).success());
    screen.until_restored();
}

#[test]
fn quitting_asks_first_and_gives_the_terminal_back() {
    let mut screen = Screen::demo(100, 30);
    screen.until_shown("FARMING");
    screen.press("q");
    screen.until_shown("Quit and stop farming?");
    screen.press("y");
    assert!(screen.ended(FAREWELL).success());
    screen.until_restored();
}

#[test]
fn stop_from_elsewhere_ends_a_farm_in_a_window_and_says_so() {
    let farm = Program::simulated();
    let mut screen = Screen::open(100, 30, &["--root", farm.root().to_str().unwrap()]);
    screen.until_shown("SIMULATED");
    farm.ok(&["stop"]);
    assert!(screen.ended(FAREWELL).success());
    screen.until_restored();
    screen.until_shown("ended by `farmconsole stop`");
}

#[test]
fn first_key_after_a_resize_counts() {
    let mut screen = Screen::demo(100, 30);
    screen.until_shown("SIMULATED");
    for (width, key, shown) in [
        (110, "5", "no plotNFT"),
        (100, "7", "no alarm since"),
        (90, "5", "no plotNFT"),
    ] {
        screen.resize(width, 30);
        screen.until_shown("SIMULATED");
        screen.press(key);
        screen.until_shown(shown);
    }
}

#[test]
fn pasted_text_is_never_taken_for_keys() {
    let mut screen = Screen::demo(100, 30);
    screen.until_shown("SIMULATED");
    screen.press("\u{1b}[200~qy\n2\u{1b}[201~");
    screen.until_shown("what you pasted is left out");
    screen.until_shown("Last Attempted Proofs");
    screen.press("2/\u{1b}[200~no such\nq\u{1b}[201~");
    screen.until_shown("/ no suchq");
}

#[test]
fn text_that_a_terminal_does_not_say_was_pasted_ends_no_farm() {
    let mut screen = Screen::demo(100, 30);
    screen.until_shown("SIMULATED");
    screen.press("quality: yes\r");
    screen.until_shown("press that key by itself");
    screen.press("q");
    screen.until_shown("Quit and stop farming?");
    screen.press("y");
    assert!(screen.ended(FAREWELL).success());
}

#[test]
fn a_paste_without_an_end_is_told_and_the_next_one_ends_it() {
    let mut screen = Screen::demo(120, 30);
    screen.until_shown("SIMULATED");
    screen.press("\u{1b}[200~lost");
    screen.press("2");
    screen.until_shown("paste something");
    screen.press("\u{1b}[200~x\u{1b}[201~");
    screen.until_shown("what you pasted is left out");
    screen.press("2");
    screen.until_shown("Harvesters 1");
}

#[test]
fn sigterm_gives_the_terminal_back() {
    let mut screen = Screen::demo(100, 30);
    screen.until_shown("SIMULATED");
    let pid = screen.child.process_id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(screen.ended(FAREWELL).success());
    screen.until_restored();
}

#[test]
fn terminal_that_takes_nothing_is_given_back_when_it_goes_on() {
    let mut screen = Screen::demo(300, 100);
    screen.until_shown("SIMULATED");
    let emulator = Arc::clone(&screen.emulator);
    let takes_nothing = emulator.lock().unwrap();
    for key in "123456123456".chars() {
        screen.press(&format!("{key}\u{c}"));
    }
    let pid = screen.child.process_id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let started = Instant::now();
    while screen.child.try_wait().unwrap().is_none() && started.elapsed() < FAREWELL {
        std::thread::yield_now();
    }
    drop(takes_nothing);
    assert!(screen.ended(FAREWELL).success());
    screen.until_restored();
}

#[test]
fn sighup_gives_a_terminal_that_lives_on_back() {
    let mut farm = Program::simulated();
    farm.start();
    let mut screen = Screen::open(100, 30, &["--root", farm.root().to_str().unwrap()]);
    screen.until_shown("SIMULATED");
    let pid = screen.child.process_id().unwrap().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    assert!(screen.ended(FAREWELL).success());
    screen.until_restored();
    farm.ok(&["summary"]);
}

#[test]
fn losing_the_terminal_ends_the_program() {
    let mut screen = Screen::demo(100, 30);
    screen.until_shown("SIMULATED");
    screen.lose_terminal();
    screen.ended(Duration::from_secs(2));
}

#[test]
fn losing_the_terminal_ends_an_attached_console_and_leaves_the_farmer_alone() {
    let mut farm = Program::simulated();
    farm.start();
    let mut screen = Screen::open(100, 30, &["--root", farm.root().to_str().unwrap()]);
    screen.until_shown("SIMULATED");
    screen.lose_terminal();
    screen.ended(Duration::from_secs(2));
    farm.ok(&["summary"]);
}

fn emulator(columns: u16, rows: u16) -> vt100::Parser {
    let [columns, rows] = [columns, rows].map(|n| NonZero::new(n).unwrap());
    vt100::Parser::new(rows, columns, 0)
}

fn size(columns: u16, rows: u16) -> PtySize {
    PtySize {
        rows,
        cols: columns,
        pixel_width: 0,
        pixel_height: 0,
    }
}
