//! Addresses: a puzzle hash as people see it, in bech32m behind the prefix of the network (`xch1…`, `txch1…`).

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32m, Hrp};

use crate::ids::PuzzleHash;

/// The address of a puzzle hash.
///
/// # Errors
/// [`AddressError::BadPrefix`] when the prefix can begin no address.
pub fn encode(prefix: &str, puzzle_hash: &PuzzleHash) -> Result<String, AddressError> {
    let bad_prefix = || AddressError::BadPrefix {
        prefix: prefix.to_owned(),
    };
    let hrp = Hrp::parse(prefix).map_err(|_| bad_prefix())?;
    bech32::encode_lower::<Bech32m>(hrp, puzzle_hash.as_bytes()).map_err(|_| bad_prefix())
}

/// Whether [`decode`] can read an address, as what checks settings asks for it.
///
/// # Errors
/// Why not, as a sentence.
pub fn check(prefix: &str, address: &str) -> Result<(), String> {
    decode(prefix, address).map(drop).map_err(|error| error.to_string())
}

/// The puzzle hash of an address of the network whose addresses begin with `prefix`. Space around it is ignored.
///
/// # Errors
/// [`AddressError`], which names the address. An address of another network is told from a damaged one.
pub fn decode(prefix: &str, address: &str) -> Result<PuzzleHash, AddressError> {
    let address = address.trim();
    let damaged = || AddressError::Damaged {
        address: address.to_owned(),
    };
    let checked = CheckedHrpstring::new::<Bech32m>(address).map_err(|_| damaged())?;
    let got = checked.hrp().to_lowercase();
    if got != prefix.to_ascii_lowercase() {
        return Err(AddressError::WrongPrefix {
            address: address.to_owned(),
            expected: prefix.to_owned(),
            got,
        });
    }
    let bytes: Vec<u8> = checked.byte_iter().collect();
    let puzzle_hash =
        <[u8; 32]>::try_from(bytes.as_slice())
            .map(PuzzleHash)
            .map_err(|_| AddressError::WrongLength {
                address: address.to_owned(),
                got: bytes.len(),
            })?;
    // 32 bytes leave four bits of the last character over, which have to be zero: one puzzle hash, one address.
    if encode(prefix, &puzzle_hash)? != address.to_ascii_lowercase() {
        return Err(damaged());
    }
    Ok(puzzle_hash)
}

/// Why a text is no address, or not one of this network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The checksum does not fit, or there is none.
    #[error("{address} is not an address: its checksum does not match, so a character is wrong, missing or too many")]
    Damaged {
        /// The text.
        address: String,
    },
    /// A good address, but of another network.
    #[error("{address} is an address of another network: it begins with {got}1, addresses here begin with {expected}1")]
    WrongPrefix {
        /// The text.
        address: String,
        /// Prefix of this network.
        expected: String,
        /// Prefix of the address.
        got: String,
    },
    /// Checksum and prefix fit, but it names no puzzle hash.
    #[error("{address} is not an address of a puzzle hash: it holds {got} bytes, not 32")]
    WrongLength {
        /// The text.
        address: String,
        /// Bytes in it.
        got: usize,
    },
    /// The settings give an address prefix that cannot be one.
    #[error("{prefix:?} cannot be the prefix of addresses: expected 1 to 83 letters or digits")]
    BadPrefix {
        /// The prefix.
        prefix: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_match_the_official_ones() {
        let v: serde_json::Value = serde_json::from_str(include_str!("../../tests/vectors/keys.json")).unwrap();
        let address = v["address_unhardened_0"].as_str().unwrap();
        let puzzle_hash = v["puzzle_hash_unhardened_0"].as_str().unwrap().parse().unwrap();
        assert_eq!(encode("xch", &puzzle_hash).unwrap(), address);
        assert_eq!(decode("xch", address), Ok(puzzle_hash));
        assert_eq!(
            decode("xch", &format!(" {}\n", address.to_uppercase())),
            Ok(puzzle_hash)
        );
    }

    #[test]
    fn an_address_of_another_network_names_both_prefixes() {
        let address = encode("txch", &PuzzleHash([7; 32])).unwrap();
        let error = decode("xch", &address).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("{address} is an address of another network: it begins with txch1, addresses here begin with xch1")
        );
    }

    #[test]
    fn a_damaged_address_is_refused() {
        let good = encode("xch", &PuzzleHash([7; 32])).unwrap();
        let wrong_character = good.replacen("1qur", "1qug", 1);
        assert_ne!(wrong_character, good);
        let mixed_case = format!("{}{}", &good[..10], good[10..].to_uppercase());
        // The checksum of bech32, which bech32m replaced.
        let older = bech32::encode::<bech32::Bech32>(Hrp::parse("xch").unwrap(), &[7; 32]).unwrap();
        for address in [
            wrong_character,
            mixed_case,
            older,
            good[..40].to_owned(),
            String::new(),
            "xch1".into(),
            "ẍch1".into(),
        ] {
            assert_eq!(decode("xch", &address), Err(AddressError::Damaged { address }));
        }
    }

    #[test]
    fn a_puzzle_hash_of_another_length_is_refused() {
        let short = bech32::encode::<Bech32m>(Hrp::parse("xch").unwrap(), &[7; 31]).unwrap();
        assert_eq!(
            decode("xch", &short),
            Err(AddressError::WrongLength {
                address: short,
                got: 31
            })
        );
    }

    #[test]
    fn a_second_spelling_of_an_address_is_refused() {
        use bech32::primitives::iter::{ByteIterExt, Fe32IterExt};
        // The four bits that are left over after 32 bytes, set.
        let mut characters: Vec<bech32::Fe32> = [7; 32].iter().copied().bytes_to_fes().collect();
        let last = characters.pop().unwrap();
        characters.push(bech32::Fe32::try_from(last.to_u8() | 1).unwrap());
        let hrp = Hrp::parse("xch").unwrap();
        let address: String = characters.into_iter().with_checksum::<Bech32m>(&hrp).chars().collect();
        assert_eq!(decode("xch", &address), Err(AddressError::Damaged { address }));
    }

    #[test]
    fn a_prefix_that_cannot_be_one_is_refused() {
        assert_eq!(
            encode("", &PuzzleHash([7; 32])),
            Err(AddressError::BadPrefix { prefix: String::new() })
        );
    }
}
