//! Calls at once: each worker counts its own, and all are added up.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire};

use super::{GAUGES, Limits, header};

impl Limits {
    pub(super) fn gauge(&self, number: usize) -> Option<&AtomicU64> {
        let at = header::GAUGES + number * header::GAUGE_STEP;
        self.table.header().get(at)
    }

    /// Calls under way in all workers.
    #[must_use]
    pub fn under_way(&self) -> u64 {
        (0..GAUGES)
            .filter_map(|number| self.gauge(number))
            .map(|word| word.load(Acquire))
            .fold(0, u64::saturating_add)
    }

    /// Count a call as under way until the guard is dropped; gives how many are, this one included.
    #[must_use]
    pub fn enter(self: &Arc<Self>) -> (UnderWay, u64) {
        if let Some(word) = self.gauge(self.gauge) {
            word.fetch_add(1, AcqRel);
        }
        (UnderWay(Arc::clone(self)), self.under_way())
    }
}

/// A call that is under way; dropping it ends it.
#[derive(Debug)]
pub struct UnderWay(Arc<Limits>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(word) = self.0.gauge(self.0.gauge) {
            // Never below 0: the gauge may have been taken back meanwhile.
            let _ = word.fetch_update(AcqRel, Acquire, |count| count.checked_sub(1));
        }
    }
}
