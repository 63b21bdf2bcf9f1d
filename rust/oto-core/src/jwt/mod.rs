//! Otoroshi's JWT verifiers: where a token is, whose key it has, what it must say, and what the
//! backend gets in its place (entities.md §4.1, plugins.md §3).
//!
//! [`JwtVerifier`] is the entity made ready, a row of `tables.verifiers`. [`JwtVerifier::decide`] looks
//! at one exchange and answers with a [`Verdict`]; what it found out goes into the exchange's
//! attributes, and what the backend should get instead waits there as an [`Injection`] until the
//! request is transformed. The cryptography is [`crate::jose`]'s.

mod checks;
#[cfg(test)]
mod hostile;
mod injection;
mod source;
mod strategy;
#[cfg(test)]
mod tests;
mod verifier;

pub use checks::Checks;
pub use injection::Injection;
pub use source::Source;
pub use strategy::{Strategy, generate, random_id};
pub use verifier::{Identified, JwtVerifier, Verdict};
