//! Signed and encrypted tokens (JOSE): RFC 7515 to 7519, 7638, 8037.
//!
//! # How to use it
//!
//! Prepare keys and verifiers when a snapshot is compiled, never on the way of a request:
//!
//! ```
//! use oto_core::jose::{Algorithm, Algorithms, Rules, SigningKey, Verifier, VerifyingKey};
//! use serde_json::{Map, json};
//!
//! let key = SigningKey::from_secret(b"secret", Algorithm::Hs512)?;
//! let claims = json!({"sub": "jo", "exp": 1_700_000_060});
//! let token = key.sign(&Map::new(), claims.as_object().unwrap())?;
//!
//! let allowed = Algorithms::only(Algorithm::Hs512);
//! let secret = VerifyingKey::from_secret(b"secret", allowed)?;
//! let verifier = Verifier { algorithms: allowed, rules: Rules::default() };
//! let verified = verifier.verify(&token, &secret, 1_700_000_000.0)?;
//! assert_eq!(verified.claims["sub"], "jo");
//! # Ok::<(), oto_core::jose::JoseError>(())
//! ```
//!
//! * [`VerifyingKey`] and [`SigningKey`] come from a secret (`from_secret`), from PEM or bare base64
//!   (`from_pem`: SPKI, PKCS8, PKCS1, SEC1, certificate) or from a JWK ([`jwk`]).
//!   [`AlgoSettings`] is Otoroshi's JSON for them: `AlgoSettings::read(json)?.prepare()?` when the
//!   snapshot is compiled gives an [`Algo`], whose `signing` and `verifying` find the key of a
//!   request (in the settings, in a certificate, in a fetched key set).
//! * [`Jws::parse`] takes a token apart when its header has to be seen first: which `kid`, which
//!   `alg`; [`Verifier::verify_with`] then goes on without parsing again.
//! * [`Verifier::verify`] does it all: allow-list, signature, `exp`, `nbf`, `iat` and the [`Rules`].
//! * The moment is an argument in Unix seconds; nothing here reads a clock.
//!
//! # What holds
//!
//! `none` cannot be expressed. A key verifies only the algorithms of its own kind that it was
//! prepared for, so a public key is never taken for an HMAC secret. `crit` and `b64` are refused,
//! and so are members named twice, padding, stray base64 bits and tokens over
//! [`MAX_TOKEN_BYTES`]. HMACs are compared in constant time. No error holds a token or a key.

mod algorithm;
pub mod encoding;
mod error;
pub mod jwe;
pub mod jwk;
mod jws;
mod key_sets;
mod keys;
mod material;
mod rules;
mod seen;
mod settings;

#[cfg(test)]
mod tests;

pub use algorithm::{Algorithm, Algorithms, Family};
pub use error::JoseError;
pub use jwk::KeySet;
pub use jws::{Header, Jws, KeyChoice, MAX_TOKEN_BYTES, Verified, Verifier};
pub use key_sets::{Found, KeySets, REFRESH_S};
pub use keys::{SigningKey, VerifyingKey};
pub use material::{Curve, Private, Public};
pub use rules::{DEFAULT_LEEWAY_S, Rules, text_of};
pub use settings::{Algo, AlgoSettings, Choice, Fixed, JwksSettings, Keyring, SetAt};
