//! The terminal: taken over, drawn on, and given back whatever happens.
//!
//! * Bytes are written by a thread of their own, so a terminal that takes nothing (ctrl-s, a stalled line) holds up the
//!   console and nothing else. A frame is drawn only when the one before is written.
//! * Keys are read by a thread of their own, and only when the kernel says that there is something to read and the
//!   line is not hung up: crossterm spins for ever on a terminal that is gone
//!   (crossterm#793), so it is never asked then.
//! * The terminal is restored on leaving, on a panic anywhere in the program, and before the process is suspended; one that
//!   takes nothing at that moment is restored when it goes on.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError, mpsc as std_mpsc};
use std::time::Duration;

use crossterm::event::{Event, KeyEvent, MouseButton, MouseEvent, MouseEventKind};
use crossterm::style::Print;
use crossterm::{cursor, event, execute, terminal};
use ratatui::backend::{Backend, ClearType, CrosstermBackend, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};
use ratatui::{Frame, Terminal};
use rustix::io::ioctl_fionread;
use rustix::termios::{Action, QueueSelector, tcflow, tcflush};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

/// What the terminal tells.
#[derive(Debug)]
pub(super) enum Input {
    /// A key.
    Key(KeyEvent),
    /// A key with another just before or after it.
    Hurried(KeyEvent),
    /// The left button went down on this column and row.
    Click(u16, u16),
    /// The wheel turned, down if positive.
    Wheel(i64),
    /// Text that was pasted, or dropped on the window.
    Paste(String),
    /// The terminal is gone.
    Gone,
}

/// Keys that may wait.
const INPUT_QUEUE: usize = 64;

/// How long a terminal that takes nothing may hold up leaving.
const RESTORE_PATIENCE: Duration = Duration::from_secs(1);

/// How long the reader looks whether there is more; crossterm does not look at all when given no time, or when that has
/// passed before it gets to it.
const LOOK: Duration = Duration::from_millis(1);

/// Keys that are less apart were not pressed one after the other by a person who looks at what they do.
const HURRY: Duration = Duration::from_millis(50);

/// Whether the terminal is ours at this moment.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Whether clicks come to us at this moment, as far as the terminal was told.
static MOUSE: AtomicBool = AtomicBool::new(false);

/// Asks the terminal for presses and the wheel, with positions in decimal; not for movements, which are many and of no
/// use here.
const MOUSE_ON: &str = "\x1b[?1000h\x1b[?1006h";
const MOUSE_OFF: &str = "\x1b[?1006l\x1b[?1000l";

/// Asks the terminal to say what is pasted, so that no word of it counts as keys: `qy` would end a farm.
const PASTE_ON: &str = "\x1b[?2004h";
const PASTE_OFF: &str = "\x1b[?2004l";

/// Rows a notch of the wheel moves.
const WHEEL_ROWS: i64 = 3;

/// Whether some thread has panicked.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// Whether some thread of the program has panicked since the console opened; the terminal is restored already.
pub(super) fn has_panicked() -> bool {
    PANICKED.load(Ordering::SeqCst)
}

/// Whether the terminal takes nothing and is to be given back: the frame that it has not taken is not finished.
static STALLED: AtomicBool = AtomicBool::new(false);

/// Ends whatever sequence a frame was cut in, and its colours.
const CUT_OFF: &str = "\x1b\\\x1b[0m";

/// Bytes that are written at once; the rest of a frame can be given up.
const PIECE: usize = 1024;

/// Columns and rows.
pub(super) fn size() -> io::Result<(u16, u16)> {
    terminal::size()
}

/// The terminal while it is ours.
#[derive(Debug)]
pub(super) struct Console {
    terminal: Terminal<Canvas>,
    bytes: Arc<Mutex<Vec<u8>>>,
    orders: mpsc::Sender<Order>,
    tty: AsyncFd<OwnedFd>,
    wake_reader: std_mpsc::SyncSender<()>,
    /// Looks of the reader that have begun and ended, together: odd while it looks.
    looks: Arc<AtomicU32>,
    looks_before: u32,
}

/// What the writing thread does.
enum Order {
    Write(Vec<u8>),
    Take(oneshot::Sender<io::Result<()>>),
    Restore(oneshot::Sender<()>),
}

