//! How many files and connections this process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit as far as this process may and as [`MOST`] says. A farm opens every plot that it looks up, and has a
/// connection for every harvester; the 1024 that are usual are few.
pub(super) fn allow_many() {
    let limits = getrlimit(Resource::Nofile);
    let most = limits.maximum.map_or(MOST, |maximum| maximum.min(MOST));
    if limits.current.is_none_or(|current| current >= most) {
        return;
    }
    let raised = Rlimit {
        current: Some(most),
        ..limits
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(target: "server", "no more than {:?} files may be open: {error}", limits.current);
    }
}

/// As much as the service files ask for.
const MOST: u64 = 262_144;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_open_files_is_raised_as_far_as_it_may_be() {
        let limits = getrlimit(Resource::Nofile);
        let most = limits.maximum.map_or(MOST, |maximum| maximum.min(MOST));
        let lower = Rlimit {
            current: Some(most - 1),
            ..limits
        };
        setrlimit(Resource::Nofile, lower).unwrap();
        allow_many();
        assert_eq!(getrlimit(Resource::Nofile).current, Some(most));
    }
}
