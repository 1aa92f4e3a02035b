//! Colours by meaning and the characters things are drawn with.
//!
//! Nothing else in the console names a colour. Without colour every meaning is still told by a word, a sign or a
//! modifier; with ASCII every sign has a plain twin.

use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::border;

use super::palette::{Ink, Palette};
use super::tone::Tone;
use crate::args::ColorChoice;
use crate::format::{ascii, is_utf8};

/// How many colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// None: modifiers only.
    None,
    /// The sixteen of every terminal.
    Sixteen,
    /// All.
    True,
}

/// Which characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charset {
    /// Box drawing, blocks, arrows.
    Unicode,
    /// What a serial console can show.
    Ascii,
}

/// How the console is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Theme {
    /// Colours.
    pub(super) depth: Depth,
    /// Characters.
    pub(super) charset: Charset,
    /// Which colours.
    pub(super) palette: Palette,
}

/// What the environment says about the terminal; read in one place so that the decision is a pure function.
#[derive(Clone, Debug, Default)]
pub(super) struct Environment {
    pub(super) no_color: Option<String>,
    pub(super) term: Option<String>,
    pub(super) colorterm: Option<String>,
    /// What some terminals say of their colours: `15;0` is white on black.
    pub(super) colorfgbg: Option<String>,
    /// First of LC_ALL, LC_CTYPE, LANG that is set and not empty.
    pub(super) locale: Option<String>,
}

impl Environment {
    /// That of this process.
    pub(super) fn of_process() -> Self {
        let var = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        Self {
            no_color: var("NO_COLOR"),
            term: var("TERM"),
            colorterm: var("COLORTERM"),
            colorfgbg: var("COLORFGBG"),
            locale: var("LC_ALL").or_else(|| var("LC_CTYPE")).or_else(|| var("LANG")),
        }
    }
}

impl Theme {
    /// Decides by the command line first, then by the environment.
    pub(super) fn choose(color: ColorChoice, ascii: bool, palette: Option<Palette>, environment: &Environment) -> Self {
        let ground = environment.colorfgbg.as_deref().and_then(|it| it.rsplit(';').next());
        let by_ground = if matches!(ground, Some("7" | "15")) {
            "light"
        } else {
            "dark"
        };
        let dumb = environment.term.as_deref() == Some("dumb");
        let full = match environment.colorterm.as_deref() {
            Some("truecolor" | "24bit") => Depth::True,
            _ => Depth::Sixteen,
        };
        let depth = match color {
            ColorChoice::Never => Depth::None,
            ColorChoice::Always => full,
            ColorChoice::Auto if dumb || environment.no_color.is_some() => Depth::None,
            ColorChoice::Auto => full,
        };
        let charset = if ascii || dumb || !is_utf8(environment.locale.as_deref()) {
            Charset::Ascii
        } else {
            Charset::Unicode
        };
        Self {
            depth,
            charset,
            palette: palette.unwrap_or_else(|| Palette::built_in(by_ground)),
        }
    }

    fn color(self, ink: Option<Ink>) -> Option<Color> {
        match self.depth {
            Depth::None => None,
            Depth::Sixteen => ink.map(|ink| ink.sixteen),
            Depth::True => ink.map(|ink| ink.full),
        }
    }

    /// The style of a meaning.
    pub(super) fn style(self, tone: Tone) -> Style {
        let color = self.color(self.palette.ink(tone));
        let style = Style {
            fg: color,
            ..Style::new()
        };
        match (color, tone) {
            (_, Tone::Title | Tone::Bad | Tone::Win) => style.add_modifier(Modifier::BOLD),
            (None, Tone::Dim | Tone::Border) => style.add_modifier(Modifier::DIM),
            (None, Tone::Warn) => style.add_modifier(Modifier::BOLD),
            _ => style,
        }
    }

    /// A loud patch: dark text on the colour of `tone`.
    pub(super) fn badge(self, tone: Tone) -> Style {
        match (self.color(self.palette.ink(tone)), self.color(self.palette.patch)) {
            (Some(ground), Some(letters)) => Style::new().fg(letters).bg(ground).add_modifier(Modifier::BOLD),
            _ => Style::new().add_modifier(Modifier::BOLD | Modifier::REVERSED),
        }
    }

    /// What is laid over the selected row.
    pub(super) fn selected(self) -> Style {
        match self.color(self.palette.selected) {
            None | Some(Color::Reset) => Style::new().add_modifier(Modifier::REVERSED),
            Some(ground) => Style::new().bg(ground).add_modifier(Modifier::BOLD),
        }
    }