impl Console {
    /// Takes the terminal over. Keys and the loss of the terminal arrive in the receiver.
    pub(super) async fn take(size: (u16, u16)) -> io::Result<(Self, mpsc::Receiver<Input>)> {
        restore_on_panic();
        let (inputs_in, inputs) = mpsc::channel(INPUT_QUEUE);
        let (orders, ordered) = mpsc::channel(1);
        let (wake_reader, woken) = std_mpsc::sync_channel(1);
        #[expect(
            deprecated,
            reason = "its successor is unsafe; an OwnedFd is what it says and keeps its number for life"
        )]
        let tty = AsyncFd::with_interest(open_tty()?, Interest::READABLE)?;
        let read_from = open_tty()?;
        let gone = inputs_in.clone();
        let looks = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&looks);
        std::thread::Builder::new()
            .name("console-write".to_owned())
            .spawn(move || write_orders(ordered, &gone))?;
        std::thread::Builder::new()
            .name("console-read".to_owned())
            .spawn(move || read_keys(&woken, &inputs_in, &seen, &read_from))?;
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let mut console = Self {
            terminal: Terminal::new(Canvas::new(Arc::clone(&bytes), size))?,
            bytes,
            orders,
            tty,
            wake_reader,
            looks,
            looks_before: 0,
        };
        console.take_again().await?;
        Ok((console, inputs))
    }

    /// Takes the terminal over after [`Self::restore`]; everything is drawn anew.
    pub(super) async fn take_again(&mut self) -> io::Result<()> {
        let (done, answer) = oneshot::channel();
        let writer_ended = || io::Error::other("the terminal is gone");
        self.orders.send(Order::Take(done)).await.map_err(|_| writer_ended())?;
        answer.await.map_err(|_| writer_ended())??;
        self.repaint()
    }

    /// The next frame will be drawn whole.
    pub(super) fn repaint(&mut self) -> io::Result<()> {
        self.terminal.clear()
    }

    /// Takes clicks, or leaves them to the terminal; with the next frame.
    pub(super) fn capture_mouse(&self, on: bool) {
        MOUSE.store(on, Ordering::SeqCst);
        self.say(if on { MOUSE_ON } else { MOUSE_OFF });
    }

    /// Puts `text` on the clipboard of the terminal's machine, if the terminal allows it; with the next frame.
    pub(super) fn copy(&self, text: &str) {
        let text = data_encoding::BASE64.encode(text.as_bytes());
        self.say(&format!("\x1b]52;c;{text}\x07"));
    }

    fn say(&self, sequence: &str) {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        bytes.extend_from_slice(sequence.as_bytes());
    }

    /// The terminal has another size.
    pub(super) fn resize(&mut self, size: (u16, u16)) {
        self.terminal.backend_mut().size = size;
    }

    /// Ready when the frame before is written.
    pub(super) async fn is_free(&self) {
        // A writer that has ended told so in the inputs.
        if self.orders.reserve().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Draws a frame and hands the bytes to the writer.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(draw)?;
        let bytes = std::mem::take(&mut *self.bytes.lock().unwrap_or_else(PoisonError::into_inner));
        if bytes.is_empty() {
            return Ok(());
        }
        self.orders
            .try_send(Order::Write(bytes))
            .map_err(|_| io::Error::other("the terminal takes nothing"))
    }

    /// Waits until the terminal has something to read and has it read; ends when the terminal is gone.
    pub(super) async fn watch(&self) -> Input {
        loop {
            let Ok(mut guard) = self.tty.readable().await else {
                return Input::Gone;
            };
            if guard.ready().is_read_closed() {
                return Input::Gone;
            }
            guard.clear_ready();
            // When the queue is full the reader is about to read anyway.
            if let Err(std_mpsc::TrySendError::Disconnected(())) = self.wake_reader.try_send(()) {
                return Input::Gone;
            }
        }
    }

    /// Whether the reader has been at one look since this was asked last: crossterm waits there for the end of a paste, or
    /// of a key of several bytes, and gives no key until it comes.
    pub(super) fn is_in_a_paste(&mut self) -> bool {
        let looks = self.looks.load(Ordering::Relaxed);
        let before = std::mem::replace(&mut self.looks_before, looks);
        looks == before && looks % 2 == 1
    }

    /// Gives the terminal back, waiting for the writer, but not for ever.
    pub(super) async fn restore(&self) {
        let (done, answer) = oneshot::channel();
        let order = async {
            if self.orders.send(Order::Restore(done)).await.is_ok() {
                // An error means that the writer has ended, and with it the terminal.
                let _ = answer.await;
            }
        };
        tokio::pin!(order);
        if timeout(RESTORE_PATIENCE, &mut order).await.is_ok() {
            return;
        }
        // The terminal takes no bytes. What waits for it gives way to the few that give it back, for when it goes on.
        STALLED.store(true, Ordering::SeqCst);
        let _ = tcflush(io::stdout(), QueueSelector::OFlush);
        // Nobody wakes the writer after that; output that goes on does.
        let _ = tcflow(io::stdout(), Action::OOff).and_then(|()| tcflow(io::stdout(), Action::OOn));
        if timeout(RESTORE_PATIENCE, order).await.is_err() {
            // Its modes can be set all the same.
            TAKEN.store(false, Ordering::SeqCst);
            let _ = terminal::disable_raw_mode();
        }
    }

    /// The terminal is gone: nothing is written to it any more.
    pub(super) fn abandon(&self) {
        TAKEN.store(false, Ordering::SeqCst);
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back if it is ours. Errors are left alone: there is nobody to tell.
fn restore() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        if STALLED.swap(false, Ordering::SeqCst) {
            let _ = execute!(io::stdout(), Print(CUT_OFF));
        }
        if MOUSE.load(Ordering::SeqCst) {
            let _ = execute!(io::stdout(), Print(MOUSE_OFF));
        }
        let _ = execute!(io::stdout(), Print(PASTE_OFF));
        let _ = terminal::disable_raw_mode();
        let _ = execute!(io::stdout(), terminal::LeaveAlternateScreen, cursor::Show);
    }
}

