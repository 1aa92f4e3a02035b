//! What is known of the filter of one harvester: how its counts of eligible plots compare with ours.

use super::luck::FilterHours;
use crate::clock::Now;
use crate::snapshot::{EligibilityView, EligibleView};

/// What is known of the filter of one harvester.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Eligibility {
    /// Against chance.
    pub(super) filter: FilterHours,
    pub(super) answers: u64,
    pub(super) compared: u64,
    pub(super) differed: u64,
    pub(super) differs_in_a_row: u64,
    pub(super) not_compared: u64,
    pub(super) last: Option<EligibleView>,
}

impl Eligibility {
    /// As it is shown.
    pub(super) fn view(&self, now: Now) -> EligibilityView {
        EligibilityView {
            filter_24h: self.filter.band(now),
            compared: self.compared,
            differed: self.differed,
            differs_in_a_row: self.differs_in_a_row,
            not_compared: self.not_compared,
            last: self.last,
        }
    }
}
