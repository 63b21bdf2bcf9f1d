//! Which routes a key may call (engine_apikeys.md §2).
//!
//! Ids are compared by a hash first and by their text when it agrees, so a collision opens nothing.
//! Keys that may call the same things share one list.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::intern::Interner;
use crate::router::hamt::hash_of;

/// What an authorisation names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    Group,
    Service,
    Route,
    RouteComposition,
    Api,
}

impl Kind {
    fn named(name: &str) -> Option<Self> {
        serde_json::from_value(name.into()).ok()
    }
}

/// One element of `authorizations`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct AuthorizationSpec {
    kind: Kind,
    id: String,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    hash: u64,
    kind: Kind,
    id: Arc<str>,
}

/// What a key may call.
#[derive(Debug, Default)]
pub struct Authorizations {
    /// By hash.
    entries: Box<[Entry]>,
}

impl Authorizations {
    pub(super) fn new(specs: Vec<AuthorizationSpec>, texts: &Interner<str>) -> Self {
        let mut entries: Vec<_> = specs
            .into_iter()
            .map(|spec| Entry {
                hash: hash_of(&spec.id),
                kind: spec.kind,
                id: texts.text(&spec.id),
            })
            .collect();
        entries.sort();
        entries.dedup();
        Self {
            entries: entries.into(),
        }
    }

    /// Whether this names (kind, id); kinds are `group`, `service`, `route`, `route-composition`, `api`.
    #[must_use]
    pub fn names(&self, kind: &str, id: &str) -> bool {
        Kind::named(kind).is_some_and(|kind| self.has(id, |held| held == kind))
    }

    /// Whether this names a group.
    #[must_use]
    pub fn names_group(&self, id: &str) -> bool {
        self.has(id, |held| held == Kind::Group)
    }

    fn has(&self, id: &str, is_kind: impl Fn(Kind) -> bool) -> bool {
        let hash = hash_of(id);
        let start = self.entries.partition_point(|entry| entry.hash < hash);
        self.entries
            .iter()
            .skip(start)
            .take_while(|entry| entry.hash == hash)
            .any(|entry| is_kind(entry.kind) && *entry.id == *id)
    }
}

/// What a route belongs to, as its compiler hands it over.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default)]
pub struct MembershipSpec {
    /// The tenant.
    pub tenant: String,
    /// Ids of its groups.
    pub groups: Vec<String>,
    /// Id of the API it was made from (metadata `Otoroshi-Api-Ref`).
    pub api: Option<String>,
    /// Id of the entity it was made from (metadata `otoroshi-core-original-route-id`).
    pub original: Option<String>,
}

impl Default for MembershipSpec {
    fn default() -> Self {
        Self {
            tenant: "default".into(),
            groups: Vec::new(),
            api: None,
            original: None,
        }
    }
}

/// What a route belongs to; routes that belong to the same share one.
#[derive(Debug, Default)]
pub struct Membership(MembershipSpec);

impl Membership {
    /// From what the compiler says.
    #[must_use]
    pub fn new(spec: MembershipSpec) -> Self {
        Self(spec)
    }

    /// The tenant.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.0.tenant
    }

    /// Ids of the groups.
    #[must_use]
    pub fn groups(&self) -> &[String] {
        &self.0.groups
    }

    /// The API that the routes were made from.
    #[must_use]
    pub fn api(&self) -> Option<&str> {
        self.0.api.as_deref()
    }

    /// Whether (kind, id) is a route of this membership with this id, or what it belongs to.
    #[must_use]
    pub fn is(&self, route_id: &str, kind: &str, id: &str) -> bool {
        match Kind::named(kind) {
            Some(Kind::Group) => self.0.groups.iter().any(|group| group == id),
            Some(Kind::Api) if self.api() == Some(id) => true,
            Some(_) => id == self.id_of(route_id),
            None => false,
        }
    }

    /// Whether a key with these authorisations may call the route with this id.
    ///
    /// Cost: a binary search for the id, the API and each group.
    #[must_use]
    pub fn admits(&self, route_id: &str, allowed: &Authorizations) -> bool {
        !allowed.entries.is_empty()
            && (allowed.has(self.id_of(route_id), |kind| kind != Kind::Group)
                || self.0.groups.iter().any(|id| allowed.names_group(id))
                || self
                    .api()
                    .is_some_and(|id| allowed.has(id, |kind| kind == Kind::Api)))
    }

    fn id_of<'a>(&'a self, route_id: &'a str) -> &'a str {
        self.0.original.as_deref().unwrap_or(route_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(json: &str) -> Authorizations {
        let specs = serde_json::from_str(json).expect("authorisations");
        Authorizations::new(specs, &Interner::default())
    }

    fn membership() -> Membership {
        Membership::new(
            serde_json::from_str(r#"{"groups":["g1","g2"],"api":"a1"}"#).expect("a membership"),
        )
    }

    #[test]
    fn a_route_is_admitted_by_its_id_its_groups_and_its_api() {
        for (kind, id, admitted) in [
            ("route", "r1", true),
            ("service", "r1", true),
            ("route-composition", "r1", true),
            ("api", "r1", true),
            ("group", "r1", false),
            ("group", "g2", true),
            ("api", "a1", true),
            ("route", "a1", false),
            ("route", "g1", false),
            ("route", "r2", false),
        ] {
            let allowed = allowed(&format!(r#"[{{"kind":"{kind}","id":"{id}"}}]"#));
            assert_eq!(membership().admits("r1", &allowed), admitted, "{kind} {id}");
            assert!(allowed.names(kind, id));
        }
        assert!(!membership().admits("r1", &Authorizations::default()));
    }

    #[test]
    fn a_route_of_a_composition_goes_by_its_origin() {
        let spec = r#"{"original":"c1"}"#;
        let membership = Membership::new(serde_json::from_str(spec).expect("a membership"));
        assert!(membership.admits("r1", &allowed(r#"[{"kind":"route","id":"c1"}]"#)));
        assert!(!membership.admits("r1", &allowed(r#"[{"kind":"route","id":"r1"}]"#)));
    }
}
