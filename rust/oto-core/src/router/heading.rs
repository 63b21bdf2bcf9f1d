//! Where a request will probably go, asked for before its turn comes.

use std::iter::Take;
use std::slice::Iter;
use std::sync::Arc;

use super::hamt::{Search, Searched, hash_of};
use super::trie::{Below, Node};
use super::walk::segments;
use super::{RequestFacts, RouteEntry, Router};
use crate::ahead::{FEW, fetch, fetch_shared};

/// Segments that are looked at: most paths are declared with fewer.
const SEGMENTS: usize = 4;

/// The first steps of a request's way: its domain and the first segments of its path.
#[derive(Clone, Copy, Debug)]
pub struct Heading {
    domain: u64,
    segments: [u64; SEGMENTS],
    len: usize,
}

impl Heading {
    /// The way of a request; none in a router that stays in the caches.
    #[inline]
    #[must_use]
    pub fn of<T>(facts: &impl RequestFacts, router: &Router<T>) -> Option<Self> {
        if router.len() < FEW {
            return None;
        }
        let mut heading = Self {
            domain: hash_of(facts.domain()),
            segments: [0; SEGMENTS],
            len: 0,
        };
        for (place, (_, segment)) in heading.segments.iter_mut().zip(segments(facts.path())) {
            *place = hash_of(segment);
            heading.len += 1;
        }
        Some(heading)
    }

    /// Begin to ask for the way.
    #[inline]
    #[must_use]
    pub fn begin<'a, T>(&'a self, router: &'a Router<T>) -> RouteWay<'a, T> {
        RouteWay {
            state: State::Searching(router.live.exact().search(self.domain)),
            last: None,
            segments: self.segments.iter().take(self.len),
        }
    }
}

/// How far the lines on a request's way are asked for.
pub struct RouteWay<'a, T> {
    state: State<'a, T>,
    /// The last place that has routes.
    last: Option<&'a Node<T>>,
    segments: Take<Iter<'a, u64>>,
}

enum State<'a, T> {
    Searching(Search<'a, Arc<Node<T>>>),
    At(&'a Node<T>),
    /// On the way down from a place, by the hash of a segment.
    Below(&'a Below<T>, u64),
    Arrived(&'a RouteEntry<T>),
    Done,
}

impl<T> RouteWay<'_, T> {
    /// Ask for the next lines; whether there may be more.
    #[inline]
    pub fn step(&mut self) -> bool {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Searching(search) => match search.step() {
                Searched::On(search) => self.state = State::Searching(search),
                Searched::Found(place) => {
                    fetch_shared(place);
                    self.state = State::At(place);
                }
                Searched::Missing => self.arrive(),
            },
            State::At(place) => {
                if !place.routes().is_empty() {
                    self.last = Some(place);
                }
                match (place.below(), self.segments.next()) {
                    (Some(below), Some(segment)) => {
                        fetch(below);
                        self.state = State::Below(below, *segment);
                    }
                    _ => self.arrive(),
                }
            }
            State::Below(below, segment) => {
                self.state = State::Searching(below.search(segment));
                // What it begins with lies in the line that is here now.
                return self.step();
            }
            State::Arrived(route) => fetch_shared(&route.id),
            State::Done => {}
        }
        !matches!(self.state, State::Done)
    }

    fn arrive(&mut self) {
        if let Some(first) = self.last.and_then(|place| place.routes().first()) {
            fetch_shared(&first.route);
            self.state = State::Arrived(&first.route);
        }
    }
}
