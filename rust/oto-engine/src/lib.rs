//! Drives `oto-core` over non-blocking sockets: one turn, one batch of I/O.
//!
//! Theory of operation. An [`Engine`] owns a set of sockets in one epoll (or kqueue) set whose
//! descriptor a task outside can wait on. Each call of [`Engine::turn`] does what is ready and
//! returns; no call blocks, starts a thread or reads a clock. Connections live in two slabs,
//! [`connection::Down`] for clients and [`connection::Up`] for backends; an exchange joins one of
//! each by their places. Readiness is edge-triggered and remembered per connection, so a
//! connection is registered once and never again.
//!
//! Buffers: everything is read into one scratch buffer and written from it. Only what the other
//! side does not take at once is copied to the connection, and then nothing more is read for it
//! until that is gone. An idle connection owns no buffer.
//!
//! Connections of TCP services carry no exchanges; they have a slab and a state machine of their own ([`tcp`]).

mod access_log;
mod attempt;
mod bridge;
mod calls;
mod carried;
mod connection;
mod counting;
mod datagrams;
mod dialling;
mod downstream;
mod ending;
mod engine;
mod event;
mod handshake;
mod heard;
mod io;
mod kept;
mod listening;
mod meter;
mod mounts;
mod patience;
mod pipe;
mod pool;
mod records;
mod repeat;
mod request_body;
mod response;
mod response_body;
mod room;
mod settings;
mod socket;
mod sockets;
mod streams;
mod tcp;
mod timer;
mod tls;
mod tunnel;
mod upstream;
mod waiter;
mod waiting;
mod watched;
mod web;

pub use counting::RouteCount;
pub use datagrams::ToShow;
pub use dialling::Dial;
pub use engine::Engine;
pub use event::{Event, InFlight};
pub use listening::Ways;
pub use room::has_room;
pub use settings::Settings;
pub use tcp::TcpTraffic;
pub use waiter::Waiter;
