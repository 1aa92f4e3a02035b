//! What can be asked of a farmer about its harvesters and their certificates.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::config::{HarvesterName, LegacyCa};
use crate::keys::Passphrase;
use crate::registry::Member;
use crate::snapshot::RefusalView;

/// Whoever carries out what is asked about the fleet.
pub(crate) trait AnswersFleet: fmt::Debug + Send + Sync {
    /// Carries out an order. Reads and writes files.
    fn answer(&self, ask: FleetAsk) -> Result<FleetAnswer, String>;
}

/// A hold on the fleet of a running farm.
#[derive(Clone, Debug)]
pub(crate) struct FleetHandle(pub(crate) Arc<dyn AnswersFleet>);

impl FleetHandle {
    /// Carries out an order.
    pub(super) async fn ask(&self, ask: FleetAsk) -> Result<FleetAnswer, String> {
        let fleet = Arc::clone(&self.0);
        let answered = tokio::task::spawn_blocking(move || fleet.answer(ask)).await;
        answered.unwrap_or_else(|_| Err("an error in this program".to_owned()))
    }
}

/// A question or an order about the fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FleetAsk {
    /// Who belongs to the farm, and who is invited.
    Members,
    /// Who was refused lately.
    Refused,
    /// Open an invitation.
    Invite {
        /// For whom.
        name: HarvesterName,
        /// For how long, seconds.
        ttl_seconds: u64,
        /// From where it may be used, as `10.0.0.0/24`.
        from: Option<String>,
        /// Where the farmer is; if none are given, as it finds itself.
        addresses: Vec<String>,
    },
    /// Sign a certificate request that a person brought.
    SignRequest {
        /// For whom.
        name: HarvesterName,
        /// The request, PEM.
        request: String,
    },
    /// Take all certificates of a harvester back.
    Revoke {
        /// Name, as the registry or the farm has it, beginning of a fingerprint, or address.
        who: String,
    },
    /// Give a harvester a name.
    Rename {
        /// As in [`FleetAsk::Revoke`].
        who: String,
        /// Its new name.
        name: HarvesterName,
    },
    /// Let a harvester in that waits for it.
    Approve {
        /// Name, fingerprint or address.
        who: String,
        /// A name for it.
        name: Option<HarvesterName>,
    },
    /// Write a note on a harvester.
    Note {
        /// As in [`FleetAsk::Revoke`].
        who: String,
        /// What to write.
        note: String,
    },
    /// From now on certificates of Chia's private CA are worth this. The settings file is the caller's business.
    SetLegacy {
        /// What.
        legacy: LegacyCa,
    },
    /// Make new authorities; the old ones count too until that is finished.
    Rotate,
    /// What the old authorities signed counts no more.
    FinishRotation,
    /// Things can be signed for a while, though the keys of the farm's authorities are locked.
    UnlockCa {
        /// The passphrase.
        passphrase: SecretText,
    },
}

impl FleetAsk {
    /// Which harvester of the farm it is about, if it is about one. Who waits to be let in is none yet.
    pub(super) const fn who_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::Revoke { who } | Self::Rename { who, .. } | Self::Note { who, .. } => Some(who),
            Self::Members
            | Self::Refused
            | Self::Approve { .. }
            | Self::Invite { .. }
            | Self::SignRequest { .. }
            | Self::SetLegacy { .. }
            | Self::Rotate
            | Self::FinishRotation
            | Self::UnlockCa { .. } => None,
        }
    }

    /// Whether it changes something.
    #[must_use]
    pub const fn changes(&self) -> bool {
        !matches!(self, Self::Members | Self::Refused)
    }
}

/// A passphrase on its way. Wiped when dropped; `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes it exactly as it is.
    #[must_use]
    pub const fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// To unlock something with.
    #[must_use]
    pub fn into_passphrase(self) -> Passphrase {
        Passphrase::new(self.0)
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(not shown)")
    }
}

/// What a farmer answers to a [`FleetAsk`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FleetAnswer {
    /// To [`FleetAsk::Members`].
    Members(FleetView),
    /// To [`FleetAsk::Refused`], the last one first.
    Refused(Vec<RefusalView>),
    /// To [`FleetAsk::Invite`]: the token. A secret.
    Invited {
        /// It.
        token: String,
        /// For how long it is good, seconds.
        ttl_seconds: u64,
    },
    /// To [`FleetAsk::SignRequest`].
    Signed {
        /// The certificate, PEM.
        certificate: String,
        /// Whom the harvester has to trust, PEM.
        server_ca: String,
    },
    /// Done.
    Done {
        /// With whom, as people call it; empty where it is about nobody.
        who: String,
    },
}

/// The registry, and what else is known of the farm's certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetView {
    /// Name of the farm in certificates.
    pub farm_id: String,
    /// What certificates of Chia's private CA are worth.
    pub legacy: LegacyCa,
    /// Whether old authorities still count.
    pub rotating: bool,
    /// Harvesters whose certificate, or the one they use, is of the old authorities, while those still count.
    #[serde(default)]
    pub not_followed: Vec<String>,
    /// Whether the keys of the farm's authorities are locked, so that nothing can be signed.
    #[serde(default)]
    pub ca_locked: bool,
    /// Everybody, in the order they came.
    pub members: Vec<Member>,
    /// Who is invited and has not come, and for how many seconds still.
    pub invited: Vec<(HarvesterName, u64)>,
}
