//! Whether the other side of a connection has hung up, as far as this end has heard.
//!
//! The system is asked, and not tokio: that hears of it only when it next looks at all of its sockets, and a connection
//! that came and went while the process was stopped would be answered before.

use std::mem::MaybeUninit;

use socket2::SockRef;
use tokio::net::TcpStream;

/// A connection that can say, without waiting, whether its other side has hung up.
pub(super) trait HungUp {
    /// Nothing more will come, and everything that came was read.
    fn has_hung_up(&self) -> bool;
}

impl HungUp for TcpStream {
    fn has_hung_up(&self) -> bool {
        // Where something or nothing has come it is open; an error is left to whoever reads.
        matches!(SockRef::from(self).peek(&mut [MaybeUninit::uninit()]), Ok(0))
    }
}

#[cfg(test)]
impl HungUp for tokio::io::DuplexStream {
    fn has_hung_up(&self) -> bool {
        false
    }
}
