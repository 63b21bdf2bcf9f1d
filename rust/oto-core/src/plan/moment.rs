//! When something happens, and the luck it has: all that a decision may know of the world's clocks.

/// A moment as the driver of a flow sees it; nothing in the core reads a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moment {
    /// The driver's clock in seconds: only differences mean something (windows, buckets, waits).
    pub mono_s: f64,
    /// Unix time in seconds: what calendars and tokens speak of.
    pub unix_s: f64,
    /// Random bits for one decision.
    pub random: u64,
}
