//! The farming-key file as text: what is written, and what is understood.

use std::fmt::Write as _;
use std::io;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::entry::{Entry, PublicAuthentication, PublicEntry};
use super::passphrase::{Cost, Lock, Passphrase};
use super::sealed::{self, RawLock};
use crate::crypto::{PoolKey, SecretKey};
use crate::ids::PuzzleHash;
use crate::wire::pool::PoolVersion;
use crate::wire::{G1Bytes, G2Bytes};

/// The part of every version.
#[derive(Deserialize)]
pub(super) struct VersionOnly {
    pub(super) version: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFile {
    pub(super) version: u32,
    pub(super) keys: Vec<RawEntry>,
    pub(super) lock: Option<RawLock>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEntry {
    pub(super) farmer_public_key: G1Bytes,
    #[serde(default, deserialize_with = "optional_secret_text")]
    pub(super) farmer_secret_key: Option<Zeroizing<String>>,
    pub(super) fingerprint: Option<u32>,
    pool: Option<RawPool>,
    #[serde(default)]
    pub(super) pool_authentication: Vec<RawAuthentication>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAuthentication {
    pub(super) owner_public_key: G1Bytes,
    pub(super) version: u8,
    pub(super) public_key: G1Bytes,
    #[serde(default, deserialize_with = "optional_secret_text")]
    pub(super) secret_key: Option<Zeroizing<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPool {
    public_key: G1Bytes,
    puzzle_hash: PuzzleHash,
    signature: G2Bytes,
}

impl RawEntry {
    pub(super) fn check(self) -> Result<PublicEntry, &'static str> {
        let pool = self
            .pool
            .map(|pool| PoolKey::verified(&pool.public_key, pool.puzzle_hash, &pool.signature));
        let pool = pool
            .transpose()
            .map_err(|_| "`signature` is not that of the pool `public_key` for `puzzle_hash`")?;
        let authentication = self.pool_authentication.into_iter().map(RawAuthentication::check);
        Ok(PublicEntry {
            fingerprint: self.fingerprint,
            farmer_public_key: self.farmer_public_key,
            pool,
            authentication: authentication.collect::<Result<_, _>>()?,
        })
    }
}

impl RawAuthentication {
    fn check(self) -> Result<PublicAuthentication, &'static str> {
        let version = match self.version {
            1 => PoolVersion::V1,
            2 => PoolVersion::V2,
            _ => return Err("`version` of pool_authentication is neither 1 nor 2"),
        };
        Ok(PublicAuthentication {
            owner_public_key: self.owner_public_key,
            version,
            public_key: self.public_key,
        })
    }
}

/// Reads a text that is wiped when dropped.
pub(super) fn secret_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(deserializer).map(Zeroizing::new)
}

fn optional_secret_text<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Zeroizing<String>>, D::Error> {
    secret_text(deserializer).map(Some)
}

pub(super) fn render_open(entries: &[Entry]) -> Zeroizing<String> {
    // Large enough from the start, so that it never moves and leaves a copy behind.
    let keys = entries
        .iter()
        .map(|entry| 1 + entry.authentication.len())
        .sum::<usize>();
    let mut text = Zeroizing::new(String::with_capacity(HEADER.len() + 64 + 1024 * keys));
    text.push_str(HEADER);
    render_head(&mut text, OPEN_VERSION, entries.is_empty());
    for entry in entries {
        render_entry(&mut text, &entry.public());
        push_secret(&mut text, "  farmer_secret_key", &entry.farmer);
        render_authentication(&mut text, &entry.public().authentication, |text, place| {
            push_secret(text, "    secret_key", entry.authentication[place].secret());
        });
    }
    text
}

fn push_secret(text: &mut String, key: &str, secret: &SecretKey) {
    let mut digits = Zeroizing::new([0; 64]);
    let _ = hex::encode_to_slice(secret.to_bytes().as_slice(), digits.as_mut_slice());
    text.push_str(key);
    text.push_str(": \"");
    text.extend(digits.iter().copied().map(char::from));
    text.push_str("\"\n");
}

pub(super) fn render_locked(entries: &[Entry], passphrase: &Passphrase, cost: Cost) -> io::Result<String> {
    let lock = Lock::fresh(cost)?;
    let public: Vec<PublicEntry> = entries.iter().map(Entry::public).collect();
    let mut secrets = Zeroizing::new(Vec::with_capacity(SECRET_KEY_BYTES * secrets_of(&public)));
    for entry in entries {
        secrets.extend_from_slice(entry.farmer.to_bytes().as_slice());
        for key in &entry.authentication {
            secrets.extend_from_slice(key.secret().to_bytes().as_slice());
        }
    }
    let text = render_public(&public, &lock);
    let sealed = lock.seal(passphrase, &text, &secrets)?;
    Ok(format!("{HEADER}{text}  secrets: \"{}\"\n", hex::encode(sealed)))
}

/// All that is public in a locked file, and sealed with the secrets so that nobody changes it.
pub(super) fn render_public(entries: &[PublicEntry], lock: &Lock) -> String {
    let mut text = String::new();
    render_head(&mut text, LOCKED_VERSION, entries.is_empty());
    for entry in entries {
        render_entry(&mut text, entry);
        render_authentication(&mut text, &entry.authentication, |_, _| {});
    }
    text.push_str(&sealed::render(lock));
    text
}

fn render_head(text: &mut String, version: u32, is_empty: bool) {
    // Writing to a string cannot fail, so the results say nothing.
    let _ = writeln!(text, "version: {version}");
    text.push_str(if is_empty { "keys: []\n" } else { "keys:\n" });
}

fn render_entry(text: &mut String, entry: &PublicEntry) {
    let _ = writeln!(text, "- farmer_public_key: \"{}\"", entry.farmer_public_key);
    if let Some(fingerprint) = entry.fingerprint {
        let _ = writeln!(text, "  fingerprint: {fingerprint}");
    }
    if let Some(pool) = &entry.pool {
        text.push_str("  pool:\n");
        let _ = writeln!(text, "    public_key: \"{}\"", pool.public_key());
        let _ = writeln!(text, "    puzzle_hash: \"{}\"", pool.puzzle_hash());
        let _ = writeln!(text, "    signature: \"{}\"", pool.signature());
    }
}

/// The keys that speak to pools; `more` adds to each, by its place.
fn render_authentication(text: &mut String, keys: &[PublicAuthentication], more: impl Fn(&mut String, usize)) {
    if !keys.is_empty() {
        text.push_str("  pool_authentication:\n");
    }
    for (place, key) in keys.iter().enumerate() {
        let version = match key.version {
            PoolVersion::V1 => 1,
            PoolVersion::V2 => 2,
        };
        let _ = writeln!(text, "  - owner_public_key: \"{}\"", key.owner_public_key);
        let _ = writeln!(text, "    version: {version}");
        let _ = writeln!(text, "    public_key: \"{}\"", key.public_key);
        more(text, place);
    }
}

/// How many secrets belong to these keys.
pub(super) fn secrets_of(keys: &[PublicEntry]) -> usize {
    keys.iter().map(|key| 1 + key.authentication.len()).sum()
}

/// Version of a file with its secrets in the open.
pub(super) const OPEN_VERSION: u32 = 1;

/// Version of a file with its secrets locked.
pub(super) const LOCKED_VERSION: u32 = 2;

pub(super) const SECRET_KEY_BYTES: usize = 32;

const HEADER: &str = "\
# Keys that farmconsole farms with. SECRET: whoever has this file can sign for your plots. It cannot spend anything,
# and holds no wallet or master key. Written by farmconsole keys import; every import replaces it whole.
# It is refused unless only its owner can read it (mode 0600).
#
# farmer_secret_key   signs blocks and partials of the plots made for farmer_public_key
# lock                instead of the secret keys: holds them, locked with a passphrase. The rest cannot be changed then.
# fingerprint         of the wallet the keys come from, if known
# pool                for plots made for a pool public key: its signature that sends their rewards to puzzle_hash.
#                     After a change of the pool address, import the keys again: the signature is for one address only.
# pool_authentication keys that speak for plotNFTs to their pools. Those of version 2 ARE WALLET KEYS, which can spend what
#                     lies on their address; they are here only if the import was asked for them.
";