fn restore_on_panic() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICKED.store(true, Ordering::SeqCst);
            restore();
            before(panic);
        }));
    });
}

/// The terminal crossterm reads from.
fn open_tty() -> io::Result<OwnedFd> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        stdin.as_fd().try_clone_to_owned()
    } else {
        Ok(File::open("/dev/tty")?.into())
    }
}

/// Until the console drops its end, or the terminal is gone.
fn write_orders(mut orders: mpsc::Receiver<Order>, gone: &mpsc::Sender<Input>) {
    while let Some(order) = orders.blocking_recv() {
        let result = match order {
            Order::Write(bytes) => write_all(&bytes),
            Order::Take(done) => {
                let result = terminal::enable_raw_mode().and_then(|()| {
                    TAKEN.store(true, Ordering::SeqCst);
                    STALLED.store(false, Ordering::SeqCst);
                    execute!(
                        io::stdout(),
                        terminal::EnterAlternateScreen,
                        cursor::Hide,
                        Print(PASTE_ON)
                    )?;
                    if MOUSE.load(Ordering::SeqCst) {
                        execute!(io::stdout(), Print(MOUSE_ON))?;
                    }
                    Ok(())
                });
                // Nobody waits any more when the console is being dropped.
                let _ = done.send(result);
                Ok(())
            }
            Order::Restore(done) => {
                restore();
                let _ = done.send(());
                Ok(())
            }
        };
        if result.is_err() {
            // A full queue of keys means that somebody reads it, and meets the ended writer next.
            let _ = gone.try_send(Input::Gone);
            return;
        }
    }
}

