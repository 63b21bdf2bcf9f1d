//! Waiting for an engine's sockets in place.

use std::os::fd::OwnedFd;

/// Waits until an engine's turn would find something to do.
#[derive(Debug)]
pub struct Waiter {
    queue: OwnedFd,
}

impl Waiter {
    /// Wait on a duplicate of [`Engine::fileno`], so that nothing is locked meanwhile.
    #[must_use]
    pub fn new(queue: OwnedFd) -> Self {
        Self { queue }
    }

    /// Block for `timeout` at most; whether there is something to do.
    ///
    /// For the pump alone, and for fractions of a millisecond: an answer from a near backend comes
    /// sooner than a scheduler's next round.
    #[must_use]
    pub fn wait(&self, timeout: std::time::Duration) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let mut watched = [PollFd::new(&self.queue, PollFlags::IN)];
        let timeout = Timespec::try_from(timeout).ok();
        // An interrupted wait is a wait that found nothing.
        poll(&mut watched, timeout.as_ref()).is_ok_and(|ready| ready > 0)
    }
}
