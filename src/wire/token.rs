//! The one line that lets a machine join a farm: `fc1:10.0.0.5:8447:7QK4…`.
//!
//! It carries the public key of the farm's server CA, so that the machine that joins knows its farmer from the first
//! byte on, and a secret that it proves to know and never sends. Addresses are hints: whoever answers there without
//! the key is not talked to.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use data_encoding::{Encoding, Specification};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// An invitation, as it is written on one line.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Where the farmer is, as `10.0.0.5:8447`; 1 to [`Token::MAX_ADDRESSES`].
    pub addresses: Vec<String>,
    /// Which invitation: no secret.
    pub id: [u8; 4],
    /// What only the farmer and the invited machine know.
    pub secret: TokenSecret,
    /// Key of the farm's server CA, a compressed P-256 point.
    pub ca_key: [u8; 33],
}

/// What is proved to be known. Wiped when dropped, never shown but in the token itself.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct TokenSecret(pub [u8; 16]);

/// Why a text is no token. Says nothing of what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It does not begin as one.
    #[error("a token begins with {PREFIX}")]
    NotAToken,
    /// It has no addresses, too many, or one that cannot be.
    #[error("the token has no usable address of the farmer")]
    BadAddress,
    /// Something is missing, too much, or mistyped.
    #[error("the token is not complete or has a slip in it: copy all of it again")]
    Damaged,
}

impl Token {
    /// Addresses that one token holds at most.
    pub const MAX_ADDRESSES: usize = 4;
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses = self.addresses.join(",");
        let mut body = Vec::with_capacity(BODY + CHECKSUM);
        body.extend(self.id);
        body.extend(self.secret.0);
        body.extend(self.ca_key);
        body.extend(checksum(&addresses, &body));
        let text = CROCKFORD.encode(&body);
        body.zeroize();
        write!(f, "{PREFIX}{addresses}:{text}")
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let rest = text.strip_prefix(PREFIX).ok_or(TokenError::NotAToken)?;
        if text.len() > MAX_TEXT {
            return Err(TokenError::Damaged);
        }
        let (addresses, body) = rest.rsplit_once(':').ok_or(TokenError::Damaged)?;
        let mut bytes = CROCKFORD.decode(body.as_bytes()).map_err(|_| TokenError::Damaged)?;
        let parsed = parse(addresses, &bytes);
        bytes.zeroize();
        parsed
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("addresses", &self.addresses)
            .field("id", &hex::encode(self.id))
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret")
    }
}

fn parse(addresses: &str, bytes: &[u8]) -> Result<Token, TokenError> {
    let (body, sum) = bytes.split_at_checked(BODY).ok_or(TokenError::Damaged)?;
    if sum != checksum(addresses, body) {
        return Err(TokenError::Damaged);
    }
    let list: Vec<String> = addresses.split(',').map(str::to_owned).collect();
    if list.len() > Token::MAX_ADDRESSES || !list.iter().all(|it| is_address(it)) {
        return Err(TokenError::BadAddress);
    }
    let (id, body) = body.split_first_chunk().ok_or(TokenError::Damaged)?;
    let (secret, body) = body.split_first_chunk().ok_or(TokenError::Damaged)?;
    let ca_key: [u8; 33] = body.try_into().map_err(|_| TokenError::Damaged)?;
    if !matches!(ca_key[0], 2 | 3) {
        return Err(TokenError::Damaged);
    }
    Ok(Token {
        addresses: list,
        id: *id,
        secret: TokenSecret(*secret),
        ca_key,
    })
}

/// Printable, with something before and a port after the last colon. What it means is the dialler's business.
fn is_address(text: &str) -> bool {
    let is_host = |host: &str| !host.is_empty() && host.bytes().all(|b| b.is_ascii_graphic());
    let parts = text.rsplit_once(':');
    parts.is_some_and(|(host, port)| is_host(host) && port.parse().is_ok_and(|port: u16| port > 0))
}

/// Slips of the pen are found before anything is dialled. No protection against anybody.
fn checksum(addresses: &str, body: &[u8]) -> [u8; CHECKSUM] {
    let digest = Sha256::new().chain_update(addresses).chain_update(body).finalize();
    let mut sum = [0; CHECKSUM];
    sum.copy_from_slice(&digest[..CHECKSUM]);
    sum
}

const PREFIX: &str = "fc1:";
const BODY: usize = 4 + 16 + 33;
const CHECKSUM: usize = 4;

/// Four long host names, and the rest.
const MAX_TEXT: usize = 1_300;

/// Crockford's base 32: no letters that are taken for digits, and those that people write are read.
#[expect(clippy::expect_used, reason = "a constant; every test of tokens passes through here")]
static CROCKFORD: LazyLock<Encoding> = LazyLock::new(|| {
    let mut spec = Specification::new();
    spec.symbols.push_str("0123456789ABCDEFGHJKMNPQRSTVWXYZ");
    spec.translate.from.push_str("abcdefghjkmnpqrstvwxyzoOiIlL");
    spec.translate.to.push_str("ABCDEFGHJKMNPQRSTVWXYZ001111");
    spec.check_trailing_bits = true;
    spec.encoding().expect("a good specification")
});

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        let mut ca_key = [7; 33];
        ca_key[0] = 3;
        Token {
            addresses: vec!["10.0.0.5:8447".to_owned(), "[fd00::1]:8447".to_owned()],
            id: [1, 2, 3, 4],
            secret: TokenSecret([9; 16]),
            ca_key,
        }
    }

    #[test]
    fn token_is_one_word_that_survives_careless_copying() {
        let text = token().to_string();
        assert!(text.starts_with("fc1:10.0.0.5:8447,[fd00::1]:8447:") && !text.contains(char::is_whitespace));
        let (addresses, body) = text.rsplit_once(':').unwrap();
        let careless = format!(
            "  {addresses}:{}\n",
            body.to_lowercase().replace('0', "o").replace('1', "l")
        );
        assert_eq!(careless.parse::<Token>().unwrap(), token());
    }

    #[test]
    fn every_slip_is_found_before_anything_is_dialled() {
        let text = token().to_string();
        for at in 4..text.len() {
            let mut slip = text.clone().into_bytes();
            slip[at] = if slip[at] == b'7' { b'8' } else { b'7' };
            let slip = String::from_utf8(slip).unwrap();
            assert!(slip.parse::<Token>().is_err(), "{slip}");
            assert!(text[..at].parse::<Token>().is_err());
        }
        assert_eq!("fc2:x".parse::<Token>(), Err(TokenError::NotAToken));
    }

    #[test]
    fn secret_is_in_no_debug_output() {
        let shown = format!("{:?}", token());
        assert!(shown.contains("01020304") && !shown.contains('9'), "{shown}");
    }
}
