//! Secrets that people give: typed without being shown, from a file, from standard input, or as a systemd credential.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use farmconsole::clock::Mono;
use farmconsole::config::{access, files, shell_word};
use farmconsole::keys::{self, KeysError, Passphrase, passphrase_in};
use farmconsole::tls::{CaKeys, PassphraseFile, TlsError};
use rustix::termios::{self, LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use zeroize::Zeroizing;

use crate::context::Context;
use crate::environment::variable;
use crate::errors::bad_keys;
use crate::exit::{Failure, Status};
use crate::out::Out;

/// Name of the systemd credential with the passphrase of the farming keys.
const CREDENTIAL: &str = "farmconsole-passphrase";

/// Name of the systemd credential with the passphrase of the keys of the farm's authorities.
const CA_CREDENTIAL: &str = "farmconsole-ca-passphrase";

/// Fewest characters of a new passphrase, as with the official software.
const SHORTEST_PASSPHRASE: usize = 8;

/// Longest secret that is read, bytes.
const LONGEST: usize = 16 * 1024;

/// The passphrase that unlocks the farming keys of this root: from the file that was named, from systemd, or from whoever
/// sits at the terminal. Nothing if they are not locked.
pub(crate) fn to_unlock(context: &Context) -> Result<Option<Passphrase>, Failure> {
    let file = context.root.keys_file();
    if !keys::is_locked(&file).map_err(bad_keys)? {
        return Ok(None);
    }
    if let Some(named) = &context.passphrase_file {
        return passphrase_from_file(named).map(Some);
    }
    if let Some(directory) = credentials_directory() {
        // systemd keeps others out of the directory and may give the group a right to the file.
        let credential = directory.join(CREDENTIAL);
        if credential.exists() {
            return read(&credential).map(|text| Some(Passphrase::in_file(&text)));
        }
    }
    let question = format!("Passphrase of the farming keys in {}: ", file.display());
    let wrong = |text: &str| {
        let opened = keys::load(&file, Some(&Passphrase::new(text.to_owned().into())));
        matches!(opened, Err(KeysError::WrongPassphrase { .. })).then(not_it)
    };
    ask_until_right(ask, &question, wrong)
        .map(|text| Some(Passphrase::new(text)))
        .map_err(|no_answer| {
            Failure::new(
                Status::Settings,
                format!("unlock the farming keys in {}: {no_answer}", file.display()),
            )
            .hint(format!(
                "give the passphrase with --passphrase-file FILE or as systemd credential {CREDENTIAL}"
            ))
        })
}

/// Asks for something that may be mistyped: three times at most, as long as `wrong` says what is wrong with it, which
/// must tell nothing of it. Whoever uses the last answer says what is wrong with that.
pub(crate) fn ask_until_right(
    mut ask: impl FnMut(&str) -> io::Result<Zeroizing<String>>,
    question: &str,
    wrong: impl Fn(&str) -> Option<String>,
) -> io::Result<Zeroizing<String>> {
    let mut answer = ask(question)?;
    for _ in 1..TRIES {
        let Some(wrong) = wrong(&answer) else { break };
        answer = ask(&format!("{wrong}, try again.\n{question}"))?;
    }
    Ok(answer)
}

/// What is wrong with a passphrase that opens nothing.
pub(crate) fn not_it() -> String {
    "That is not it".to_owned()
}

/// A mnemonic, from whoever sits at the terminal. What is mistyped is told by its place, never by the word.
pub(crate) fn ask_mnemonic(ask: impl FnMut(&str) -> io::Result<Zeroizing<String>>) -> io::Result<Zeroizing<String>> {
    let wrong = |text: &str| {
        keys::check_mnemonic(text)
            .err()
            .map(|error| sentence(&error.to_string()))
    };
    ask_until_right(ask, "Mnemonic, 12 to 24 words in one line (not shown): ", wrong)
}

/// The same with a capital.
fn sentence(fragment: &str) -> String {
    let mut rest = fragment.chars();
    let first = rest.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(rest).collect()
}

/// Asks for a new secret and for the same again, three times at most; nothing if they never were the same.
fn ask_twice(
    mut ask: impl FnMut(&str) -> io::Result<Zeroizing<String>>,
    question: &str,
) -> io::Result<Option<Passphrase>> {
    let mut slip = "";
    for _ in 0..TRIES {
        let first = Passphrase::new(ask(&format!("{slip}{question}"))?);
        if first.is_same(&Passphrase::new(ask("The same again: ")?)) {
            return Ok(Some(first));
        }
        slip = "Those are not the same, try again.\n";
    }
    Ok(None)
}

/// How often a secret may be typed, as with `sudo`.
const TRIES: u32 = 3;

/// Where systemd puts the credentials of this service.
fn credentials_directory() -> Option<PathBuf> {
    variable("CREDENTIALS_DIRECTORY").map(PathBuf::from)
}

/// Where a running farmer finds the passphrase of the farm's authorities, if nobody is to be asked for it.
pub(crate) fn ca_passphrase_source(context: &Context) -> Option<PassphraseFile> {
    if let Some(path) = &context.ca_passphrase_file {
        return Some(PassphraseFile {
            path: path.clone(),
            is_credential: false,
        });
    }
    let path = credentials_directory()?.join(CA_CREDENTIAL);
    path.exists().then_some(PassphraseFile {
        path,
        is_credential: true,
    })
}

/// The passphrase of the farm's authorities: from the file that was named, from systemd, or from whoever sits at the
/// terminal.
pub(crate) fn ca_passphrase(context: &Context) -> Result<Zeroizing<String>, Failure> {
    match ca_passphrase_source(context) {
        Some(PassphraseFile {
            path,
            is_credential: true,
        }) => read(&path).map(|text| passphrase_in(&text).to_owned().into()),
        Some(PassphraseFile { path, .. }) => {
            check_private(&path)?;
            read(&path).map(|text| passphrase_in(&text).to_owned().into())
        }
        None => {
            let wrong = |text: &str| {
                let opened = CaKeys::of(&context.root).unlock(Passphrase::new(text.to_owned().into()), Mono(0));
                matches!(opened, Err(TlsError::WrongPassphrase { .. })).then(not_it)
            };
            ask_until_right(ask, "Passphrase of the keys of this farm's authorities: ", wrong)
                .map_err(not_asked("--ca-passphrase-file"))
        }
    }
}

/// A passphrase to lock something with: from the file that `option` named, or asked for twice.
pub(crate) fn new_passphrase(what: &str, file: Option<&Path>, option: &'static str) -> Result<Passphrase, Failure> {
    let passphrase = match file {
        Some(file) => passphrase_from_file(file)?,
        None => {
            let question = format!("New passphrase of {what}: ");
            let twice = ask_twice(ask, &question).map_err(not_asked(option))?;
            twice.ok_or_else(|| Failure::new(Status::Usage, "the two passphrases are not the same"))?
        }
    };
    if passphrase.length() < SHORTEST_PASSPHRASE {
        return Err(Failure::new(
            Status::Usage,
            format!(
                "a passphrase needs at least {SHORTEST_PASSPHRASE} characters, this one has {}",
                passphrase.length()
            ),
        ));
    }
    Ok(passphrase)
}

/// A passphrase from a file that is private, without the end of its line; `-` reads standard input.
pub(crate) fn passphrase_from_file(file: &Path) -> Result<Passphrase, Failure> {
    check_private(file)?;
    read(file).map(|text| Passphrase::in_file(&text))
}

fn check_private(file: &Path) -> Result<(), Failure> {
    if file != Path::new("-")
        && let Some(mode) = std::fs::metadata(file).ok().and_then(|m| files::open_to_others(&m))
    {
        return Err(Failure::new(
            Status::Settings,
            format!(
                "the passphrase in {} is open to others: mode {mode:04o}",
                file.display()
            ),
        )
        .hint(format!("chmod 600 {}", shell_word(file))));
    }
    Ok(())
}

/// The text of a file, or of standard input for `-`.
pub(crate) fn read(file: &Path) -> Result<Zeroizing<String>, Failure> {
    // Large enough from the start, so that it never moves and leaves a copy behind.
    let mut text = Zeroizing::new(String::with_capacity(LONGEST));
    let limit = u64::try_from(LONGEST).unwrap_or(u64::MAX);
    let read = if file == Path::new("-") {
        io::stdin().lock().take(limit).read_to_string(&mut text)
    } else {
        File::open(file).and_then(|f| f.take(limit).read_to_string(&mut text))
    };
    read.map_err(|error| {
        let failure = Failure::new(
            Status::Settings,
            format!("read a secret from {}: {error}", file.display()),
        );
        failure.hint_if_any(access::hint_of(file, &error))
    })?;
    Ok(text)
}

/// Asks on the terminal, even if output goes elsewhere, and shows nothing of the answer.
///
/// # Errors
/// Without a terminal, and when whoever sits there gives up (Ctrl-C, Ctrl-D).
pub(crate) fn ask(question: &str) -> io::Result<Zeroizing<String>> {
    let terminal = File::options()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .map_err(|_| io::Error::new(io::ErrorKind::NotFound, "there is no terminal to ask on"))?;
    let answer = {
        // Before the question: whoever answers it at once is not shown either.
        let _quiet = Quiet::new(&terminal)?;
        Out::on_terminal(&terminal).write_all(question.as_bytes())?;
        answer(&terminal)
    };
    (&terminal).write_all(b"\n")?;
    answer
}

/// A question nobody could answer, and the option that answers it. Whoever was asked and gave up needs no other way.
pub(crate) fn not_asked(option: &'static str) -> impl Fn(io::Error) -> Failure {
    move |error| match error.kind() {
        io::ErrorKind::Interrupted => Failure::new(Status::Usage, format!("{error}: nothing was changed")),
        _ => Failure::new(Status::Usage, error).hint(format!("give it in a file: {option} FILE")),
    }
}

/// A terminal that shows nothing of what is typed and hands it over key by key, until this is dropped. The keys that
/// would end the program are handed over too: ended by them, it would leave a terminal that shows nothing.
struct Quiet<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Quiet<'a> {
    fn new(terminal: &'a File) -> io::Result<Self> {
        let before = termios::tcgetattr(terminal.as_fd())?;
        let mut quiet = before.clone();
        quiet
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG);
        quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
        termios::tcsetattr(terminal.as_fd(), OptionalActions::Drain, &quiet)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Quiet<'_> {
    /// What was typed or pasted beyond the answer goes: the shell would show it and run it.
    fn drop(&mut self) {
        let _ = termios::tcsetattr(self.terminal.as_fd(), OptionalActions::Flush, &self.before);
    }
}

