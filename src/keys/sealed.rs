//! What a passphrase locks, as text: how it was locked, and the locked secrets.

use std::fmt::Write as _;
use std::io;

use serde::Deserialize;
use zeroize::Zeroizing;

pub(crate) use super::passphrase::Cost;
use super::passphrase::{Lock, Passphrase};

/// A file of secrets: `head` is its comment.
///
/// # Errors
/// When there is no chance, or Argon2 cannot do what `cost` asks for.
pub(crate) fn seal(head: &str, passphrase: &Passphrase, cost: Cost, secrets: &[u8]) -> io::Result<String> {
    let lock = Lock::fresh(cost)?;
    let text = render(&lock);
    let sealed = lock.seal(passphrase, &text, secrets)?;
    Ok(format!("{head}{text}  secrets: \"{}\"\n", hex::encode(sealed)))
}

/// The secrets in such a file; nothing if the passphrase is another one, or anything was changed.
///
/// # Errors
/// What is wrong with the file.
pub(crate) fn open(text: &str, passphrase: &Passphrase) -> Result<Option<Zeroizing<Vec<u8>>>, &'static str> {
    let (lock, sealed) = parse(text)?;
    let opened = lock.open(passphrase, &render(&lock), &sealed);
    opened.map_err(|_| "`lock` asks for what Argon2 cannot do")
}

/// What a guess of the passphrase costs.
///
/// # Errors
/// What is wrong with the file.
pub(crate) fn cost(text: &str) -> Result<Cost, &'static str> {
    parse(text).map(|(lock, _)| lock.cost)
}

fn parse(text: &str) -> Result<(Lock, Vec<u8>), &'static str> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sealed {
        lock: RawLock,
    }
    // The words of the YAML reader are left out: they can contain what stands in the file.
    let sealed: Sealed = serde_yaml::from_str(text).map_err(|_| "expected a `lock:` and nothing else")?;
    sealed.lock.check()
}

/// How something is locked, without what is locked.
pub(super) fn render(lock: &Lock) -> String {
    let mut text = String::new();
    let Cost {
        memory_kib,
        passes,
        lanes,
    } = lock.cost;
    // Writing to a string cannot fail, so the results say nothing.
    let _ = writeln!(text, "lock:\n  kdf: {KDF}\n  memory_kib: {memory_kib}");
    let _ = writeln!(text, "  passes: {passes}\n  lanes: {lanes}");
    let _ = writeln!(text, "  salt: \"{}\"", hex::encode(lock.salt));
    let _ = writeln!(text, "  nonce: \"{}\"", hex::encode(lock.nonce));
    text
}

/// A lock as it stands in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLock {
    kdf: String,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: String,
    nonce: String,
    secrets: String,
}

impl RawLock {
    pub(super) fn check(&self) -> Result<(Lock, Vec<u8>), &'static str> {
        if self.kdf != KDF {
            return Err("`kdf` is not argon2id");
        }
        let cost = Cost {
            memory_kib: self.memory_kib,
            passes: self.passes,
            lanes: self.lanes,
        };
        if !cost.is_bearable() {
            return Err("`lock` asks for more memory or time than any lock needs");
        }
        let (mut salt, mut nonce) = ([0; 16], [0; 12]);
        hex::decode_to_slice(&self.salt, &mut salt).map_err(|_| "`salt` is not 16 bytes in hex")?;
        hex::decode_to_slice(&self.nonce, &mut nonce).map_err(|_| "`nonce` is not 12 bytes in hex")?;
        let sealed = hex::decode(&self.secrets).map_err(|_| "`secrets` is not written in hex")?;
        Ok((Lock { cost, salt, nonce }, sealed))
    }
}

/// The one way from a passphrase to a key.
const KDF: &str = "argon2id";
