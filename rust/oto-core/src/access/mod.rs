//! What decides whether a caller may pass, apart from who it is: addresses, paths, texts that attack.
//!
//! Nothing here knows of plans or flows; the steps in `plan::steps` ask it.

mod ip_set;
pub mod payloads;
mod restrictions;

pub use ip_set::IpSet;
pub use restrictions::{Asked, Restrictions, RestrictionsSpec, Verdict};
