//! What a panic leaves behind, seen on a real terminal: the test starts its own program once more in a pseudo-terminal,
//! where a console runs and then a part of the program panics.

use std::io::Read;
use std::num::NonZero;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use super::{ConsoleOptions, run, samples};
use crate::args::ColorChoice;
use crate::feed::Feed;

/// How long anything on the screen may take on a loaded machine; everything is polled, so this costs only failures.
const PATIENCE: Duration = Duration::from_secs(30);

const BROKEN: &str = "a part of this test is broken on purpose";

#[test]
#[ignore = "half of a test: panic_gives_the_terminal_back starts it in a terminal"]
fn console_of_a_program_that_panics() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ended = runtime.block_on(async {
        let (feed, _playback) = Feed::of_recording(samples::one());
        let mut told = signal(SignalKind::user_defined1()).unwrap();
        tokio::spawn(async move {
            told.recv().await;
            panic!("{BROKEN}");
        });
        let options = ConsoleOptions {
            color: ColorChoice::Auto,
            ascii: false,
            palette: None,
            last_look: None,
            commands: crate::commands::Commands::default(),
        };
        run(feed, options).await
    });
    let failure = ended.map(|_| ()).unwrap_err();
    assert!(format!("{failure:?}").contains("has panicked"), "{failure:?}");
}

#[test]
fn panic_gives_the_terminal_back() {
    let size = PtySize {
        rows: 30,
        cols: 100,
        pixel_width: 0,
        pixel_height: 0,
    };
    let pty = native_pty_system().openpty(size).unwrap();
    let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
    command.env_clear();
    command.env("TERM", "xterm-256color");
    command.env("LANG", "C.UTF-8");
    command.args(["--ignored", "--nocapture", "--exact"]);
    command.arg("console::panics::console_of_a_program_that_panics");
    let mut child = pty.slave.spawn_command(command).unwrap();
    drop(pty.slave);
    let [columns, rows] = [size.cols, size.rows].map(|n| NonZero::new(n).unwrap());
    let emulator = Arc::new(Mutex::new(vt100::Parser::new(rows, columns, 0)));
    let mut drawn = pty.master.try_clone_reader().unwrap();
    let seen = Arc::clone(&emulator);
    let reader = std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        // A terminal whose program has ended reads as an error or as its end.
        while let Ok(count @ 1..) = drawn.read(&mut bytes) {
            seen.lock().unwrap().process(&bytes[..count]);
        }
    });
    let started = Instant::now();
    let text = || emulator.lock().unwrap().screen().contents();
    while !text().contains("FARMING") {
        assert!(started.elapsed() < PATIENCE, "no console:\n{}", text());
        std::thread::yield_now();
    }
    assert!(emulator.lock().unwrap().screen().alternate_screen());
    let pid = i32::try_from(child.process_id().unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::USR1).unwrap();
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if started.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("still runs:\n{}", text());
        }
        std::thread::yield_now();
    };
    reader.join().unwrap();
    assert!(status.success(), "{}", text());
    let emulator = emulator.lock().unwrap();
    let screen = emulator.screen();
    assert!(!screen.alternate_screen() && !screen.hide_cursor());
    assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None);
    assert!(
        screen.contents().contains(BROKEN),
        "what happened can be read on the terminal:\n{}",
        screen.contents()
    );
}
