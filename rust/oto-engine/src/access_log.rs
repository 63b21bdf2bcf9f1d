//! The access log of listeners that have one: lines wait here until somebody takes them.

use std::collections::HashSet;

use oto_core::record::AccessLine;

use crate::engine::Engine;

/// Bytes of lines that wait at most; further ones are lost.
const MOST_WAITING: usize = 1024 * 1024;

/// Whose requests are told, and what was told.
#[derive(Default)]
pub(crate) struct AccessLog {
    listeners: HashSet<String>,
    lines: Vec<u8>,
    lost: u64,
}

impl AccessLog {
    /// Whether each request of a listener makes a line.
    pub(crate) fn is_of(&self, listener: &str) -> bool {
        !self.listeners.is_empty() && self.listeners.contains(listener)
    }

    pub(crate) fn push(&mut self, line: &AccessLine<'_>) {
        if self.lines.len() < MOST_WAITING {
            line.write(&mut self.lines);
        } else {
            self.lost += 1;
        }
    }
}

impl Engine {
    /// Make a line of each request that ends from now on and came by one of these listeners, and of no other.
    pub fn log_access(&mut self, listeners: HashSet<String>) {
        self.access_log.listeners = listeners;
    }

    /// Take the lines, and how many were lost since the last time.
    pub fn take_access_lines(&mut self) -> (Vec<u8>, u64) {
        let log = &mut self.access_log;
        (
            std::mem::take(&mut log.lines),
            std::mem::take(&mut log.lost),
        )
    }
}
