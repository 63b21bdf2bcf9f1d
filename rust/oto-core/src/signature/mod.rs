//! Signatures over messages: what callers prove with a shared secret or a key, and what the gateway
//! proves to backends and clients. Pure: bytes, keys and the time in, an answer out.
//!
//! * [`hmac`]: Otoroshi's `Authorization: hmac …` scheme.
//! * [`structured`]: structured field values, which RFC 9421 signs in their written form.

pub mod hmac;
pub mod structured;
