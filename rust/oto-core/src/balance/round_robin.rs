//! `RoundRobin`: each choice in turn.
//!
//! Otoroshi shares one counter among all routes; here each backend has its own, so that traffic on
//! one route never skews another.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The turn counter of one backend.
#[derive(Debug, Default)]
pub struct RoundRobin {
    turn: AtomicUsize,
}

impl RoundRobin {
    /// The next index below `choices`.
    pub fn pick(&self, choices: usize) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed) % choices.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::RoundRobin;

    #[test]
    fn every_choice_has_its_turn() {
        let turns = RoundRobin::default();
        assert_eq!(
            (0..4).map(|_| turns.pick(3)).collect::<Vec<_>>(),
            [0, 1, 2, 0]
        );
    }
}
