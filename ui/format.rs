//! Numbers, times and texts as people read them. The first group prints what `chia farm summary` prints, digit for digit.

use std::fmt::Write as _;

use farmconsole::snapshot::PoolView;
use unicode_width::UnicodeWidthChar;

/// A size as the official software prints it: steps of 1024 from MiB on, three decimals.
pub(crate) fn chia_bytes(bytes: f64) -> String {
    if bytes.is_nan() || bytes < 0.0 {
        return "Invalid".to_owned();
    }
    let mut value = bytes / (1024.0 * 1024.0);
    let units = ["MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"];
    for (n, unit) in units.iter().enumerate() {
        if value < 1024.0 || n + 1 == units.len() {
            return format!("{value:.3} {unit}");
        }
        value /= 1024.0;
    }
    "Invalid".to_owned()
}

/// An effective size: `1.123 TiBe`.
pub(crate) fn chia_effective_bytes(bytes: f64) -> String {
    format!("{}e", chia_bytes(bytes))
}

/// Minutes as the official software prints a time span: the two largest units.
pub(crate) fn chia_minutes(minutes: i64) -> String {
    const UNITS: [(&str, i64); 6] = [
        ("year", 525_600),
        ("month", 43_800),
        ("week", 10_080),
        ("day", 1440),
        ("hour", 60),
        ("minute", 1),
    ];
    if minutes < 0 {
        return "Unknown".to_owned();
    }
    if minutes == 0 {
        return "Now".to_owned();
    }
    for (n, (unit, size)) in UNITS.iter().enumerate() {
        let count = minutes / size;
        if count == 0 {
            continue;
        }
        let mut text = plural(count.unsigned_abs(), unit);
        if let Some((next, next_size)) = UNITS.get(n + 1) {
            let rest = minutes % size / next_size;
            if rest > 0 {
                let _ = write!(text, " and {}", plural(rest.unsigned_abs(), next));
            }
        }
        return text;
    }
    "Unknown".to_owned()
}

/// Average seconds between two blocks on a public network, where the node has not said otherwise.
pub(crate) const BLOCK_SECONDS: f64 = 18.75;

/// When a win is expected where there is no plot.
pub(crate) const NO_WIN: &str = "Never (no plots)";

/// Minutes until a win is expected, as the official software computes them: share of the network space times the block
/// time. -1, which [`chia_minutes`] calls unknown, without a plot.
pub(crate) fn minutes_to_win(effective_bytes: f64, netspace_bytes: f64, block_seconds: f64) -> i64 {
    if netspace_bytes <= 0.0 {
        return 0;
    }
    let share = effective_bytes / netspace_bytes;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the official command truncates; huge spans saturate"
    )]
    let minutes = if share > 0.0 {
        (block_seconds / 60.0 / share) as i64
    } else {
        -1
    };
    minutes
}

/// Plots of a pool and what can be expected of them: `12, for 240 partials a day on average`.
pub(crate) fn pool_plots(pool: &PoolView) -> String {
    match pool.expected_partials_24h {
        _ if pool.plots == 0 => "none is connected that is made for it".to_owned(),
        Some(expected) => format!("{}, for {} on average", grouped(pool.plots), partials_a_day(expected)),
        None => grouped(pool.plots),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "never negative; saturates"
)]
fn partials_a_day(rate: f64) -> String {
    match rate {
        10.0.. => format!("{} partials a day", grouped(rate.round() as u64)),
        1.0.. => format!("{rate:.1} partials a day"),
        ..1e-4 => "no partial".to_owned(),
        _ => format!("one partial in {}", span((86_400.0 / rate) as u64)),
    }
}

/// `1 plot`, `3 plots`.
pub(crate) fn plural(count: u64, one: &str) -> String {
    if count == 1 {
        format!("1 {one}")
    } else {
        format!("{count} {one}s")
    }
}

/// `8,010`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 plot`, `8,010 plots`.
pub(crate) fn counted(count: u64, one: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{} {one}{ending}", grouped(count))
}

/// A time span in a few characters: `4 s`, `3 min`, `2 h 5 min`, `3 d 4 h`, `2 h`.
pub(crate) fn span(seconds: u64) -> String {
    let (large, small) = match seconds {
        0..60 => return format!("{seconds} s"),
        60..3600 => return format!("{} min", seconds / 60),
        3600..86_400 => ((seconds / 3600, "h"), (seconds % 3600 / 60, "min")),
        _ => ((seconds / 86_400, "d"), (seconds % 86_400 / 3600, "h")),
    };
    match small {
        (0, _) => format!("{} {}", large.0, large.1),
        (rest, unit) => format!("{} {} {rest} {unit}", large.0, large.1),
    }
}

/// A look-up time: `0.21 s`; a few milliseconds are said as such, because `0.00 s` says nothing.
pub(crate) fn lookup_time(ms: u32) -> String {
    if ms < 10 {
        format!("{ms} ms")
    } else {
        format!("{}.{:02} s", ms / 1000, ms % 1000 / 10)
    }
}

/// Text from outside made safe to show: what moves the cursor, cannot be seen, or takes more or fewer columns on some
/// terminal than on another, becomes a visible escape, so that no two names look alike and columns stay columns.
pub(crate) fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // A mark without a letter would sit on whatever is drawn before it.
    let mut room_for_marks = 0;
    for c in text.chars() {
        let is_mark = c.width() == Some(0);
        if c.is_control() || is_unseen(c) || is_mark && room_for_marks == 0 {
            out.extend(c.escape_default());
            room_for_marks = 0;
            continue;
        }
        out.push(c);
        room_for_marks = match (is_mark, c.is_alphanumeric()) {
            (true, _) => room_for_marks - 1,
            (false, true) => MOST_MARKS,
            (false, false) => 0,
        };
    }
    out
}

