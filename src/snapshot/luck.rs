//! Luck: what came against what was to be expected, with a band that says whether the difference is chance.
//!
//! How many plots pass the filter and how many proofs are found is drawn anew at every signage point, so over a day the
//! sum lies in a narrow band. Below it somebody is unlucky; far below it something is broken.

use serde::{Deserialize, Serialize};

/// Effort, luck and expected time to win.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LuckView {
    /// Seconds until the next block, on average, with the plots that are connected at the difficulty of the newest signage
    /// point; `None` without plots or without a signage point.
    pub expected_time_to_win_s: Option<f64>,
    /// Wins that were to be expected of all answers since the last win: 1.0 is 100 %. Time in which nobody answered does
    /// not count. Since `counted_since_unix_ms` if there was no win.
    pub effort: f64,
    /// When counting began, unix milliseconds: the first start with this history, or this start without one.
    pub counted_since_unix_ms: u64,
    /// Last block signed, unix milliseconds; also of earlier runs when there is a history.
    pub last_win_unix_ms: Option<u64>,
    /// Blocks signed in the last 24 hours.
    pub won_24h: u64,
    /// Blocks signed since `counted_since_unix_ms`.
    pub won_ever: u64,
    /// v1 plots that passed the filter in the last 24 hours.
    pub filter_24h: LuckBand,
    /// Proofs good enough for a block in the last 24 hours.
    pub proofs_24h: LuckBand,
}

/// A count against what was to be expected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LuckBand {
    /// What came.
    pub got: u64,
    /// What was to be expected.
    pub expected: f64,
    /// `got` lies at or above this with 97.5 % probability when nothing is wrong.
    pub low: f64,
    /// `got` lies at or below this with 97.5 % probability.
    pub high: f64,
    /// In a word.
    pub verdict: LuckVerdict,
}

/// Luck in a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LuckVerdict {
    /// Too little was to be expected for the absence of it to mean anything.
    #[default]
    TooEarly,
    /// Above the band.
    Lucky,
    /// Within the band.
    Normal,
    /// Below the band.
    Unlucky,
    /// So far below that chance explains it less than once in a million times.
    Broken,
}

impl LuckVerdict {
    /// As a person reads it; the question mark belongs to it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::TooEarly => "too early to tell",
            Self::Lucky => "lucky",
            Self::Normal => "normal",
            Self::Unlucky => "unlucky",
            Self::Broken => "broken?",
        }
    }
}

impl LuckBand {
    /// Judges a sum of many independent chances: `expected` is the sum of their probabilities, `variance` that of
    /// p × (1 − p).
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of a day are far below 2^52")]
    pub fn judge(got: u64, expected: f64, variance: f64) -> Self {
        let (low, high, verdict) = if variance >= NORMAL_FROM || expected > POISSON_UP_TO {
            let deviation = variance.max(0.25).sqrt();
            let z = (got as f64 - expected) / deviation;
            let verdict = match z {
                z if z <= -BROKEN_Z => LuckVerdict::Broken,
                z if z < -BAND_Z => LuckVerdict::Unlucky,
                z if z > BAND_Z => LuckVerdict::Lucky,
                _ => LuckVerdict::Normal,
            };
            let band = BAND_Z * deviation;
            ((expected - band).max(0.0), expected + band, verdict)
        } else {
            judge_few(got, expected)
        };
        Self {
            got,
            expected: rounded(expected),
            low: rounded(low),
            high: rounded(high),
            verdict,
        }
    }

    /// What came as a share of what was to be expected, 1.0 for exactly as much; `None` if nothing was.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of a day are far below 2^52")]
    pub fn ratio(&self) -> Option<f64> {
        (self.expected > 0.0).then(|| self.got as f64 / self.expected)
    }
}

/// The same by the Poisson distribution, which is exact enough where few are expected and errs towards "normal".
#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn judge_few(got: u64, expected: f64) -> (f64, f64, LuckVerdict) {
    let (mut below, mut term, mut count) = (0.0, (-expected).exp(), 0_u64);
    // Sums of the probabilities of fewer than `got`, and of at most `got`.
    let (mut fewer, mut at_most) = (0.0, 0.0);
    let (mut low, mut high) = (None, None);
    while high.is_none() || count <= got {
        if count == got {
            fewer = below;
        }
        below += term;
        if count == got {
            at_most = below;
        }
        if low.is_none() && below > TAIL {
            low = Some(count as f64);
        }
        if high.is_none() && (below >= 1.0 - TAIL || count > MOST_COUNTED) {
            high = Some(count as f64);
        }
        if count > MOST_COUNTED {
            // Nobody who expects a few hundred gets that many by chance.
            (fewer, at_most) = (1.0, 1.0);
            break;
        }
        count += 1;
        term *= expected / count as f64;
    }
    let verdict = if at_most <= BROKEN_TAIL {
        LuckVerdict::Broken
    } else if at_most <= TAIL {
        LuckVerdict::Unlucky
    } else if got > 0 && 1.0 - fewer <= TAIL {
        LuckVerdict::Lucky
    } else if (-expected).exp() > TAIL {
        LuckVerdict::TooEarly
    } else {
        LuckVerdict::Normal
    };
    (low.unwrap_or_default(), high.unwrap_or_default(), verdict)
}

