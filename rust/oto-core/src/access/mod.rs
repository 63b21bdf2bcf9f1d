//! What decides whether a caller may pass, apart from who it is: addresses, paths, texts that attack.
//!
//! Nothing here knows of plans or flows; the steps in `plan::steps` ask it.

mod domain_set;
mod ip_set;
pub mod payloads;
mod peer;
mod restrictions;

pub use domain_set::DomainSet;
pub use ip_set::IpSet;
pub use peer::{Peer, UNIX};
pub use restrictions::{Asked, Restrictions, RestrictionsSpec, Verdict};
