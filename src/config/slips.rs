//! Slips of the pen in sections that the official software shares. There an unknown key is no mistake, since Chia has
//! many that farmconsole does not read; but one that looks like a setting that is missing is worth a word.

use super::document::Node;
use super::error::ConfigWarningKind;
use super::locate::{Part, dotted, parts};
use super::reader::{Reader, nearest};

/// Sections (the top is the empty one) and what is read of them.
const READ: [(&str, &[&str]); 5] = [
    (
        "",
        &[
            "selected_network",
            "network_overrides",
            "logging",
            "farmer",
            "harvester",
            "pool",
            "full_node",
            "farmconsole",
        ],
    ),
    (
        "farmer",
        &[
            "port",
            "full_node_peers",
            "full_node_peer",
            "solver_peers",
            "solver_peer",
            "xch_target_address",
            "pool_public_keys",
            "selected_network",
            "network_overrides",
            "logging",
        ],
    ),
    (
        "harvester",
        &[
            "farmer_peers",
            "farmer_peer",
            "plot_directories",
            "recursive_plot_scan",
            "recursive_follow_links",
            "plots_refresh_parameter",
            "num_threads",
            "parallel_decompressor_count",
            "max_compression_level_allowed",
            "parallel_read",
            "selected_network",
            "network_overrides",
            "logging",
        ],
    ),
    ("pool", &["xch_target_address", "selected_network", "pool_list"]),
    (
        "logging",
        &[
            "log_level",
            "log_filename",
            "log_maxfilesrotation",
            "log_maxbytesrotation",
            "log_stdout",
        ],
    ),
];

/// Collects a doubt about every key that is read by nobody and looks like one that is missing.
pub(super) fn warn_of_slips(r: &mut Reader<'_>) {
    for (section, read) in READ {
        let path = if section.is_empty() { Vec::new() } else { parts(section) };
        let Some(Node::Map(map)) = r.document().root().at(&path) else {
            continue;
        };
        let missing: Vec<&str> = read.iter().copied().filter(|key| !map.contains_key(*key)).collect();
        for key in map.keys().filter(|key| !read.contains(&key.as_str())) {
            let Some(meant) = nearest(key, &missing) else { continue };
            let place = |key: &str| {
                let mut place = path.clone();
                place.push(Part::Key(key.to_owned()));
                dotted(&place)
            };
            let (key, meant) = (place(key), place(meant));
            r.warn(&key.clone(), ConfigWarningKind::LooksLike { key, meant });
        }
    }
}