fn write_all(bytes: &[u8]) -> io::Result<()> {
    // After a panic or a restore the screen belongs to the shell again.
    if !TAKEN.load(Ordering::SeqCst) {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    for piece in bytes.chunks(PIECE) {
        if STALLED.load(Ordering::SeqCst) {
            break;
        }
        out.write_all(piece)?;
        out.flush()?;
    }
    Ok(())
}

/// Until the console drops its end: each wake-up reads what is there.
fn read_keys(woken: &std_mpsc::Receiver<()>, inputs: &mpsc::Sender<Input>, looks: &AtomicU32, tty: &OwnedFd) {
    // Nobody wakes us again for what is there now, so it is looked for until there is nothing.
    let has_more = || loop {
        looks.fetch_add(1, Ordering::Relaxed);
        let seen = event::poll(LOOK);
        looks.fetch_add(1, Ordering::Relaxed);
        match seen {
            Ok(false) if ioctl_fionread(tty).is_ok_and(|bytes| bytes > 0) => {}
            seen => return seen.is_ok_and(|has_more| has_more),
        }
    };
    let mut last_key: Option<Instant> = None;
    while woken.recv().is_ok() {
        while has_more() {
            let told = match event::read() {
                Ok(Event::Key(key)) => {
                    let before = last_key.replace(Instant::now());
                    let is_hurried = before.is_some_and(|at| at.elapsed() < HURRY) || has_more();
                    inputs.blocking_send(if is_hurried {
                        Input::Hurried(key)
                    } else {
                        Input::Key(key)
                    })
                }
                Ok(Event::Paste(text)) => inputs.blocking_send(Input::Paste(text)),
                Ok(Event::Mouse(MouseEvent { kind, column, row, .. })) => match kind {
                    MouseEventKind::Down(MouseButton::Left) => inputs.blocking_send(Input::Click(column, row)),
                    MouseEventKind::ScrollUp => inputs.blocking_send(Input::Wheel(-WHEEL_ROWS)),
                    MouseEventKind::ScrollDown => inputs.blocking_send(Input::Wheel(WHEEL_ROWS)),
                    _ => Ok(()),
                },
                Ok(_) => Ok(()),
                Err(_) => inputs.blocking_send(Input::Gone),
            };
            if told.is_err() {
                return;
            }
        }
    }
}

/// A backend that writes into memory and knows its size: it never asks the terminal anything.
#[derive(Debug)]
struct Canvas {
    inner: CrosstermBackend<Bytes>,
    size: (u16, u16),
}

#[derive(Debug)]
struct Bytes(Arc<Mutex<Vec<u8>>>);

impl Write for Bytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a terminal may draw this in other columns than we count, or together with what comes next: the place of what
/// comes next is said then. Latin letters and the signs that the console is drawn with are not such.
fn has_doubtful_width(symbol: &str) -> bool {
    let mut chars = symbol.chars();
    let is_plain = |c| matches!(c, '\0'..='\u{2ff}' | '\u{2010}'..='\u{27ff}');
    !chars.next().is_none_or(is_plain) || chars.next().is_some()
}

impl Canvas {
    fn new(bytes: Arc<Mutex<Vec<u8>>>, size: (u16, u16)) -> Self {
        Self {
            inner: CrosstermBackend::new(Bytes(bytes)),
            size,
        }
    }
}

impl Backend for Canvas {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let mut content = content.peekable();
        // Nothing changed: not one byte.
        while content.peek().is_some() {
            let mut is_doubtful = false;
            let until_doubtful = std::iter::from_fn(|| {
                content.next_if(|_| !is_doubtful).inspect(|(_, _, cell)| {
                    is_doubtful = has_doubtful_width(cell.symbol());
                })
            });
            // Each call begins with the place of its first cell.
            self.inner.draw(until_doubtful)?;
        }
        Ok(())
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        // Hidden since the terminal was taken over, and never shown.
        Ok(())
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        Ok(Position::ORIGIN)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        self.inner.set_cursor_position(position)
    }

    fn clear(&mut self) -> io::Result<()> {
        self.inner.clear()
    }

    fn clear_region(&mut self, region: ClearType) -> io::Result<()> {
        self.inner.clear_region(region)
    }

    fn size(&self) -> io::Result<Size> {
        Ok(Size::new(self.size.0, self.size.1))
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        Ok(WindowSize {
            columns_rows: Size::new(self.size.0, self.size.1),
            pixels: Size::ZERO,
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ratatui::buffer::Buffer;

    use super::*;

    #[test]
    fn place_is_said_after_what_a_terminal_may_draw_in_other_columns() {
        let written = |text: &str| {
            let bytes = Arc::new(Mutex::new(Vec::new()));
            let mut canvas = Canvas::new(Arc::clone(&bytes), (9, 1));
            let buffer = Buffer::with_lines([text]);
            let cells = buffer.content.iter().zip(0..).map(|(cell, x)| (x, 0, cell));
            canvas.draw(cells).unwrap();
            let written = String::from_utf8(bytes.lock().unwrap().clone()).unwrap();
            written.matches('H').count()
        };
        assert_eq!([written("plot─▏ä"), written("שלplot"), written("e\u{301}x")], [1, 3, 2]);
    }
}
