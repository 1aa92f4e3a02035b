//! Passphrases, and what they lock: Argon2id makes the key, ChaCha20-Poly1305 seals.

use std::fmt;
use std::io;

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

/// The passphrase in the text of a file: without the end of its line, and without the mark that editors of Windows put at
/// the beginning.
#[must_use]
pub fn passphrase_in(text: &str) -> &str {
    text.trim_start_matches('\u{feff}').trim_end_matches(['\r', '\n'])
}

/// A passphrase. Wiped when dropped; `Debug` shows that there is one.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes a passphrase exactly as it is.
    #[must_use]
    pub const fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// Takes the passphrase that a file holds.
    #[must_use]
    pub fn in_file(text: &str) -> Self {
        Self(Zeroizing::new(passphrase_in(text).to_owned()))
    }

    /// How many characters it has.
    #[must_use]
    pub fn length(&self) -> usize {
        self.0.chars().count()
    }

    /// Whether both are the same.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(not shown)")
    }
}

/// Makes the system write nothing of the memory of this process to a disk when it fails, and keeps other processes of
/// the same user from looking into it.
///
/// # Errors
/// Whatever the system answers.
pub fn forbid_core_dumps() -> io::Result<()> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let nothing = Rlimit {
            current: Some(0),
            maximum: Some(0),
        };
        setrlimit(Resource::Core, nothing)?;
    }
    // A limit of zero does not keep dumps from a program that collects them.
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// What one guess of a passphrase costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Memory, KiB.
    pub(crate) memory_kib: u32,
    /// Times that all of it is gone through.
    pub(crate) passes: u32,
    /// Parts of it that could be filled at the same time.
    pub(crate) lanes: u32,
}

impl Cost {
    /// Half a second and a quarter of the memory of a small machine, once a start; far too dear for guessing in bulk.
    pub(crate) const STANDARD: Self = Self {
        memory_kib: 256 * 1024,
        passes: 3,
        lanes: 1,
    };

    /// Whether a file may ask for this much: a mistyped number must not fill the memory or take hours.
    pub(super) const fn is_bearable(&self) -> bool {
        self.memory_kib <= 4 * Self::STANDARD.memory_kib && self.passes <= 100 && self.lanes <= 16
    }
}

/// How secrets are sealed: all of it public.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lock {
    pub(super) cost: Cost,
    pub(super) salt: [u8; 16],
    pub(super) nonce: [u8; NONCE_LEN],
}

impl Lock {
    /// A lock with a salt and a nonce that nobody has used.
    pub(super) fn fresh(cost: Cost) -> io::Result<Self> {
        let mut lock = Self {
            cost,
            salt: [0; 16],
            nonce: [0; NONCE_LEN],
        };
        getrandom::fill(&mut lock.salt)?;
        getrandom::fill(&mut lock.nonce)?;
        Ok(lock)
    }

    /// Seals secrets, and with them the text that must not be changed; 16 bytes longer than the secrets.
    pub(super) fn seal(&self, passphrase: &Passphrase, text: &str, secrets: &[u8]) -> io::Result<Vec<u8>> {
        let key = self.key(passphrase).map_err(io::Error::other)?;
        // Sealed in place, with room for the tag, so that no copy of the secrets stays behind.
        let mut sealed = Vec::with_capacity(secrets.len() + CHACHA20_POLY1305.tag_len());
        sealed.extend_from_slice(secrets);
        let nonce = Nonce::assume_unique_for_key(self.nonce);
        cipher(&key)
            .and_then(|cipher| cipher.seal_in_place_append_tag(nonce, Aad::from(text), &mut sealed))
            .map_err(|_| io::Error::other("the keys cannot be sealed"))?;
        Ok(sealed)
    }

    /// The secrets, or nothing if the passphrase is another one or anything was changed.
    ///
    /// # Errors
    /// When the lock asks for what Argon2 cannot do.
    pub(super) fn open(
        &self,
        passphrase: &Passphrase,
        text: &str,
        sealed: &[u8],
    ) -> Result<Option<Zeroizing<Vec<u8>>>, argon2::Error> {
        Ok(open_sealed(
            &*self.key(passphrase)?,
            self.nonce,
            text.as_bytes(),
            sealed,
        ))
    }

