//! The router: which route takes a request.
//!
//! Theory of operation. A request's domain chooses one tree (`domains`), its path a place in the
//! tree (`walk`), and of the routes at that place the first that accepts method, headers, query,
//! cookies and listener takes the request (`select`). The rules are Otoroshi's; `docs/routing.md`
//! states them, and each place where this router is saner on purpose.
//!
//! The router is persistent: a clone shares everything with its origin, and an edit copies only
//! what lies on the paths of the edited route. A snapshot of 100,000 routes is thus one clone and
//! a few edits away from the next.
//!
//! ```
//! use oto_core::router::{Frontend, RequestFacts, Router};
//!
//! struct Get<'a>(&'a str, &'a str);
//! impl RequestFacts for Get<'_> {
//!     fn domain(&self) -> &str { self.0 }
//!     fn path(&self) -> &str { self.1 }
//!     fn method(&self) -> &str { "GET" }
//!     fn query(&self) -> &str { "" }
//!     fn header(&self, _: &str, _: &mut dyn FnMut(&[u8]) -> bool) -> bool { false }
//!     fn listener(&self) -> &str { "standard-listener" }
//! }
//!
//! let json = serde_json::json!({"domains": ["api.example.com/users/:id"]});
//! let frontend = Frontend::from_json(&json, true, &[])?;
//! let mut router = Router::default();
//! router.insert("users", frontend, 7);
//! let request = Get("api.example.com", "/users/12/orders");
//! let found = router.find(&request, &mut |_| true);
//! assert_eq!(found.map(|m| (m.route.value, m.matched_len)), Some((7, 9)));
//! # Ok::<(), oto_core::router::FrontendError>(())
//! ```

mod domains;
mod explain;
mod frontend;
pub(crate) mod glob;
pub(crate) mod hamt;
mod heading;
pub(crate) mod java_regex;
mod matcher;
mod path;
mod problem;
mod select;
mod trie;
mod walk;

use std::ops::Range;
use std::sync::Arc;

pub use explain::{CandidateReport, Explanation, MatchReport};
pub use frontend::Frontend;
pub use heading::{Heading, RouteWay};
pub use java_regex::{JavaRegex, RegexError};
pub use problem::{FrontendError, Problem};
pub use select::{Expectation, Loss};

use domains::Domains;
use hamt::{Hamt, Keyed, hash_of};
use select::check;
use trie::Candidate;
use walk::{Found, search, segments};

/// What the router asks about a request.
pub trait RequestFacts {
    /// The host, lower-case, without port.
    fn domain(&self) -> &str;
    /// The path, canonical: `/` first, no dot segment, no empty segment but a last one, no query.
    fn path(&self) -> &str;
    /// The method, as sent.
    fn method(&self) -> &str;
    /// The raw query without `?`; empty when there is none.
    fn query(&self) -> &str;
    /// Visit the values of a header until `visit` answers true; whether it did. The name is
    /// lower-case.
    fn header(&self, lower_name: &str, visit: &mut dyn FnMut(&[u8]) -> bool) -> bool;
    /// Name of the listener that took the connection.
    fn listener(&self) -> &str;
    /// Whether that listener serves only the routes bound to it.
    fn listener_is_exclusive(&self) -> bool {
        false
    }
}

/// Routes by the requests they want. Cloning is cheap; see the module's text.
pub struct Router<T> {
    live: Domains<T>,
    /// Apart, so that a disabled route takes no part in any choice; only `explain` looks here.
    disabled: Domains<T>,
    routes: Hamt<Arc<RouteEntry<T>>>,
    len: usize,
    next_seq: u64,
}

/// A route in the router.
#[derive(Debug)]
pub struct RouteEntry<T> {
    /// The route's id.
    pub id: Arc<str>,
    /// Which requests it wants.
    pub frontend: Frontend,
    /// What the owner of the router stores with it.
    pub value: T,
    /// Order of first insertion; kept when the route is replaced.
    pub(crate) seq: u64,
}

/// The route that takes a request, and how its path matched.
#[derive(Debug)]
pub struct Match<'a, T> {
    /// The route.
    pub route: &'a Arc<RouteEntry<T>>,
    /// Bytes of the request's path that the declared path matched, which is what `strip_path`
    /// cuts; 0 for a route declared on `/`.
    pub matched_len: usize,
    /// Names bound by the declared path, with the bytes of the request's path bound to each.
    pub params: Vec<(&'a str, Range<usize>)>,
    /// Whether the declared path matched every segment.
    pub no_more_segments: bool,
}

