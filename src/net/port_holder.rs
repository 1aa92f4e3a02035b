//! Which program has a port: so that "in use" says by whom. Linux only; elsewhere, and for programs of other users that
//! this user may not look into, nobody knows.

use std::fmt;

/// A program that listens on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortHolder {
    /// Process id.
    pub pid: u32,
    /// Program name as the system shows it, control characters removed.
    pub name: String,
}

impl fmt::Display for PortHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.name, self.pid)
    }
}

/// Who listens on this TCP port.
#[cfg(target_os = "linux")]
pub(super) fn port_holder(port: u16) -> Option<PortHolder> {
    use std::fs;
    use std::path::Path;

    let inodes: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| listening_inodes(&table, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let holds = |process: &Path| {
        let files = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        let mut links = files.filter_map(|file| fs::read_link(file.path()).ok());
        links.any(|link| inodes.iter().any(|inode| link.as_os_str() == inode.as_str()))
    };
    let mut processes = fs::read_dir("/proc").ok()?.flatten();
    processes.find_map(|process| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        if !holds(&process.path()) {
            return None;
        }
        let name = fs::read_to_string(process.path().join("comm")).ok()?;
        Some(PortHolder {
            pid,
            name: crate::logging::strip_invisible(&name),
        })
    })
}

/// Who listens on this TCP port: not known here.
#[cfg(not(target_os = "linux"))]
pub(super) const fn port_holder(_: u16) -> Option<PortHolder> {
    None
}

/// Inodes of the listening sockets of a port in a table of `/proc/net`: columns `sl local_address rem_address st … inode`.
#[cfg(target_os = "linux")]
fn listening_inodes(table: &str, port: u16) -> Vec<String> {
    const LISTENING: &str = "0A";
    let port = format!(":{port:04X}");
    let rows = table
        .lines()
        .skip(1)
        .map(|row| row.split_ascii_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.len() > 9 && row[1].ends_with(&port) && row[3] == LISTENING)
        .map(|row| row[9].to_owned())
        .collect()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn finds_this_very_process() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let holder = port_holder(socket.local_addr().unwrap().port()).unwrap();
        assert_eq!(holder.pid, std::process::id());
        assert!(!holder.name.is_empty());
    }

    #[test]
    fn only_listening_sockets_of_that_port_count() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 00000000:20FF 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0  0 4711 1 0 100 0 0 10 0\n\
            1: 0100007F:20FF 0100007F:C001 01 00000000:00000000 00:00000000 00000000  0  0 4712 1 0 20 4 30 10 -1\n\
            2: 00000000:2100 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0  0 4713 1 0 100 0 0 10 0\n";
        assert_eq!(listening_inodes(table, 8447), ["4711"]);
    }
}