    fn key(&self, passphrase: &Passphrase) -> Result<Zeroizing<[u8; 32]>, argon2::Error> {
        let mut key = Zeroizing::new([0; 32]);
        let Cost {
            memory_kib,
            passes,
            lanes,
        } = self.cost;
        let parameters = argon2::Params::new(memory_kib, passes, lanes, Some(key.len()))?;
        argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, parameters).hash_password_into(
            passphrase.as_bytes(),
            &self.salt,
            key.as_mut_slice(),
        )?;
        Ok(key)
    }
}

/// What ChaCha20-Poly1305 sealed, or nothing if key, nonce, text or content is another.
pub(super) fn open_sealed(
    key: &[u8; 32],
    nonce: [u8; NONCE_LEN],
    text: &[u8],
    sealed: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let mut opened = Zeroizing::new(sealed.to_vec());
    let length = cipher(key)
        .and_then(|cipher| {
            let nonce = Nonce::assume_unique_for_key(nonce);
            cipher
                .open_in_place(nonce, Aad::from(text), &mut opened)
                .map(|plain| plain.len())
        })
        .ok()?;
    opened.truncate(length);
    Some(opened)
}

fn cipher(key: &[u8; 32]) -> Result<LessSafeKey, aws_lc_rs::error::Unspecified> {
    UnboundKey::new(&CHACHA20_POLY1305, key).map(LessSafeKey::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_passphrase_text_and_content_open_a_lock() {
        let lock = Lock::fresh(CHEAP).unwrap();
        let right = passphrase("right");
        let sealed = lock.seal(&right, "text", b"secret").unwrap();
        assert_eq!(sealed.len(), 6 + 16);
        let open = |lock: &Lock, with: &str, text, sealed: &[u8]| lock.open(&passphrase(with), text, sealed).unwrap();
        assert_eq!(open(&lock, "right", "text", &sealed).unwrap().as_slice(), b"secret");
        let dearer = Lock {
            cost: Cost { passes: 2, ..CHEAP },
            ..lock
        };
        let mut damaged = sealed.clone();
        damaged[0] ^= 1;
        for opened in [
            open(&lock, "wrong", "text", &sealed),
            open(&lock, "right", "test", &sealed),
            open(&lock, "right", "text", &damaged),
            open(&lock, "right", "text", &sealed[..10]),
            open(&dearer, "right", "text", &sealed),
        ] {
            assert_eq!(opened, None);
        }
    }

    #[test]
    fn keys_are_those_of_the_reference_implementation() {
        let lock = Lock {
            cost: Cost {
                memory_kib: 256,
                passes: 3,
                lanes: 1,
            },
            salt: *b"0123456789abcdef",
            nonce: [0; 12],
        };
        // Computed by argon2-cffi, which binds the reference implementation in C.
        assert_eq!(
            hex::encode(*lock.key(&passphrase("correct horse")).unwrap()),
            "70a144704b139ee28d6d559f94f124c6e3a6bb84912902e00437ced76f1e7751"
        );
    }

    #[test]
    fn a_passphrase_in_a_file_ends_with_its_line() {
        for text in ["abc", "abc\n", "abc\r\n", "\u{feff}abc\r\n"] {
            assert_eq!(passphrase_in(text), "abc");
        }
        assert_eq!(passphrase_in(" a b "), " a b ");
        assert_eq!(passphrase_in(""), "");
    }

    #[test]
    fn a_passphrase_is_not_shown() {
        assert!(!format!("{:?}", passphrase("open sesame")).contains("sesame"));
    }

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(Zeroizing::new(text.to_owned()))
    }

    const CHEAP: Cost = Cost {
        memory_kib: 8,
        passes: 1,
        lanes: 1,
    };
}
