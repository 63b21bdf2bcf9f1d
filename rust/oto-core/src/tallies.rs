//! What each route's exchanges came to: plain sums, for routes that had traffic.
//!
//! An exchange costs one look-up when it ends, and nothing before. A route takes memory from its first exchange on:
//! 57 bytes in a table that is at least seven sixteenths full, 131 at most; its id is the snapshot's own.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

/// The most routes that are told apart; exchanges of others are counted together. The table takes 7.5 MB then.
pub const MOST_ROUTES: usize = 100_000;

/// The sums of one route since the engine started.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// Exchanges finished.
    pub calls: u64,
    /// Body bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients, heads included.
    pub bytes_out: u64,
    /// From the request heads to the ends of the responses.
    pub duration_s: f64,
    /// Of that, what was not spent waiting for a backend's response head.
    pub overhead_s: f64,
}

impl Tally {
    /// Add another's sums.
    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.duration_s += other.duration_s;
        self.overhead_s += other.overhead_s;
    }
}

/// The tallies of all routes that had traffic.
#[derive(Debug)]
pub struct Tallies {
    by_route: HashMap<Arc<str>, Tally, RandomState>,
    most: usize,
    uncounted: u64,
}

impl Default for Tallies {
    fn default() -> Self {
        Self::new(MOST_ROUTES)
    }
}

impl Tallies {
    /// Tallies of so many routes at most.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            by_route: HashMap::default(),
            most,
            uncounted: 0,
        }
    }

    /// Count an exchange for its route.
    pub fn count(&mut self, route: &Arc<str>, exchange: &Tally) {
        if let Some(tally) = self.by_route.get_mut(route) {
            tally.add(exchange);
        } else if self.by_route.len() < self.most {
            self.by_route.insert(Arc::clone(route), *exchange);
        } else {
            self.uncounted += exchange.calls;
        }
    }

    /// The sums of one route; none when it had no traffic.
    #[must_use]
    pub fn of(&self, route: &str) -> Option<&Tally> {
        self.by_route.get(route)
    }

    /// Every route that had traffic, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Tally)> {
        self.by_route.iter()
    }

    /// Exchanges of routes for which there was no room.
    #[must_use]
    pub fn uncounted(&self) -> u64 {
        self.uncounted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(bytes_in: u64) -> Tally {
        Tally {
            calls: 1,
            bytes_in,
            bytes_out: 10,
            duration_s: 0.5,
            overhead_s: 0.25,
        }
    }

    #[test]
    fn sums_are_kept_by_id_whatever_the_snapshot() {
        let mut tallies = Tallies::default();
        tallies.count(&Arc::from("a"), &one(1));
        // The same route of a later snapshot.
        tallies.count(&Arc::from("a"), &one(2));
        tallies.count(&Arc::from("b"), &one(4));
        let sum = Tally {
            calls: 2,
            bytes_in: 3,
            bytes_out: 20,
            duration_s: 1.0,
            overhead_s: 0.5,
        };
        assert_eq!(tallies.of("a"), Some(&sum));
        assert_eq!(tallies.of("b"), Some(&one(4)));
        assert_eq!(tallies.of("c"), None);
        assert_eq!(tallies.iter().count(), 2);
    }

    #[test]
    fn beyond_the_bound_exchanges_are_counted_together() {
        let mut tallies = Tallies::new(1);
        tallies.count(&Arc::from("a"), &one(1));
        tallies.count(&Arc::from("b"), &one(1));
        tallies.count(&Arc::from("a"), &one(1));
        assert_eq!(tallies.of("a").map(|tally| tally.calls), Some(2));
        assert_eq!(tallies.of("b"), None);
        assert_eq!(tallies.uncounted(), 1);
    }
}