impl<T> RouteEntry<T> {
    /// An entry that no router holds.
    pub(crate) fn unlisted(id: Arc<str>, frontend: Frontend, value: T) -> Self {
        Self {
            id,
            frontend,
            value,
            seq: 0,
        }
    }
}

impl<T> Router<T> {
    /// Put a route in, in the place of an earlier one of the same id.
    ///
    /// Cost: the segments of the route's declared paths, times the logarithm of what lies beside
    /// them; the routes at the very same places are copied. Independent of the table otherwise.
    pub fn insert(&mut self, id: impl Into<Arc<str>>, frontend: Frontend, value: T) {
        let id = id.into();
        let seq = match self.take(&id) {
            Some(earlier) => earlier.seq,
            None => {
                self.next_seq += 1;
                self.next_seq
            }
        };
        let route = Arc::new(RouteEntry {
            id,
            frontend,
            value,
            seq,
        });
        self.side(route.frontend.enabled).insert(&route);
        self.routes.insert(route);
        self.len += 1;
    }

    /// Take a route out; whether there was one. Costs what [`Router::insert`] costs.
    pub fn remove(&mut self, id: &str) -> bool {
        self.take(id).is_some()
    }

    fn take(&mut self, id: &str) -> Option<Arc<RouteEntry<T>>> {
        let route = Arc::clone(self.route(id)?);
        self.routes.prune(id, &mut |_| false);
        self.side(route.frontend.enabled).remove(&route);
        self.len -= 1;
        Some(route)
    }

    fn side(&mut self, enabled: bool) -> &mut Domains<T> {
        match enabled {
            true => &mut self.live,
            false => &mut self.disabled,
        }
    }

    /// The route with this id, enabled or not.
    #[must_use]
    pub fn route(&self, id: &str) -> Option<&Arc<RouteEntry<T>>> {
        self.routes.get(hash_of(id), id)
    }

    /// Visit every route, enabled or not, in no particular order.
    pub fn for_each<'a>(&'a self, mut visit: impl FnMut(&'a Arc<RouteEntry<T>>)) {
        self.routes.for_each(&mut visit);
    }

    /// How many routes there are, enabled or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no route.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The route that takes a request, if any.
    ///
    /// `accept` is asked last about each candidate's value, in order, until it answers true.
    ///
    /// Cost: one hash lookup for the domain and one a path segment, then the candidates at the
    /// place reached. Nothing is allocated unless the declared path binds names, a matcher decodes
    /// an escaped query value, or more than two nodes are walked together.
    #[inline]
    pub fn find<'a, F>(
        &'a self,
        facts: &F,
        accept: &mut (impl FnMut(&T) -> bool + ?Sized),
    ) -> Option<Match<'a, T>>
    where
        F: RequestFacts + ?Sized,
    {
        let path = facts.path();
        let found = search(self.live.find(facts.domain())?, path)?;
        let mut winner = found
            .candidates()
            .filter(|candidate| check(candidate, &found, facts, accept).is_ok());
        winner.next().map(|winner| matched(winner, &found, path))
    }
}

fn matched<'a, T>(winner: &'a Candidate<T>, found: &Found<'a, T>, path: &str) -> Match<'a, T> {
    Match {
        route: &winner.route,
        matched_len: found.matched_len,
        params: if winner.has_params {
            bindings(winner, path)
        } else {
            Vec::new()
        },
        no_more_segments: found.no_more_segments,
    }
}

fn bindings<'a, T>(winner: &'a Candidate<T>, path: &str) -> Vec<(&'a str, Range<usize>)> {
    let paths = &winner.route.frontend.paths;
    let Some(declared) = paths.get(usize::from(winner.path)) else {
        return Vec::new();
    };
    let mut segments = segments(path).enumerate();
    let bound = declared.params().filter_map(|(place, name)| {
        let (_, (start, text)) = segments.find(|(at, _)| *at == place)?;
        Some((name, start..start + text.len()))
    });
    bound.collect()
}

impl<T> Keyed for RouteEntry<T> {
    fn key(&self) -> &str {
        &self.id
    }
}

// By hand: derived ones would ask for `T: Clone` and `T: Default`.
impl<T> Clone for Router<T> {
    fn clone(&self) -> Self {
        Self {
            live: self.live.clone(),
            disabled: self.disabled.clone(),
            routes: self.routes.clone(),
            ..*self
        }
    }
}

impl<T> Default for Router<T> {
    fn default() -> Self {
        Self {
            live: Domains::default(),
            disabled: Domains::default(),
            routes: Hamt::default(),
            len: 0,
            next_seq: 0,
        }
    }
}

#[cfg(test)]
mod tests;
