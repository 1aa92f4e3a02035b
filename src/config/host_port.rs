//! A peer to dial: host and port.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// Host name or address, and port. Text form `host:port`; an IPv6 address stands in brackets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    /// Name or address, without brackets; not resolved.
    pub host: String,
    /// Port, not 0.
    pub port: u16,
}

impl HostPort {
    /// A peer at `host` and `port`.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
        }
    }

    /// The peer that a text names, at `port` if it names none: `farm.local`, `192.168.1.10`, `[fd00::1]`, or `fd00::1`.
    ///
    /// # Errors
    /// It is neither that nor `host:port`.
    pub fn with_default_port(text: &str, port: u16) -> Result<Self, HostPortError> {
        match text.parse::<Ipv6Addr>() {
            Ok(address) => Ok(Self::new(address.to_string(), port)),
            Err(_) => text
                .parse()
                .or_else(|error| format!("{text}:{port}").parse().map_err(|_| error)),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A text that is not `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{got:?} is no peer: expected HOST:PORT, as in 192.168.1.10:8447, farm.local:8447 or [fd00::1]:8447")]
pub struct HostPortError {
    /// The text.
    pub got: String,
}

impl FromStr for HostPort {
    type Err = HostPortError;

    fn from_str(text: &str) -> Result<Self, HostPortError> {
        let refuse = || HostPortError { got: text.to_owned() };
        let (host, port) = text.rsplit_once(':').ok_or_else(refuse)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(refuse)?;
        let host = match host.strip_prefix('[') {
            Some(bracketed) => bracketed.strip_suffix(']').filter(|inside| inside.contains(':')),
            // Without brackets one cannot tell where an IPv6 address ends.
            None => Some(host).filter(|host| !host.contains(':')),
        };
        let is_host_char = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
        let host = host
            .filter(|host| !host.is_empty() && host.chars().all(is_host_char))
            .ok_or_else(refuse)?;
        Ok(Self::new(host, port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips() {
        for text in [
            "192.168.1.10:8447",
            "farm.local:1",
            "[fd00::1]:65535",
            "[fe80::1%eth0]:8447",
        ] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_peer_is_refused() {
        for text in [
            "",
            "farm",
            "farm:",
            ":8447",
            "farm:0",
            "farm:65536",
            "fd00::1:8447",
            "[farm]:1",
            "a b:1",
            "http://farm:1",
        ] {
            assert!(text.parse::<HostPort>().is_err(), "{text}");
        }
    }

    #[test]
    fn port_that_is_not_said_is_the_usual_one() {
        for (text, expected) in [
            ("farm.local", "farm.local:8447"),
            ("192.168.1.10", "192.168.1.10:8447"),
            ("[fd00::1]", "[fd00::1]:8447"),
            ("fd00::1", "[fd00::1]:8447"),
            ("farm:1", "farm:1"),
            ("[fd00::1]:1", "[fd00::1]:1"),
        ] {
            assert_eq!(HostPort::with_default_port(text, 8447).unwrap().to_string(), expected);
        }
        for text in ["", "farm:", "farm:0", "farm:65536", "a b", "http://farm", "[farm]"] {
            let error = HostPort::with_default_port(text, 8447).unwrap_err();
            assert_eq!(error.got, text);
        }
    }
}