/// Thousandths are more than anybody reads, and survive JSON.
fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

/// The filter of one harvester: is it as lucky as it should be, and does it say what we computed ourselves?
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EligibilityView {
    /// v1 plots that passed the filter in the last 24 hours, as the harvester said, against chance.
    pub filter_24h: LuckBand,
    /// Answers whose count of eligible plots was compared with our own, computed from its plot ids: all of a small farm, one
    /// in some of a large one, more after one that differed.
    pub compared: u64,
    /// Of those, answers that said something else.
    pub differed: u64,
    /// How many of the last answers in a row did.
    pub differs_in_a_row: u64,
    /// Answers that were not compared: its list of plots was changing, nodes did not agree about the signage point, or it
    /// has v2 plots of which it does not tell enough (before version 0.0.38).
    pub not_compared: u64,
    /// The newest comparison.
    pub last: Option<EligibleView>,
}

/// One answer against our own count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EligibleView {
    /// Unix milliseconds.
    pub at_unix_ms: u64,
    /// Signage point index.
    pub signage_point_index: u8,
    /// Eligible plots by our own count.
    pub expected: u64,
    /// As the harvester said.
    pub passed: u64,
}

/// Counts of a quarter of an hour, from which everything about 24 hours is made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct QuarterCounts {
    /// Its beginning, unix milliseconds: a multiple of 900,000.
    pub start_unix_ms: u64,
    /// Signage points that came.
    pub signage_points: u64,
    /// Signage points that did not.
    pub missed: u64,
    /// Answers of harvesters.
    pub answers: u64,
    /// v1 plots that passed the filter.
    pub passed: u64,
    /// How many were to be expected.
    pub expected_passed: f64,
    /// Variance of that.
    pub variance: f64,
    /// Proofs good enough for a block.
    pub proofs: u64,
    /// How many were to be expected.
    pub expected_proofs: f64,
    /// Blocks signed.
    pub blocks_signed: u64,
}

/// What a farm remembers of its luck over a restart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FarmRecord {
    /// When counting began, unix milliseconds.
    pub counted_since_unix_ms: u64,
    /// As [`LuckView::effort`].
    pub effort: f64,
    /// Last block signed, unix milliseconds.
    pub last_win_unix_ms: Option<u64>,
    /// Blocks signed so far.
    pub won_ever: u64,
    /// Quarters of an hour, oldest first: those of the last 24 hours, or those that have changed.
    pub quarters: Vec<QuarterCounts>,
}

/// From this variance on a sum is as good as normally distributed.
const NORMAL_FROM: f64 = 100.0;

/// Up to this mean the Poisson distribution is summed up term by term.
const POISSON_UP_TO: f64 = 500.0;

/// Terms that are summed up at most.
const MOST_COUNTED: u64 = 5_000;

/// Probability of being below the band by chance, and of being above it.
const TAIL: f64 = 0.025;
const BAND_Z: f64 = 1.96;

/// Probability below which chance is no explanation.
const BROKEN_TAIL: f64 = 1e-6;
const BROKEN_Z: f64 = 4.753;

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(got: u64, expected: f64) -> LuckVerdict {
        LuckBand::judge(got, expected, expected * 255.0 / 256.0).verdict
    }

    #[test]
    fn large_counts_are_judged_by_their_deviation() {
        // 8,010 plots, filter 1/256, 9,216 signage points: 288,360 ± 537.
        let mean = 8_010.0 * 9_216.0 / 256.0;
        for (got, expected) in [
            (288_360, LuckVerdict::Normal),
            (287_400, LuckVerdict::Normal),
            (287_200, LuckVerdict::Unlucky),
            (289_500, LuckVerdict::Lucky),
            (285_000, LuckVerdict::Broken),
        ] {
            assert_eq!(verdict(got, mean), expected, "{got}");
        }
        let band = LuckBand::judge(288_360, mean, mean * 255.0 / 256.0);
        assert!(band.low < 287_400.0 && band.low > 287_200.0 && band.ratio() == Some(1.0));
    }

    #[test]
    fn small_counts_are_judged_exactly() {
        for (got, mean, expected) in [
            (0, 0.0, LuckVerdict::TooEarly),
            (0, 0.3, LuckVerdict::TooEarly),
            (1, 0.3, LuckVerdict::TooEarly),
            (2, 0.2, LuckVerdict::Lucky),
            (0, 3.6, LuckVerdict::TooEarly),
            (0, 3.7, LuckVerdict::Unlucky),
            (0, 13.0, LuckVerdict::Unlucky),
            (0, 14.0, LuckVerdict::Broken),
            (10, 10.0, LuckVerdict::Normal),
            (100_000, 10.0, LuckVerdict::Lucky),
        ] {
            assert_eq!(verdict(got, mean), expected, "{got} of {mean}");
        }
        let band = LuckBand::judge(10, 10.0, 10.0);
        assert_eq!((band.low, band.high), (4.0, 17.0), "the quantiles of a table");
    }

    #[test]
    fn certainty_has_no_band() {
        // A filter of 0 bits lets every plot pass.
        assert_eq!(LuckBand::judge(1000, 1000.0, 0.0).verdict, LuckVerdict::Normal);
        assert_eq!(LuckBand::judge(900, 1000.0, 0.0).verdict, LuckVerdict::Broken);
    }
}
