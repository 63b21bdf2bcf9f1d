//! When something is counted.

/// A moment in the units of counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock of the machine in milliseconds: windows, buckets, bans.
    pub mono_ms: u64,
    /// Unix time in seconds: days and months.
    pub unix_s: i64,
}

impl Now {
    /// From clock readings in seconds. A reading of an engine's clock goes through
    /// [`Limits::now`](super::Limits::now) instead, which knows how it differs from the machine's. What is before their beginning counts as the beginning.
    #[must_use]
    pub fn at(mono_s: f64, unix_s: f64) -> Self {
        Self {
            // A little more, so that 0.3 s are 300 ms although the nearest double is less.
            mono_ms: (mono_s * 1000.0 + 1e-4) as u64,
            unix_s: unix_s.max(0.0) as i64,
        }
    }
}
