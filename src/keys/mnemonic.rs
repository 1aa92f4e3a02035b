//! The 12 to 24 words of a wallet, and the master key they stand for.

use bip39::{Language, Mnemonic};
use zeroize::Zeroizing;

use crate::crypto::SecretKey;

/// The master key of a mnemonic (BIP-39, English, no passphrase), as the official software makes it.
///
/// Words may be cut to their first four letters, which name them all. Case, and how much space or how many lines are
/// between the words, do not matter.
pub(super) fn master_key(text: &str) -> Result<SecretKey, MnemonicError> {
    let words = full_words(text)?;
    let mnemonic = parse(&words)?;
    let seed = Zeroizing::new(mnemonic.to_seed_normalized(""));
    // Cannot fail: the seed has 64 bytes. The words are the only thing that could be wrong.
    SecretKey::key_gen(seed.as_slice()).map_err(|_| MnemonicError::Checksum)
}

/// Whether words are a mnemonic, without what it stands for.
///
/// # Errors
/// Where they are wrong.
pub fn check_mnemonic(text: &str) -> Result<(), MnemonicError> {
    let words = full_words(text)?;
    parse(&words).map(drop)
}

fn parse(words: &str) -> Result<Mnemonic, MnemonicError> {
    Mnemonic::parse_in_normalized(Language::English, words).map_err(|error| match error {
        bip39::Error::BadWordCount(got) => MnemonicError::WordCount { got },
        bip39::Error::UnknownWord(index) => MnemonicError::UnknownWord { place: index + 1 },
        _ => MnemonicError::Checksum,
    })
}

/// The master key of the mnemonic that stands for this entropy, or nothing if there is none of that length.
pub(super) fn master_key_of_entropy(entropy: &[u8]) -> Option<SecretKey> {
    let mnemonic = Mnemonic::from_entropy(entropy).ok()?;
    let seed = Zeroizing::new(mnemonic.to_seed_normalized(""));
    SecretKey::key_gen(seed.as_slice()).ok()
}

/// Why words are no mnemonic. Says where, never which word: errors end up in logs and terminals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MnemonicError {
    /// Too few or too many words.
    #[error("a mnemonic has 12, 15, 18, 21 or 24 words, got {got}")]
    WordCount {
        /// Words found.
        got: usize,
    },
    /// A word that is not in the list of 2048.
    #[error("word {place} of the mnemonic is not in the BIP-39 list of words: it may be misspelled")]
    UnknownWord {
        /// Its place, from 1.
        place: usize,
    },
    /// All words are in the list, but not in this order together.
    #[error("the checksum of the mnemonic does not match: a word is wrong, or two are swapped")]
    Checksum,
}

/// The words in full, lower case, with one space between them.
fn full_words(text: &str) -> Result<Zeroizing<String>, MnemonicError> {
    // Editors of Windows begin a file with it.
    let text = text.trim_start_matches('\u{feff}');
    let got = text.split_whitespace().count();
    if !matches!(got, 12 | 15 | 18 | 21 | 24) {
        return Err(MnemonicError::WordCount { got });
    }
    // Large enough from the start, so that it never moves and leaves a copy behind.
    let mut words = Zeroizing::new(String::with_capacity(24 * (LONGEST_WORD + 1)));
    for (index, word) in text.split_whitespace().enumerate() {
        let lower = Zeroizing::new(word.to_ascii_lowercase());
        let full = full_word(&lower).ok_or(MnemonicError::UnknownWord { place: index + 1 })?;
        if index > 0 {
            words.push(' ');
        }
        words.push_str(full);
    }
    Ok(words)
}

fn full_word(word: &str) -> Option<&'static str> {
    let is_meant = |full: &&'static str| *full == word || (word.len() == NAMING_LETTERS && full.starts_with(word));
    Language::English.word_list().iter().copied().find(is_meant)
}

/// No two words of the list share their first four letters.
const NAMING_LETTERS: usize = 4;

/// Letters of the longest words in the list.
const LONGEST_WORD: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::sha256;

    #[test]
    fn fifty_mnemonics_of_all_lengths_give_the_official_master_keys() {
        let mut keys = Vec::new();
        for i in 0..50_u32 {
            let entropy = sha256(&[b"farmconsole mnemonic test", &i.to_be_bytes()]);
            let length = 16 + 4 * (i as usize % 5);
            let words = Mnemonic::from_entropy(&entropy[..length]).unwrap().to_string();
            keys.extend_from_slice(master_key(&words).unwrap().to_bytes().as_slice());
        }
        // Computed by chia-blockchain 2.7.5.
        assert_eq!(
            hex::encode(sha256(&[&keys])),
            "8d81b1f1d10d7e71028dba626821a1f3503c12a2b2b7adcb3d359513ca486be5"
        );
    }

    #[test]
    fn words_may_be_shortened_in_capitals_and_on_several_lines() {
        let expected = master_key(WORDS).unwrap();
        let short: Vec<&str> = WORDS.split(' ').map(|word| &word[..word.len().min(4)]).collect();
        for text in [
            short.join(" "),
            WORDS.to_uppercase(),
            format!("\n{}\r\n", WORDS.replace(' ', "\n\t")),
            format!("\u{feff}{WORDS}\r\n"),
        ] {
            assert!(*master_key(&text).unwrap().to_bytes() == *expected.to_bytes(), "{text}");
        }
    }

    #[test]
    fn four_letters_a_word_give_the_wallet_they_give_the_official_software() {
        let v: serde_json::Value = serde_json::from_str(include_str!("../../tests/vectors/keys.json")).unwrap();
        let words = v["test_key"]["mnemonic"].as_str().unwrap();
        let short: Vec<&str> = words.split(' ').map(|word| &word[..word.len().min(4)]).collect();
        // What `chia keys add -f` of 2.7.5 makes of the same shortened words.
        let fingerprint = master_key(&short.join(" ")).unwrap().public_key().fingerprint();
        assert_eq!(fingerprint, 2_515_295_459);
    }

    #[test]
    fn faults_are_placed_without_repeating_a_word() {
        let error = |text: &str| {
            let error = master_key(text).err();
            assert_eq!(error, check_mnemonic(text).err());
            error
        };
        assert_eq!(error(WORDS), None);
        assert_eq!(error(""), Some(MnemonicError::WordCount { got: 0 }));
        assert_eq!(
            error(&format!("{WORDS} music")),
            Some(MnemonicError::WordCount { got: 13 })
        );
        for wrong in ["sexret", "tru", "trumpeting", "trumx", "träumen", "observ"] {
            let text = WORDS.replace("trumpet", wrong);
            assert_eq!(error(&text), Some(MnemonicError::UnknownWord { place: 5 }), "{wrong}");
            assert!(!MnemonicError::UnknownWord { place: 5 }.to_string().contains(wrong));
        }
        assert_eq!(
            error(&WORDS.replace("energy slab", "slab energy")),
            Some(MnemonicError::Checksum)
        );
    }

    /// Whoever types "act" means "act", though "action" and "actor" begin with it.
    #[test]
    fn every_word_of_the_list_is_read_as_itself_in_full_and_by_four_letters() {
        for word in Language::English.word_list() {
            assert_eq!(full_word(word), Some(*word));
            assert_eq!(full_word(&word[..word.len().min(4)]), Some(*word));
            assert!(word.len() <= LONGEST_WORD);
        }
    }

    const WORDS: &str = "energy slab urge observe trumpet music protect index situate spawn glance million";
}
