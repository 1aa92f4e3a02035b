//! What is wrong: typed incidents that open once, name the machine, and close by themselves.
//!
//! [`AlarmKind`] is what can be wrong; what one is about and how bad it is, and what people read of it, have files of their
//! own. Here is what surrounds an incident: when it opened and closed, and what people have said about it.

mod identity;
mod kind;
mod words;

use serde::{Deserialize, Serialize};

pub use kind::{AlarmKind, OwnerNeed, PlotNftLeft, RewardTarget, Severity};
pub use words::CHIAS_CA;
pub(super) use words::{count, span};

/// An alarm as it is shown: open, or closed and kept for the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmView {
    /// Number since start; what `acknowledge` names.
    pub number: u64,
    /// What is wrong.
    pub kind: AlarmKind,
    /// How bad.
    pub severity: Severity,
    /// The sentence, for readers that do not know the kind.
    pub text: String,
    /// What to do.
    pub remedy: String,
    /// Opened, unix milliseconds.
    pub opened_at_unix_ms: u64,
    /// Last time its numbers changed, unix milliseconds.
    pub updated_at_unix_ms: u64,
    /// Closed, unix milliseconds; `None` while open.
    pub closed_at_unix_ms: Option<u64>,
    /// A person has seen it.
    pub acknowledged: bool,
    /// A person does not want to be told of it for now.
    #[serde(default)]
    pub silenced: bool,
    /// It was open when that run of the farmer ended, so that nobody knows when it was over, or whether it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut_short: bool,
}

/// Alarms that nobody is to be told of for a while. They are still shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Silence {
    /// Only of this rule ([`AlarmKind::rule`]); `None` for all.
    pub rule: Option<String>,
    /// Only of this machine ([`AlarmKind::machine`]); `None` for all.
    pub machine: Option<String>,
    /// When it ends, unix milliseconds.
    pub until_unix_ms: u64,
    /// For how long it was wanted, seconds; 0 if that is not known.
    #[serde(default, skip_serializing_if = "is_unknown")]
    pub for_s: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_unknown(for_s: &u64) -> bool {
    *for_s == 0
}

impl Silence {
    /// Whether it is about this alarm, at any time.
    #[must_use]
    pub fn covers(&self, kind: &AlarmKind) -> bool {
        self.rule.as_ref().is_none_or(|rule| *rule == kind.rule())
            && (self.machine.is_none() || self.machine == kind.machine())
    }
}

/// What people have said about alarms, which outlives the farmer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmMemory {
    /// What is silenced.
    #[serde(default)]
    pub silences: Vec<Silence>,
    /// Open incidents that a person has seen.
    #[serde(default)]
    pub seen: Vec<SeenIncident>,
}

/// An open incident that a person has seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenIncident {
    /// Its [`AlarmKind::incident`].
    pub incident: String,
    /// When it opened, unix milliseconds.
    pub opened_at_unix_ms: u64,
}
