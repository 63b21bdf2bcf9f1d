//! TCP services: what becomes of connections to a port that carry no HTTP.

mod port;
pub mod proxy_protocol;

pub use port::{SendProxy, TcpPool, TcpPort, TcpService, TcpTarget, TlsMode};
