//! Asking drives that may never answer: a disk that hangs, or the directory of a server that is gone, holds whoever asks
//! for ever, and no signal ends that. So each is asked on a thread of its own, which is left alone when it takes too long.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use super::shell_word;
use crate::system_clock::Clock;

/// How long whoever waits at a command line waits for a drive; one that spins up takes 10 s.
pub const DRIVE_PATIENCE: Duration = Duration::from_secs(15);

/// Asks each on a thread of its own; `None` for those that neither answered nor called the function they are given for
/// `patience`. Blocking.
pub fn ask_each<A, T>(
    asked: impl IntoIterator<Item = A>,
    patience: Duration,
    ask: impl Fn(A, &dyn Fn()) -> T + Clone + Send + 'static,
) -> Vec<Option<T>>
where
    A: Send + 'static,
    T: Send + 'static,
{
    let clock = Clock::start();
    let asked: Vec<A> = asked.into_iter().collect();
    let (tell, told) = sync_channel(asked.len().max(1));
    let mut waiting = Vec::with_capacity(asked.len());
    for (number, one) in asked.into_iter().enumerate() {
        let (ask, tell, steps) = (ask.clone(), tell.clone(), Arc::new(AtomicU64::new(0)));
        let its_steps = Arc::clone(&steps);
        let asking = thread::Builder::new().name("drive".to_owned()).spawn(move || {
            let step = || {
                its_steps.fetch_add(1, Ordering::Relaxed);
            };
            let answer = ask(one, &step);
            // Nobody waits for it any more when this fails.
            let _ = tell.send((number, answer));
        });
        waiting.push(asking.is_ok().then_some((steps, 0, clock.mono())));
    }
    drop(tell);
    let mut answers: Vec<Option<T>> = waiting.iter().map(|_| None).collect();
    while waiting.iter().any(Option::is_some) {
        match told.recv_timeout(LOOK_EVERY) {
            Ok((number, answer)) => (answers[number], waiting[number]) = (Some(answer), None),
            // It panicked.
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        let now = clock.mono();
        for slot in &mut waiting {
            let Some((steps, seen, since)) = slot else { continue };
            let made = steps.load(Ordering::Relaxed);
            if made != *seen {
                (*seen, *since) = (made, now);
            } else if now.since(*since) >= patience {
                *slot = None;
            }
        }
    }
    answers
}

/// Asks one; `None` if it does not answer within [`DRIVE_PATIENCE`]. Blocking.
pub fn ask<A: Send + 'static, T: Send + 'static>(asked: A, ask: impl Fn(A) -> T + Clone + Send + 'static) -> Option<T> {
    ask_each([asked], DRIVE_PATIENCE, move |asked, _| ask(asked)).pop()?
}

/// Where these are, without links; `None` for what is not there, and for what lies on a drive that does not answer.
/// Blocking.
#[must_use]
pub fn real_paths(paths: &[PathBuf]) -> Vec<Option<PathBuf>> {
    let real = ask_each(paths.to_vec(), DRIVE_PATIENCE, |path, _| path.canonicalize().ok());
    real.into_iter().map(Option::flatten).collect()
}

/// What is wrong with a directory whose drive does not answer, as a fragment behind its name.
#[must_use]
pub fn no_answer() -> String {
    format!("its drive has not answered for {} s", DRIVE_PATIENCE.as_secs())
}

/// What to do about that.
#[must_use]
pub fn no_answer_hint(directory: &Path) -> String {
    format!(
        "look at the drive's cable and power, or for the server that it lies on, and into the system's log (`dmesg`); \
         `farmconsole plots remove -d {}` leaves it out",
        shell_word(directory)
    )
}

/// How often it is looked whether anybody has made a step.
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_hangs_is_given_up_and_holds_up_nobody_else() {
        let (release, held) = sync_channel::<()>(0);
        let held = Arc::new(std::sync::Mutex::new(held));
        let answers = ask_each(0..4, Duration::from_millis(300), move |number, step: &dyn Fn()| {
            match number {
                1 => {
                    let _ = held.lock().unwrap().recv();
                }
                // Slower all in all than one who hangs is waited for.
                2 => (0..8).for_each(|_| {
                    thread::sleep(Duration::from_millis(50));
                    step();
                }),
                _ => {}
            }
            number * 10
        });
        assert_eq!(answers, [Some(0), None, Some(20), Some(30)]);
        drop(release);
    }

    #[test]
    fn nobody_is_asked_nothing_and_a_panic_is_no_answer() {
        let none: [u8; 0] = [];
        assert_eq!(ask_each(none, DRIVE_PATIENCE, |_, _| ()), []);
        let panics = |(), _: &dyn Fn()| -> () { panic!("this is meant") };
        assert_eq!(ask_each([()], DRIVE_PATIENCE, panics), [None]);
    }
}
