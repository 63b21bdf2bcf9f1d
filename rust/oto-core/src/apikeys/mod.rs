//! API keys: who a client is, by what it showed, and what it may call (engine_apikeys.md §1 to §3).
//!
//! Theory of operation. The store's JSON of a key is read once, into an [`ApiKey`] that holds what a
//! request needs in the form it needs it; a [`ApiKeys`] table finds it by client id. For a request,
//! [`extract`] finds the credential (where it stood is remembered, so that it can be taken away),
//! [`ApiKey::check`] compares it in constant time, [`authorize`] and [`constraints`] say whether the
//! key may call this route. Nothing here knows of plans; the steps in `plan::steps` ask it.

mod authorize;
mod constraints;
mod entity;
mod extract;
mod foreseen;
mod places;
mod rotation;
mod table;
mod validate;

pub use authorize::{Authorizations, Membership, MembershipSpec};
pub use constraints::{Constraints, ConstraintsSpec};
pub use entity::ApiKey;
pub use extract::{Credential, ExtractSpec, Extractors, Found, Proof, Shown};
pub use foreseen::{ForeseenKey, KeyWay};
pub use places::{cookie, percent_decoded, query_value, without_cookie, without_param};
pub use rotation::Rotation;
pub use table::ApiKeys;
pub use validate::{Asking, JwtRules, Refused, bearer_of};

#[cfg(test)]
mod tests;
