//! Lengths of time as people write them.

use crate::format::plural;

/// Reads `90s`, `30m`, `2h`, `7d`, or seconds.
pub(super) fn time_span(text: &str) -> Result<std::time::Duration, String> {
    let wrong = || "expected a time span such as 90s, 30m, 2h or 7d".to_owned();
    let (digits, unit) = match text.strip_suffix(['s', 'm', 'h', 'd']) {
        Some(digits) => (digits, &text[digits.len()..]),
        None => (text, "s"),
    };
    let seconds = match unit {
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => 1,
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number
        .checked_mul(seconds)
        .filter(|seconds| (1..=LONGEST).contains(seconds))
        .map(std::time::Duration::from_secs)
        .ok_or_else(|| format!("expected from 1 s to {}", plural(LONGEST / 86_400, "day")))
}

/// Ten years, in seconds.
const LONGEST: u64 = 3650 * 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_spans_have_units_and_bounds() {
        let seconds = |text: &str| time_span(text).ok().map(|span| span.as_secs());
        assert_eq!(seconds("90s"), Some(90));
        assert_eq!(seconds("90"), Some(90));
        assert_eq!(
            (seconds("30m"), seconds("2h"), seconds("7d")),
            (Some(1800), Some(7200), Some(604_800))
        );
        for text in ["", "h", "0s", "-1h", "1w", "99999999999999999999d", "4000d"] {
            assert_eq!(seconds(text), None, "{text:?}");
        }
    }
}
