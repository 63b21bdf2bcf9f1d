//! Deadlines of many connections, kept lazily.
//!
//! A deadline moves with every request; the queue is not told. Each connection has at most a few
//! entries; an entry that comes up early looks at the connection's real deadline and goes back in.
//! So a busy connection costs the queue about one entry per time-out, not one per request.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Which connection an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    /// A client's connection.
    Down,
    /// A backend's connection.
    Up,
    /// A connection of a TCP service.
    Relay,
}

/// An entry that came up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Due {
    tick: u64,
    /// Whose it is.
    pub(crate) owner: Owner,
    /// The connection's place in its slab.
    pub(crate) key: usize,
    /// Tells a connection from an earlier one in the same place.
    pub(crate) serial: u32,
}

/// A deadline with the earliest entry queued for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    at_s: f64,
    queued_s: f64,
}

impl Deadline {
    pub(crate) fn never() -> Self {
        Self {
            at_s: f64::INFINITY,
            queued_s: f64::INFINITY,
        }
    }

    pub(crate) fn is_due(self, now_s: f64) -> bool {
        self.at_s <= now_s
    }
}

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<Due>>,
}

/// Ticks a second: how exact deadlines are.
const TICKS_PER_S: f64 = 100.0;

impl Timers {
    /// Move a deadline; an entry is queued only when none comes up early enough.
    pub(crate) fn set(
        &mut self,
        deadline: &mut Deadline,
        at_s: f64,
        owner: Owner,
        key: usize,
        serial: u32,
    ) {
        deadline.at_s = at_s;
        if at_s < deadline.queued_s {
            deadline.queued_s = at_s;
            self.push(at_s, owner, key, serial);
        }
    }

    /// An entry came up before its connection's deadline: queue it again.
    pub(crate) fn again(&mut self, deadline: &mut Deadline, due: Due) {
        deadline.queued_s = deadline.at_s;
        if deadline.at_s.is_finite() {
            self.push(deadline.at_s, due.owner, due.key, due.serial);
        }
    }

    fn push(&mut self, at_s: f64, owner: Owner, key: usize, serial: u32) {
        // A cast from float saturates, so a negative or huge time stays a valid tick.
        let tick = (at_s * TICKS_PER_S).ceil() as u64;
        self.heap.push(Reverse(Due {
            tick,
            owner,
            key,
            serial,
        }));
    }

    /// The next entry that is due.
    pub(crate) fn pop(&mut self, now_s: f64) -> Option<Due> {
        let tick = (now_s * TICKS_PER_S) as u64;
        if self.heap.peek()?.0.tick > tick {
            return None;
        }
        self.heap.pop().map(|entry| entry.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moving_deadline_is_queued_once() {
        let (mut timers, mut deadline) = (Timers::default(), Deadline::never());
        timers.set(&mut deadline, 5.0, Owner::Down, 1, 1);
        for at in 6..100 {
            timers.set(&mut deadline, f64::from(at), Owner::Down, 1, 1);
        }
        assert_eq!(timers.heap.len(), 1);
        assert_eq!(timers.pop(4.9), None);
        let due = timers.pop(5.0).expect("queued");
        assert!(!deadline.is_due(5.0));
        timers.again(&mut deadline, due);
        assert_eq!(timers.pop(98.0), None);
        assert!(timers.pop(99.0).is_some() && deadline.is_due(99.0));
    }

    #[test]
    fn an_earlier_deadline_comes_up_earlier() {
        let (mut timers, mut deadline) = (Timers::default(), Deadline::never());
        timers.set(&mut deadline, 60.0, Owner::Up, 2, 7);
        timers.set(&mut deadline, 1.0, Owner::Up, 2, 7);
        assert!(timers.pop(1.0).is_some() && deadline.is_due(1.0));
    }
}
