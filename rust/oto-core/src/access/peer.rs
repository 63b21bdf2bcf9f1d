//! Who is at the other end of a client's connection, as far as the kernel tells.

use std::fmt;
use std::net::IpAddr;

/// The other end of a client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A host.
    Ip(IpAddr),
    /// A process of this machine, over a Unix socket: it has no address.
    Unix,
}

impl Peer {
    /// Its address, an IPv4 client of a dual-stack listener as IPv4; none over a Unix socket.
    #[must_use]
    pub fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Ip(ip) => Some(ip.to_canonical()),
            Self::Unix => None,
        }
    }
}

impl From<IpAddr> for Peer {
    fn from(ip: IpAddr) -> Self {
        Self::Ip(ip.to_canonical())
    }
}

impl fmt::Display for Peer {
    /// The address; [`UNIX`] without one.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(out),
            Self::Unix => out.write_str(UNIX),
        }
    }
}

/// What stands for the address of a client over a Unix socket: no address and no range contains it, and of
/// patterns only those that it fits, `*` and `unix:*`.
pub const UNIX: &str = "unix:";
