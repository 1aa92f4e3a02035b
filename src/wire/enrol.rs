//! What a machine that joins and the farmer say to each other, inside TLS: one request, one answer.
//!
//! Each is a length of four bytes and that many bytes. Both sides prove with an HMAC over the channel that they know the
//! secret of the token; the proofs themselves are made elsewhere. A renewal has the same form, without a token.

use super::codec::{Reader, Streamable};
use super::error::WireError;

/// What a machine that joins asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRequest {
    /// Which invitation it has; zeros in a renewal.
    pub invitation: [u8; 4],
    /// What the certificate is for.
    pub kind: JoinKind,
    /// Certificate request, PKCS#10 in DER. Only the key in it matters.
    pub request: Vec<u8>,
    /// Network that the settings of this machine are for; empty where there are none yet, and in a renewal.
    pub network: String,
    /// That it knows the secret; zeros in a renewal.
    pub proof: [u8; 32],
}

/// Which harvester uses the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    /// One of ours, which renews it.
    Own,
    /// An official one.
    Official,
}

/// What the farmer answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinAnswer {
    /// It belongs to the farm now.
    Granted(Grant),
    /// It does not.
    Refused {
        /// Why, as a fragment.
        reason: String,
    },
    /// It does not, because it is set to another network. Its invitation has not been used.
    OtherNetwork {
        /// The network that is farmed.
        farm: String,
    },
}

/// What a machine gets that joins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Its certificate, PEM.
    pub certificate: String,
    /// Certificate of the farm's server CA, PEM: whom to trust.
    pub server_ca: String,
    /// Name of the farm in certificates.
    pub farm_id: String,
    /// Its own name.
    pub name: String,
    /// The network that is farmed.
    pub network: String,
    /// That the farmer knows the secret too; zeros in a renewal.
    pub proof: [u8; 32],
}

/// Longest request, without its length.
pub const MAX_JOIN_REQUEST: usize = 9 << 10;

/// Longest answer, without its length.
pub const MAX_JOIN_ANSWER: usize = 64 << 10;

impl Streamable for JoinKind {
    const MIN_BYTES: usize = 1;

    fn stream(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Own => 0,
            Self::Official => 1,
        });
    }

    fn parse(input: &mut Reader<'_>) -> Result<Self, WireError> {
        // Two kinds are a truth value.
        bool::parse(input).map(|official| if official { Self::Official } else { Self::Own })
    }
}

impl Streamable for JoinRequest {
    const MIN_BYTES: usize = 4 + 1 + 4 + 4 + 32;

    fn stream(&self, out: &mut Vec<u8>) {
        self.invitation.stream(out);
        self.kind.stream(out);
        self.request.stream(out);
        self.network.stream(out);
        self.proof.stream(out);
    }

    fn parse(input: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            invitation: Streamable::parse(input)?,
            kind: Streamable::parse(input)?,
            request: Streamable::parse(input)?,
            network: Streamable::parse(input)?,
            proof: Streamable::parse(input)?,
        })
    }
}

impl Streamable for Grant {
    const MIN_BYTES: usize = 5 * 4 + 32;

    fn stream(&self, out: &mut Vec<u8>) {
        for text in [
            &self.certificate,
            &self.server_ca,
            &self.farm_id,
            &self.name,
            &self.network,
        ] {
            text.stream(out);
        }
        self.proof.stream(out);
    }

    fn parse(input: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            certificate: Streamable::parse(input)?,
            server_ca: Streamable::parse(input)?,
            farm_id: Streamable::parse(input)?,
            name: Streamable::parse(input)?,
            network: Streamable::parse(input)?,
            proof: Streamable::parse(input)?,
        })
    }
}

impl Streamable for JoinAnswer {
    const MIN_BYTES: usize = 5;

    fn stream(&self, out: &mut Vec<u8>) {
        match self {
            Self::Refused { reason } => {
                out.push(0);
                reason.stream(out);
            }
            Self::Granted(grant) => {
                out.push(1);
                grant.stream(out);
            }
            Self::OtherNetwork { farm } => {
                out.push(2);
                farm.stream(out);
            }
        }
    }

    fn parse(input: &mut Reader<'_>) -> Result<Self, WireError> {
        let at = input.at();
        match u8::parse(input)? {
            0 => Ok(Self::Refused {
                reason: Streamable::parse(input)?,
            }),
            1 => Streamable::parse(input).map(Self::Granted),
            2 => Ok(Self::OtherNetwork {
                farm: Streamable::parse(input)?,
            }),
            got => Err(WireError::UnknownAnswer { at, got }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_answers_come_back_as_they_were_and_nothing_else_does() {
        let request = JoinRequest {
            invitation: [1, 2, 3, 4],
            kind: JoinKind::Official,
            request: vec![9; 300],
            network: "mainnet".to_owned(),
            proof: [7; 32],
        };
        let bytes = request.to_bytes();
        assert_eq!(JoinRequest::from_bytes(&bytes).unwrap(), request);
        let grant = Grant {
            certificate: "a".to_owned(),
            server_ca: "b".to_owned(),
            farm_id: "c".to_owned(),
            name: "d".to_owned(),
            network: "e".to_owned(),
            proof: [1; 32],
        };
        let refused = JoinAnswer::Refused {
            reason: "no".to_owned(),
        };
        let elsewhere = JoinAnswer::OtherNetwork { farm: "e".to_owned() };
        for answer in [JoinAnswer::Granted(grant), refused, elsewhere] {
            assert_eq!(JoinAnswer::from_bytes(&answer.to_bytes()).unwrap(), answer);
        }
        for length in 0..bytes.len() {
            assert!(JoinRequest::from_bytes(&bytes[..length]).is_err());
        }
        assert!(JoinRequest::from_bytes(&[bytes, vec![0]].concat()).is_err());
    }
}
