//! The settings file that a new root begins with.

use super::document::Node;
use super::edit::{EditError, Editor};
use super::locate::parts;
use super::network::is_simulator;

/// The commented settings file of a new root: what `farmconsole config print-default` prints.
pub const DEFAULT_SETTINGS: &str = include_str!("../../config/default.yaml");

/// The settings file of a new root on `network`.
///
/// # Errors
/// When the built-in text cannot be edited; a test does it for every network.
pub fn settings_for(network: &str) -> Result<String, EditError> {
    let mut editor = Editor::of_text(DEFAULT_SETTINGS)?;
    editor.set(&parts("selected_network"), &Node::Text(network.to_owned()))?;
    let port = match network {
        "mainnet" => 8444,
        "simulator1" => 18444,
        _ => 58444,
    };
    editor.set(&parts("farmer.full_node_peers.0.port"), &Node::Int(port))?;
    let text = editor.text();
    if is_simulator(network) {
        return Ok(text.replace("  # simulated_chain: {", "  simulated_chain: {"));
    }
    Ok(text)
}