    /// `unicode` or its plain twin.
    pub(super) fn pick<T>(self, unicode: T, ascii: T) -> T {
        match self.charset {
            Charset::Unicode => unicode,
            Charset::Ascii => ascii,
        }
    }

    /// The lines around a pane.
    pub(super) fn border(self) -> border::Set<'static> {
        self.pick(
            border::ROUNDED,
            border::Set {
                top_left: "+",
                top_right: "+",
                bottom_left: "+",
                bottom_right: "+",
                vertical_left: "|",
                vertical_right: "|",
                horizontal_top: "-",
                horizontal_bottom: "-",
            },
        )
    }

    /// The sign before a state: fine, look at it, wrong, and not there.
    pub(super) fn sign(self, tone: Tone) -> &'static str {
        match tone {
            Tone::Good => self.pick("●", "*"),
            Tone::Warn => self.pick("▲", "!"),
            Tone::Bad => self.pick("✖", "X"),
            Tone::Win => self.pick("★", "$"),
            Tone::Dim => self.pick("○", "o"),
            Tone::Plain | Tone::Border | Tone::Title | Tone::Accent => self.pick("·", "."),
        }
    }

    /// Between two facts of one line.
    pub(super) fn dot(self) -> &'static str {
        self.pick(" · ", " - ")
    }

    /// Nothing known.
    pub(super) fn none(self) -> &'static str {
        self.pick("–", "-")
    }

    /// Our own words: the few signs in sentences of the core become plain where only ASCII can be shown, and any other
    /// character from outside becomes an escape.
    pub(super) fn plain(self, text: String) -> String {
        match self.charset {
            Charset::Unicode => text,
            Charset::Ascii => ascii(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terminal(no_color: Option<&str>, term: &str, locale: Option<&str>) -> Environment {
        Environment {
            no_color: no_color.map(str::to_owned),
            term: Some(term.to_owned()),
            colorterm: Some("truecolor".to_owned()),
            colorfgbg: None,
            locale: locale.map(str::to_owned),
        }
    }

    #[test]
    fn environment_decides_colours_and_characters() {
        let utf8 = Some("de_DE.UTF-8");
        for (color, ascii, environment, depth, charset) in [
            (
                ColorChoice::Auto,
                false,
                terminal(None, "xterm", utf8),
                Depth::True,
                Charset::Unicode,
            ),
            (
                ColorChoice::Auto,
                false,
                terminal(Some("1"), "xterm", utf8),
                Depth::None,
                Charset::Unicode,
            ),
            (
                ColorChoice::Always,
                false,
                terminal(Some("1"), "xterm", utf8),
                Depth::True,
                Charset::Unicode,
            ),
            (
                ColorChoice::Never,
                false,
                terminal(None, "xterm", utf8),
                Depth::None,
                Charset::Unicode,
            ),
            (
                ColorChoice::Auto,
                true,
                terminal(None, "xterm", utf8),
                Depth::True,
                Charset::Ascii,
            ),
            (
                ColorChoice::Auto,
                false,
                terminal(None, "dumb", utf8),
                Depth::None,
                Charset::Ascii,
            ),
            (
                ColorChoice::Auto,
                false,
                terminal(None, "xterm", Some("C")),
                Depth::True,
                Charset::Ascii,
            ),
            (
                ColorChoice::Auto,
                false,
                terminal(None, "xterm", None),
                Depth::True,
                Charset::Ascii,
            ),
        ] {
            let theme = Theme::choose(color, ascii, None, &environment);
            assert_eq!(
                (theme.depth, theme.charset),
                (depth, charset),
                "{color:?} {ascii} {environment:?}"
            );
        }
    }

    #[test]
    fn ground_of_the_terminal_decides_where_nobody_else_does() {
        let on = |ground: &str, palette| {
            let mut environment = terminal(None, "xterm", Some("C.UTF-8"));
            environment.colorfgbg = Some(ground.to_owned());
            Theme::choose(ColorChoice::Auto, false, palette, &environment).palette
        };
        assert_eq!(on("0;15", None), Palette::built_in("light"));
        assert_eq!(on("15;default;0", None), Palette::built_in("dark"));
        let chosen = Palette::built_in("colour-blind");
        assert_eq!(on("0;15", Some(chosen)), chosen);
    }

    #[test]
    fn every_meaning_differs_from_plain_text_without_colour_or_has_a_sign() {
        let theme = Theme {
            depth: Depth::None,
            charset: Charset::Ascii,
            palette: Palette::built_in("dark"),
        };
        for tone in [Tone::Good, Tone::Warn, Tone::Bad, Tone::Win, Tone::Dim] {
            assert_ne!(theme.sign(tone), theme.sign(Tone::Plain));
            assert!(theme.sign(tone).is_ascii());
        }
    }
}