/// Marks on one letter that languages need; more hide the line above.
const MOST_MARKS: u32 = 3;

/// Characters that look like nothing or like a space, turn the direction of text, or only change how the one before is
/// drawn (parts of emoji), which terminals do not agree on.
const fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\u{a0}'
            | '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{1680}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{2000}'..='\u{200f}'
            | '\u{2028}'..='\u{202f}'
            | '\u{205f}'..='\u{206f}'
            | '\u{2800}'
            | '\u{3000}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{1f1e6}'..='\u{1f1ff}'
            | '\u{1f3fb}'..='\u{1f3ff}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Only ASCII: the few signs in our own sentences become plain ones, any other character an escape, so that names that
/// differ still do.
pub(crate) fn ascii(text: String) -> String {
    if text.is_ascii() {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_ascii() => out.push(c),
            '·' | '–' | '—' | '−' => out.push('-'),
            '×' => out.push('x'),
            '…' => out.push('~'),
            '→' => out.push('>'),
            '←' => out.push('<'),
            c => out.extend(c.escape_unicode()),
        }
    }
    out
}

/// Whether a locale, as `LANG` names it, has all characters.
pub(crate) fn is_utf8(locale: Option<&str>) -> bool {
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_print_as_the_official_software_prints_them() {
        for (bytes, text) in [
            (0.0, "0.000 MiB"),
            (1023.0, "0.001 MiB"),
            (1_048_576.0, "1.000 MiB"),
            (1_073_741_823.0, "1024.000 MiB"),
            (101_400_000_000.0, "94.436 GiB"),
            (1_099_511_627_776.0, "1.000 TiB"),
            (1e18, "888.178 PiB"),
            (1_152_921_504_606_846_976.0, "1.000 EiB"),
            (-5.0, "Invalid"),
        ] {
            assert_eq!(chia_bytes(bytes), text);
        }
    }

    #[test]
    fn spans_print_as_the_official_software_prints_them() {
        for (minutes, text) in [
            (-1, "Unknown"),
            (0, "Now"),
            (1, "1 minute"),
            (59, "59 minutes"),
            (60, "1 hour"),
            (61, "1 hour and 1 minute"),
            (1440, "1 day"),
            (1500, "1 day and 1 hour"),
            (10_080, "1 week"),
            (43_800, "1 month"),
            (525_600, "1 year"),
            (600_000, "1 year and 1 month"),
        ] {
            assert_eq!(chia_minutes(minutes), text);
        }
    }

    #[test]
    fn text_from_outside_cannot_move_the_cursor() {
        assert_eq!(safe("a\u{1b}[2Jb\nc\u{202e}d"), "a\\u{1b}[2Jb\\nc\\u{202e}d");
        assert_eq!(safe("plot-k32-ä.plot"), "plot-k32-ä.plot");
    }

    #[test]
    fn names_that_differ_look_different() {
        for (name, shown) in [
            ("zero\u{200b}width", "zero\\u{200b}width"),
            ("soft\u{ad}hyphen", "soft\\u{ad}hyphen"),
            ("nb\u{a0}sp", "nb\\u{a0}sp"),
            ("filler\u{3164}", "filler\\u{3164}"),
            ("alm\u{61c}", "alm\\u{61c}"),
            ("line\u{2028}", "line\\u{2028}"),
            ("tag\u{e0041}", "tag\\u{e0041}"),
            ("❤\u{fe0f}", "❤\\u{fe0f}"),
            ("👍\u{1f3fd}", "👍\\u{1f3fd}"),
            ("\u{1f1e9}\u{1f1ea}", "\\u{1f1e9}\\u{1f1ea}"),
            ("\u{301}a", "\\u{301}a"),
            ("-\u{301}", "-\\u{301}"),
            (
                "z\u{301}\u{302}\u{303}\u{304}\u{305}",
                "z\u{301}\u{302}\u{303}\\u{304}\\u{305}",
            ),
        ] {
            assert_eq!(safe(name), shown);
        }
        for readable in [
            "収穫機-プロット",
            "e\u{301}clair",
            "שלום",
            "مرحبا",
            "क्षि",
            "ลี",
            "한글",
            "🌾 barn",
        ] {
            assert_eq!(safe(readable), readable);
        }
    }

    #[test]
    fn time_spans_have_two_units_where_both_say_something() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (3_599, "59 min"),
            (3_600, "1 h"),
            (3_659, "1 h"),
            (3_660, "1 h 1 min"),
            (86_399, "23 h 59 min"),
            (2 * 86_400, "2 d"),
            (2 * 86_400 + 3_600, "2 d 1 h"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn no_look_up_takes_zero_seconds() {
        for (ms, text) in [
            (2, "2 ms"),
            (9, "9 ms"),
            (10, "0.01 s"),
            (213, "0.21 s"),
            (12_400, "12.40 s"),
        ] {
            assert_eq!(lookup_time(ms), text);
        }
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(8010), "8,010");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(
            [0, 1, 8010].map(|it| counted(it, "plot")),
            ["0 plots", "1 plot", "8,010 plots"]
        );
    }
}
