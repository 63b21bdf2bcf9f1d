//! Signatures over messages: what callers prove with a shared secret or a key, and what the gateway
//! proves to backends and clients. Pure: bytes, keys and the time in, an answer out.
//!
//! * [`challenge`]: what a backend must answer to show that it knows the gateway.
//! * [`hmac`]: Otoroshi's `Authorization: hmac …` scheme.
//! * [`info`]: what a backend is told of the caller.
//! * [`message`]: HTTP message signatures (RFC 9421).
//! * [`structured`]: structured field values, which RFC 9421 signs in their written form.

pub mod challenge;
pub mod hmac;
pub mod info;
pub mod message;
pub mod structured;
