//! What requests will need, asked for before their turns come.
//!
//! Theory of operation. In tables of 100,000 rows what a request needs lies in lines that are in no
//! cache, and each is found through the one before: a place in the router's tree, the route, the key,
//! its texts, its counters. Waiting for one after the other takes longer than all else that is done
//! for the request. Where several requests are there at once their lookups are interleaved instead: a
//! step of each asks for its next line and lets the others go on, until all lines are on their way
//! (Kocberber, Falsafi, Grot, "Asynchronous Memory Access Chaining", PVLDB 9(4), 2015). Nothing is
//! decided here, it is a hint; the lookups that count come later and find their lines near.

use smallvec::SmallVec;

use super::facts::Facts;
use super::snapshot::Snapshot;
use super::step::Route;
use crate::ahead::FEW;
use crate::apikeys::{ForeseenKey, KeyWay};
use crate::http1::Request;
use crate::router::{Heading, RouteWay};

/// Requests that are looked ahead for at once: their lines must still be in the caches when the last
/// one's turn comes.
pub const FORESEEN_AT_ONCE: usize = 64;

/// Lines that are asked for one after the other at most; a longer way is left to the lookup.
const STEPS: usize = 24;

/// What of the tables a request will probably need.
#[derive(Clone, Copy, Debug)]
pub struct Foreseen {
    heading: Option<Heading>,
    key: Option<ForeseenKey>,
}

impl Snapshot {
    /// Whether what a request needs of the tables is probably in no cache.
    #[inline]
    #[must_use]
    pub fn is_large(&self) -> bool {
        self.router.len().max(self.tables.apikeys.len()) >= FEW
    }

    /// What a request will need; none where all tables stay in the caches.
    #[inline]
    #[must_use]
    pub fn foresee(&self, request: &Request, listener: &str) -> Option<Foreseen> {
        // Which listener it is changes nothing about where the candidates lie.
        let facts = Facts {
            request,
            listener,
            is_exclusive: false,
        };
        let heading = Heading::of(&facts, &self.router);
        let key = ForeseenKey::of(request, &self.tables.apikeys, &self.limits);
        (heading.is_some() || key.is_some()).then_some(Foreseen { heading, key })
    }

    /// Ask memory for what some requests will need.
    pub fn fetch_all<'a>(&'a self, foreseen: impl Iterator<Item = &'a Foreseen>) {
        let mut ways: SmallVec<[Way<'_>; FORESEEN_AT_ONCE]> =
            foreseen.map(|foreseen| foreseen.begin(self)).collect();
        for _ in 0..STEPS {
            let mut goes_on = false;
            for way in &mut ways {
                goes_on |= way.step();
            }
            if !goes_on {
                break;
            }
        }
    }
}

/// How far one request's lines are asked for.
struct Way<'a> {
    route: Option<RouteWay<'a, Route>>,
    key: Option<KeyWay<'a>>,
}

impl Foreseen {
    fn begin<'a>(&'a self, snapshot: &'a Snapshot) -> Way<'a> {
        let keys = &snapshot.tables.apikeys;
        Way {
            route: self
                .heading
                .as_ref()
                .map(|heading| heading.begin(&snapshot.router)),
            key: self.key.map(|key| key.begin(keys, &snapshot.limits)),
        }
    }
}

impl Way<'_> {
    #[inline]
    fn step(&mut self) -> bool {
        let route_goes_on = self.route.as_mut().is_some_and(RouteWay::step);
        let key_goes_on = self.key.as_mut().is_some_and(KeyWay::step);
        route_goes_on | key_goes_on
    }
}