/// What is typed up to the end of the line, as the keys change it.
fn answer(mut typed: impl Read) -> io::Result<Zeroizing<String>> {
    const END_OF_TEXT: u8 = 0x03;
    const END_OF_INPUT: u8 = 0x04;
    const BACKSPACE: u8 = 0x08;
    const KILL_LINE: u8 = 0x15;
    const DELETE: u8 = 0x7f;
    let given_up = || Err(io::Error::new(io::ErrorKind::Interrupted, "given up"));
    let mut line = Zeroizing::new(Vec::with_capacity(LONGEST));
    // One by one: what comes after the end of the line is not for us, and no buffer keeps a copy.
    let mut key = Zeroizing::new([0]);
    while typed.read(key.as_mut_slice())? > 0 {
        match key[0] {
            b'\r' | b'\n' => {
                let text = std::str::from_utf8(&line).map(str::to_owned).map(Zeroizing::new);
                return text.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "what was typed is not UTF-8"));
            }
            END_OF_TEXT | END_OF_INPUT => return given_up(),
            BACKSPACE | DELETE => {
                // The last character, of however many bytes.
                while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            }
            KILL_LINE => line.clear(),
            b'\t' => line.push(b' '),
            control if control < 0x20 => {}
            _ if line.len() == LONGEST => return Err(io::Error::new(io::ErrorKind::FileTooLarge, "that is too long")),
            byte => line.push(byte),
        }
    }
    given_up()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever types these answers, one after the other, and what they are asked.
    fn typing(
        typed: &[&str],
        asked: impl FnOnce(&mut dyn FnMut(&str) -> io::Result<Zeroizing<String>>),
    ) -> Vec<String> {
        let mut answers = typed.iter();
        let mut questions = Vec::new();
        asked(&mut |question| {
            questions.push(question.to_owned());
            let answer = answers.next().ok_or(io::ErrorKind::Interrupted)?;
            Ok(Zeroizing::new((*answer).to_owned()))
        });
        questions
    }

    #[test]
    fn what_is_mistyped_is_asked_for_three_times() {
        let asked = |typed: &[&str], expected: Option<&str>| {
            typing(typed, |ask| {
                let answer = ask_until_right(ask, "Passphrase: ", |text| (text != "sesame").then(not_it));
                assert_eq!(answer.ok().as_deref().map(String::as_str), expected);
            })
        };
        assert_eq!(asked(&["sesame"], Some("sesame")), ["Passphrase: "]);
        let questions = asked(&["sesam", "sesame", "never asked"], Some("sesame"));
        assert_eq!(questions, ["Passphrase: ", "That is not it, try again.\nPassphrase: "]);
        assert_eq!(asked(&["a", "b", "c", "sesame"], Some("c")).len(), 3);
        assert_eq!(asked(&["a"], None).len(), 2, "whoever gives up is not asked again");
    }

    #[test]
    fn only_whoever_could_not_be_asked_is_told_another_way() {
        let told = |kind: io::ErrorKind| format!("{:?}", not_asked("--mnemonic-file")(kind.into()));
        assert!(told(io::ErrorKind::NotFound).contains("--mnemonic-file FILE"));
        let given_up = told(io::ErrorKind::Interrupted);
        assert!(
            given_up.contains("nothing was changed") && given_up.contains("hint: None"),
            "{given_up}"
        );
    }

    #[test]
    fn a_mnemonic_with_a_slip_is_asked_for_again_and_no_word_of_it_is_told() {
        let right = "energy slab urge observe trumpet music protect index situate spawn glance million";
        let (typo, swapped) = (
            right.replace("trumpet", "trumpxt"),
            right.replace("energy slab", "slab energy"),
        );
        let questions = typing(&[&typo, &swapped, right], |ask| {
            assert_eq!(ask_mnemonic(ask).ok().as_deref().map(String::as_str), Some(right));
        });
        assert_eq!(questions.len(), 3);
        assert!(
            questions[1].starts_with("Word 5 of the mnemonic is not in the BIP-39 list"),
            "{questions:?}"
        );
        assert!(
            questions[2].starts_with("The checksum of the mnemonic does not match"),
            "{questions:?}"
        );
        assert!(
            questions[1..].iter().all(|it| it.contains(", try again.\nMnemonic")),
            "{questions:?}"
        );
        assert!(
            !right
                .split(' ')
                .chain(["trumpxt"])
                .any(|word| questions.iter().any(|it| it.contains(word)))
        );
        let asked = typing(&["one", "two", "three", right], |ask| {
            assert_eq!(ask_mnemonic(ask).ok().as_deref().map(String::as_str), Some("three"));
        });
        assert_eq!(
            asked.len(),
            3,
            "whoever uses the last answer says what is wrong with it"
        );
    }

    #[test]
    fn a_new_passphrase_is_asked_for_anew_when_the_second_is_another() {
        let asked = |typed: &[&str], expected: Option<usize>| {
            typing(typed, |ask| {
                let answer = ask_twice(ask, "New: ").unwrap();
                assert_eq!(answer.map(|it| it.length()), expected);
            })
        };
        let questions = asked(&["sesame", "sesam", "open", "open"], Some(4));
        assert_eq!(questions[2], "Those are not the same, try again.\nNew: ");
        assert_eq!(asked(&["a", "b", "c", "d", "e", "f", "g", "g"], None).len(), 6);
    }

    #[test]
    fn an_answer_is_what_is_left_after_corrections() {
        let answered = |typed: &str| answer(typed.as_bytes()).map(|text| text.to_string()).ok();
        assert_eq!(answered("open sesame\rls\n").as_deref(), Some("open sesame"));
        assert_eq!(answered("bä\u{7f}ütt\u{8}er\n").as_deref(), Some("büter"));
        assert_eq!(answered("\u{7f}wrong\u{15}right\u{1b}\n").as_deref(), Some("right"));
        assert_eq!(answered("a\tb\n").as_deref(), Some("a b"));
        for given_up in ["half\u{3}\n", "\u{4}", "half"] {
            assert_eq!(answered(given_up), None);
        }
        assert!(answered(&"x".repeat(LONGEST + 1)).is_none());
    }
}
