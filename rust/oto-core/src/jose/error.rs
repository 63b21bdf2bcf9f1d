//! What can be wrong with a token, a key or a key set. No message holds a secret, a token or a
//! signature.

use std::fmt;

use super::algorithm::Algorithm;

/// Why a token was refused or a key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoseError {
    /// The token is longer than the bound.
    TooLong,
    /// The token is not what its format says; which part, and how.
    Malformed(&'static str),
    /// The `alg` member is absent or names nothing that is known here; `none` is such a name.
    UnknownAlgorithm,
    /// The algorithm is known, and not allowed here.
    AlgorithmNotAllowed(Algorithm),
    /// The key is not of the kind that the algorithm takes.
    KeyMismatch(Algorithm),
    /// The header names extensions that must be understood (`crit`), or an unencoded payload.
    Critical,
    /// No key for this token.
    NoKey,
    /// The signature is not the key's.
    BadSignature,
    /// A JWE that the key does not open.
    BadDecryption,
    /// `exp` is past.
    Expired,
    /// `nbf` is to come.
    NotYetValid,
    /// `iat` is to come.
    IssuedInFuture,
    /// `iat` is longer ago than the rules allow.
    TooOld,
    /// A claim is missing.
    MissingClaim(Box<str>),
    /// A claim is not what the rules ask for.
    BadClaim(Box<str>),
    /// A key, a key set or a setting that cannot be used: the field, what is wrong, the fix.
    BadKey(String),
}

impl std::error::Error for JoseError {}

impl fmt::Display for JoseError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(out, "the token is too long"),
            Self::Malformed(what) => write!(out, "malformed token: {what}"),
            Self::UnknownAlgorithm => write!(out, "alg: unknown or missing algorithm"),
            Self::AlgorithmNotAllowed(algorithm) => {
                write!(out, "alg: {algorithm} is not allowed here")
            }
            Self::KeyMismatch(algorithm) => write!(out, "the key does not fit {algorithm}"),
            Self::Critical => write!(out, "crit: the header asks for an unknown extension"),
            Self::NoKey => write!(out, "no key for this token"),
            Self::BadSignature => write!(out, "the signature does not match"),
            Self::BadDecryption => write!(out, "the token cannot be decrypted"),
            Self::Expired => write!(out, "exp: the token has expired"),
            Self::NotYetValid => write!(out, "nbf: the token is not valid yet"),
            Self::IssuedInFuture => write!(out, "iat: the token was issued in the future"),
            Self::TooOld => write!(out, "iat: the token was issued too long ago"),
            Self::MissingClaim(name) => write!(out, "{name}: the claim is missing"),
            Self::BadClaim(name) => write!(out, "{name}: the claim is not as expected"),
            Self::BadKey(problem) => out.write_str(problem),
        }
    }
}
