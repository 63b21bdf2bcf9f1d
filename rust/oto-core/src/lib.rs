//! The pure heart of the gateway: bytes and `now` in, bytes and decisions out.
//! No sockets, no clock, no Python.

pub mod access;
mod ahead;
pub mod apikeys;
pub mod balance;
pub mod expression;
pub mod fields;
pub mod grpc;
pub mod grpc_web;
pub mod hpack;
pub mod http1;
pub mod http2;
pub mod http3;
pub mod intern;
pub mod jose;
pub mod jwt;
pub mod limits;
pub mod metrics;
mod one_or_many;
pub mod plan;
pub mod quic;
pub mod record;
pub mod router;
pub mod signature;
pub mod streamed;
pub mod tallies;
pub mod tcp;
pub mod tls;
pub mod websocket;
