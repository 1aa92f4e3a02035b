//! `farmconsole.alarms`: who is told of alarms.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::document::Node;
use super::reader::Reader;
use crate::snapshot::Severity;

/// `farmconsole.alarms`. The console reads `bell` and `osc9` of its own root; the rest is the farmer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlarmSettings {
    /// `exec`: program and arguments, run for each alarm with a JSON object on its standard input; empty for none.
    pub exec: Vec<String>,
    /// `exec_timeout_seconds`: how long it may take, 1–600.
    pub exec_timeout: Duration,
    /// `webhook`: where the same object is posted to.
    pub webhook: Option<HookUrl>,
    /// `dead_man_url`: what is asked for (GET) while the farm farms.
    pub dead_man_url: Option<HookUrl>,
    /// `dead_man_interval_seconds`: how often, 10–86,400.
    pub dead_man_interval: Duration,
    /// `minimum_severity`: the least that is told of, `warning` or `critical`.
    pub minimum_severity: Severity,
    /// `bell`: an attached console rings the terminal's bell for an alarm.
    pub bell: bool,
    /// `osc9`: it sends the terminal a desktop notification (OSC 9).
    pub osc9: bool,
}

impl Default for AlarmSettings {
    fn default() -> Self {
        Self {
            exec: Vec::new(),
            exec_timeout: Duration::from_secs(10),
            webhook: None,
            dead_man_url: None,
            dead_man_interval: Duration::from_secs(60),
            minimum_severity: Severity::Warning,
            bell: false,
            osc9: false,
        }
    }
}

/// Where something is sent to: https, or http on this machine. Addresses of hooks hold secrets, so it is never shown
/// whole.
#[derive(Clone, PartialEq, Eq)]
pub struct HookUrl(reqwest::Url);

impl HookUrl {
    /// All of it, for the request alone.
    pub(crate) fn expose(&self) -> reqwest::Url {
        self.0.clone()
    }

    /// The part that may be told.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }
}

impl fmt::Debug for HookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HookUrl({}://{}/…)", self.0.scheme(), self.host())
    }
}

/// It is no address that something may be sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an https address, or an http address of this machine")]
pub struct HookUrlError;

impl FromStr for HookUrl {
    type Err = HookUrlError;

    fn from_str(text: &str) -> Result<Self, HookUrlError> {
        let url = reqwest::Url::parse(text).map_err(|_| HookUrlError)?;
        let is_here = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
        match url.scheme() {
            "https" => Ok(Self(url)),
            "http" if is_here => Ok(Self(url)),
            _ => Err(HookUrlError),
        }
    }
}

/// Reads the section.
pub(super) fn alarms(r: &mut Reader<'_>) -> AlarmSettings {
    let path = "farmconsole.alarms";
    r.only(
        path,
        &[
            "bell",
            "dead_man_interval_seconds",
            "dead_man_url",
            "exec",
            "exec_timeout_seconds",
            "minimum_severity",
            "osc9",
            "webhook",
        ],
    );
    let default = AlarmSettings::default();
    let key = |name: &str| format!("{path}.{name}");
    let seconds = |r: &mut Reader<'_>, name: &str, default: Duration, range| {
        Duration::from_secs(r.number(&key(name), default.as_secs(), range))
    };
    AlarmSettings {
        exec: exec(r, &key("exec")),
        exec_timeout: seconds(r, "exec_timeout_seconds", default.exec_timeout, 1..=600),
        webhook: url(r, &key("webhook")),
        dead_man_url: url(r, &key("dead_man_url")),
        dead_man_interval: seconds(r, "dead_man_interval_seconds", default.dead_man_interval, 10..=86_400),
        minimum_severity: severity(r, &key("minimum_severity")),
        bell: r.truth(&key("bell"), default.bell),
        osc9: r.truth(&key("osc9"), default.osc9),
    }
}

/// A list, or the program alone.
fn exec(r: &mut Reader<'_>, path: &str) -> Vec<String> {
    if let Some(Node::Text(program)) = r.node(path) {
        return vec![program.clone()];
    }
    // A number is not kept as it is written: `+49…` would be told without its sign.
    let unquoted = |(index, item): (usize, &Node)| {
        let is_read_otherwise = !matches!(item, Node::Text(_) | Node::List(_) | Node::Map(_));
        is_read_otherwise.then(|| (format!("{path}.{index}"), item.describe()))
    };
    if let Some(Node::List(items)) = r.node(path)
        && let Some((item, read)) = items.iter().enumerate().find_map(unquoted)
    {
        r.wrong(&item, "a text in quotes, because YAML reads this one otherwise", &read);
        return Vec::new();
    }
    let words = r.texts(path);
    if words.first().is_some_and(String::is_empty) {
        r.wrong(path, "a program and its arguments", "an empty name");
    }
    words
}

fn url(r: &mut Reader<'_>, path: &str) -> Option<HookUrl> {
    let text = r.text(path)?;
    match text.parse() {
        Ok(url) => Some(url),
        Err(_) => {
            // What is wrong may hold the secret all the same.
            r.wrong(
                path,
                "an https address, or an http address of this machine",
                "something else",
            );
            None
        }
    }
}

fn severity(r: &mut Reader<'_>, path: &str) -> Severity {
    match r.text(path).as_deref() {
        None | Some("warning") => Severity::Warning,
        Some("critical") => Severity::Critical,
        Some(other) => {
            r.wrong(path, "warning or critical", &format!("{other:?}"));
            Severity::Warning
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_https_or_of_this_machine_and_keep_their_secret() {
        let url: HookUrl = "https://hooks.example/services/T0/SECRET".parse().unwrap();
        assert_eq!(url.host(), "hooks.example");
        assert_eq!(format!("{url:?}"), "HookUrl(https://hooks.example/…)");
        for text in ["http://127.0.0.1:8080/x", "http://localhost/x", "http://[::1]:1/x"] {
            assert!(text.parse::<HookUrl>().is_ok(), "{text}");
        }
        for text in ["http://hooks.example/x", "ftp://hooks.example/", "hooks.example", ""] {
            assert_eq!(text.parse::<HookUrl>(), Err(HookUrlError), "{text}");
        }
    }
}
