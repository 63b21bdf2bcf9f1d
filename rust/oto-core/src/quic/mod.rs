//! Packets of QUIC connections whose handshake is done (RFC 9000 section 17.3): many opened or sealed with one call.
//!
//! The state of a connection is elsewhere; here are its keys, and what is done with each octet. What a run of datagrams
//! holds beyond the plain frames of a transfer is left, unopened, to whoever knows the rest of the protocol.

mod keys;
mod opening;
mod sealing;
pub(crate) mod varint;

#[cfg(test)]
mod tests;

pub use keys::{Keys, Suite};
pub use opening::{Heard, Opened, Wanted};
pub use sealing::{Carried, Packet, Piece, Shape};
