//! Which dialled node is up under which name. Several names may lead to one full node, and all its links show one
//! certificate; an official node keeps one connection to a peer and closes the older one whenever another comes, so two
//! names would end each other's links for ever.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::HostPort;
use crate::ids::PeerId;

/// The names of the nodes of one farm, by the certificate that they show.
#[derive(Debug, Default)]
pub(in crate::runtime) struct NodeNames(Mutex<BTreeMap<PeerId, HostPort>>);

impl NodeNames {
    /// Takes the node with this certificate for `name`, until what is returned is dropped; or tells the name that has it.
    pub(super) fn take(self: &Arc<Self>, certificate: PeerId, name: &HostPort) -> Result<NameTaken, HostPort> {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(other) = names.get(&certificate) {
            return Err(other.clone());
        }
        names.insert(certificate, name.clone());
        Ok(NameTaken {
            names: Arc::clone(self),
            certificate,
        })
    }
}

/// A node that no other name may have.
#[derive(Debug)]
pub(super) struct NameTaken {
    names: Arc<NodeNames>,
    certificate: PeerId,
}

impl Drop for NameTaken {
    fn drop(&mut self) {
        let mut names = self.names.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.remove(&self.certificate);
    }
}
