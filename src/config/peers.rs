//! Doubts about what a harvester is told: which farmers, which plots, and the CA beside its settings. All of it works in
//! some way, which is why it goes unnoticed.

use std::path::Path;

use super::document::{Document, Node};
use super::error::{ConfigWarning, ConfigWarningKind};
use super::host_port::HostPort;
use super::reader::Reader;

/// The doubts about the harvester's part of a settings file.
pub(super) fn doubts(document: &Document) -> Vec<ConfigWarning> {
    let mut reader = Reader::new(document);
    farmers(&mut reader);
    plot_directories(&mut reader);
    certificates(&mut reader);
    reader.warnings
}

fn farmers(r: &mut Reader<'_>) {
    let (many, one) = ("harvester.farmer_peers", "harvester.farmer_peer");
    if r.node(many).is_some() && r.node(one).is_some() {
        r.warn(one, ConfigWarningKind::FarmerNamedTwice);
    }
    let place = if r.node(many).is_some() { many } else { one };
    let peers = r.peers("harvester", "farmer", HostPort::new("localhost", 8447));
    if peers.len() > 1 {
        let farmers = peers.iter().map(ToString::to_string).collect();
        r.warn(place, ConfigWarningKind::SeveralFarmers { farmers });
    }
    for HostPort { port, .. } in peers {
        if let Some((_, whose)) = OTHER_PORTS.iter().find(|(other, _)| *other == port) {
            r.warn(place, ConfigWarningKind::NotAFarmersPort { port, whose });
        }
    }
}

fn plot_directories(r: &mut Reader<'_>) {
    let path = "harvester.plot_directories";
    let directories = r.texts(path);
    let recursive = matches!(r.node("harvester.recursive_plot_scan"), Some(Node::Bool(true)));
    for (n, directory) in directories.iter().enumerate() {
        let this = Path::new(directory);
        let is_in = |other: &String| {
            let other = Path::new(other);
            this == other || recursive && this.starts_with(other)
        };
        let before = directories[..n].iter().any(is_in);
        let after = recursive && directories[n + 1..].iter().any(|it| it != directory && is_in(it));
        if before || after {
            let directory = directory.clone();
            r.warn(path, ConfigWarningKind::PlotDirectoryTwice { directory });
        }
    }
}

/// What lies beside settings that are where the official software keeps them: in `config/` of a root.
fn certificates(r: &mut Reader<'_>) {
    let Some(config) = r.document().file().parent().map(Path::to_path_buf) else {
        return;
    };
    let ssl = config.join("ssl");
    let has_farmer = ssl.join("farmer/private_farmer.crt").exists();
    if !config.ends_with("config") || has_farmer {
        return;
    }
    let joined = config.with_file_name("farmconsole").join("membership.json").exists();
    let (path, key) = (ssl.join("ca/private_ca.crt"), ssl.join("ca/private_ca.key"));
    if !path.exists() && !joined {
        r.warn("harvester", ConfigWarningKind::NoCaCertificate { path });
    }
    if key.exists() {
        r.warn("harvester", ConfigWarningKind::CaKeyBeside { path: key });
    }
}

/// Ports that people take for a farmer's.
const OTHER_PORTS: [(u16, &str); 8] = [
    (8444, "a full node"),
    (18444, "a full node of a simulator"),
    (58444, "a full node of a test network"),
    (8555, "a full node's RPC"),
    (8559, "a farmer's RPC"),
    (8560, "a harvester's RPC"),
    (8449, "a wallet"),
    (55400, "the official daemon"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn doubts_of(text: &str) -> Vec<ConfigWarningKind> {
        let document = Document::parse(Path::new("config.yaml"), text.to_owned()).unwrap();
        doubts(&document).into_iter().map(|it| it.kind).collect()
    }

    #[test]
    fn what_official_harvesters_stumble_over_is_told() {
        let fine = "harvester:\n  farmer_peers:\n    - {host: farm.lan, port: 8447}\n  plot_directories: [/a, /b]\n";
        assert_eq!(doubts_of(fine), []);
        let two = "harvester:\n  farmer_peer: {host: farm.lan, port: 8444}\n  farmer_peers:\n    - {host: localhost, port: 8447}\n";
        let farmers = vec!["farm.lan:8444".to_owned(), "localhost:8447".to_owned()];
        let whose = "a full node";
        assert_eq!(
            doubts_of(two),
            [
                ConfigWarningKind::FarmerNamedTwice,
                ConfigWarningKind::SeveralFarmers { farmers },
                ConfigWarningKind::NotAFarmersPort { port: 8444, whose },
            ]
        );
        let twice = |directory: &str| ConfigWarningKind::PlotDirectoryTwice {
            directory: directory.to_owned(),
        };
        assert_eq!(
            doubts_of("harvester:\n  plot_directories: [/a, /a/x, /a]\n"),
            [twice("/a")]
        );
        let nested = "harvester:\n  recursive_plot_scan: true\n  plot_directories: [/a/x, /a]\n";
        assert_eq!(doubts_of(nested), [twice("/a/x")]);
    }

    #[test]
    fn ca_directory_beside_a_harvesters_settings_is_looked_into() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("config");
        let ca = config.join("ssl/ca");
        std::fs::create_dir_all(&ca).unwrap();
        let found = || {
            let text = "harvester:\n  farmer_peers:\n    - {host: farm.lan, port: 8447}\n".to_owned();
            let document = Document::parse(&config.join("config.yaml"), text).unwrap();
            doubts(&document).into_iter().map(|it| it.kind).collect::<Vec<_>>()
        };
        let (crt, key) = (ca.join("private_ca.crt"), ca.join("private_ca.key"));
        assert_eq!(found(), [ConfigWarningKind::NoCaCertificate { path: crt.clone() }]);
        std::fs::write(crt, "a certificate").unwrap();
        assert_eq!(found(), []);
        std::fs::write(&key, "a key").unwrap();
        assert_eq!(found(), [ConfigWarningKind::CaKeyBeside { path: key }]);
    }
}
