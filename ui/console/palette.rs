//! Colours by meaning, from a file: those of `config/themes/` are built in, and anybody can write another.

use farmconsole::config::{ThemeColor, read_theme};
use ratatui::style::Color;

use super::tone::Tone;
use crate::exit::{Failure, Status};

/// A colour for terminals that show all, and its twin for those that have sixteen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ink {
    pub(super) full: Color,
    pub(super) sixteen: Color,
}

/// The colours of all meanings; those without one have the terminal's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Palette {
    dim: Option<Ink>,
    border: Option<Ink>,
    title: Option<Ink>,
    accent: Option<Ink>,
    good: Option<Ink>,
    warn: Option<Ink>,
    bad: Option<Ink>,
    win: Option<Ink>,
    /// Ground of the selected row.
    pub(super) selected: Option<Ink>,
    /// Letters on a patch.
    pub(super) patch: Option<Ink>,
}

/// Name and text of every built-in theme.
const BUILT_IN: [(&str, &str); 5] = [
    ("dark", include_str!("../../config/themes/dark.yaml")),
    ("light", include_str!("../../config/themes/light.yaml")),
    ("mono", include_str!("../../config/themes/mono.yaml")),
    ("high-contrast", include_str!("../../config/themes/high-contrast.yaml")),
    ("colour-blind", include_str!("../../config/themes/colour-blind.yaml")),
];

/// What has a colour.
const MEANINGS: [&str; 10] = [
    "dim", "border", "title", "accent", "good", "warn", "bad", "win", "selected", "patch",
];

/// The colours that every terminal has, by name.
const SIXTEEN: [(&str, Color); 17] = [
    ("black", Color::Black),
    ("red", Color::Red),
    ("green", Color::Green),
    ("yellow", Color::Yellow),
    ("blue", Color::Blue),
    ("magenta", Color::Magenta),
    ("cyan", Color::Cyan),
    ("gray", Color::Gray),
    ("dark-gray", Color::DarkGray),
    ("light-red", Color::LightRed),
    ("light-green", Color::LightGreen),
    ("light-yellow", Color::LightYellow),
    ("light-blue", Color::LightBlue),
    ("light-magenta", Color::LightMagenta),
    ("light-cyan", Color::LightCyan),
    ("white", Color::White),
    // Only the selected row is reversed; elsewhere it is the terminal's own colour.
    ("reversed", Color::Reset),
];

impl Palette {
    /// A built-in theme, or one in a file.
    ///
    /// # Errors
    /// When there is no such theme, or what is wrong with the file.
    pub(crate) fn named(name: &str) -> Result<Self, Failure> {
        if let Some((_, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) {
            return Self::parse(text).map_err(|why| Failure::new(Status::Failed, format!("read theme {name}: {why}")));
        }
        let failure = |why: &str| Failure::new(Status::Usage, format!("use theme {name}: {why}"));
        let text = std::fs::read_to_string(name).map_err(|error| {
            let names = BUILT_IN.map(|(name, _)| name);
            failure(&error.to_string()).hint(format!("built in are {}; anything else is a file", names.join(", ")))
        })?;
        Self::parse(&text).map_err(|why| {
            let names = SIXTEEN.map(|(name, _)| name);
            failure(&why).hint(format!(
                "a line is as `good: [\"#57c26e\", green]`; meanings are {}; names are {}",
                MEANINGS.join(", "),
                names.join(", ")
            ))
        })
    }

    /// The one whose name is known to be built in.
    pub(super) fn built_in(name: &str) -> Self {
        let text = BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text);
        // Every built-in theme is read by a test.
        text.and_then(|text| Self::parse(text).ok()).unwrap_or_default()
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut palette = Self::default();
        for (meaning, color) in read_theme(text).map_err(|error| error.to_string())? {
            let place = match meaning.as_str() {
                "dim" => &mut palette.dim,
                "border" => &mut palette.border,
                "title" => &mut palette.title,
                "accent" => &mut palette.accent,
                "good" => &mut palette.good,
                "warn" => &mut palette.warn,
                "bad" => &mut palette.bad,
                "win" => &mut palette.win,
                "selected" => &mut palette.selected,
                "patch" => &mut palette.patch,
                _ => return Err(format!("nothing has the meaning `{meaning}`")),
            };
            *place = Some(ink(&meaning, &color)?);
        }
        Ok(palette)
    }

    /// The colour of a meaning.
    pub(super) const fn ink(&self, tone: Tone) -> Option<Ink> {
        match tone {
            Tone::Plain => None,
            Tone::Dim => self.dim,
            Tone::Border => self.border,
            Tone::Title => self.title,
            Tone::Accent => self.accent,
            Tone::Good => self.good,
            Tone::Warn => self.warn,
            Tone::Bad => self.bad,
            Tone::Win => self.win,
        }
    }
}

fn ink(meaning: &str, ThemeColor(full, sixteen): &ThemeColor) -> Result<Ink, String> {
    let number = full.strip_prefix('#').filter(|hex| hex.len() == 6);
    let number = number.and_then(|hex| u32::from_str_radix(hex, 16).ok());
    let [_, r, g, b] = number
        .ok_or_else(|| format!("{meaning}: {full} is no #rrggbb"))?
        .to_be_bytes();
    let known = SIXTEEN.iter().find(|(name, _)| name == sixteen);
    let (_, sixteen) = known.ok_or_else(|| format!("{meaning}: no terminal has a colour called {sixteen}"))?;
    Ok(Ink {
        full: Color::Rgb(r, g, b),
        sixteen: *sixteen,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TONES: [Tone; 8] = [
        Tone::Dim,
        Tone::Border,
        Tone::Title,
        Tone::Accent,
        Tone::Good,
        Tone::Warn,
        Tone::Bad,
        Tone::Win,
    ];

    #[test]
    fn every_built_in_theme_tells_good_from_bad() {
        for (name, _) in BUILT_IN {
            let palette = Palette::named(name).unwrap();
            assert_eq!(palette, Palette::built_in(name));
            if name == "mono" {
                assert_eq!(palette, Palette::default());
                continue;
            }
            assert!(TONES.iter().all(|tone| palette.ink(*tone).is_some()), "{name}");
            let states = [Tone::Good, Tone::Warn, Tone::Bad, Tone::Win].map(|tone| palette.ink(tone).unwrap().full);
            for (n, color) in states.iter().enumerate() {
                assert!(!states[n + 1..].contains(color), "{name}");
            }
        }
    }

    #[test]
    fn a_theme_of_ones_own_is_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mine.yaml");
        for (text, why) in [
            ("bad: [\"#ff0000\", red]", None),
            ("worse: [\"#ff0000\", red]", Some("nothing has the meaning `worse`")),
            ("bad: [red, red]", Some("bad: red is no #rrggbb")),
            ("bad: [\"#ff0000\", pink]", Some("no terminal has a colour called pink")),
        ] {
            std::fs::write(&path, text).unwrap();
            let told = Palette::named(path.to_str().unwrap())
                .err()
                .map(|failure| format!("{failure:?}"));
            assert!(
                why.is_none() == told.is_none() && why.is_none_or(|why| told.is_some_and(|told| told.contains(why))),
                "{text}"
            );
        }
        assert!(Palette::named("no-such-theme").is_err());
        for meaning in MEANINGS {
            assert!(
                Palette::parse(&format!("{meaning}: [\"#ff0000\", red]")).is_ok(),
                "{meaning}"
            );
        }
    }
}
