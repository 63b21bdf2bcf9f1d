//! Requests whose head is read and whose exchange has not begun.
//!
//! Where the tables are large, what a request needs of them is in no cache. Requests that are there at
//! once wait for each other's heads then: meanwhile the lines that each needs are on their way
//! (`oto_core::plan::Foreseen`). A few microseconds later all of them have begun, in the order in which
//! they were read.

use std::panic::{AssertUnwindSafe, catch_unwind};

use oto_core::http1::{Request, ResponseHead};
use oto_core::plan::{FORESEEN_AT_ONCE, Foreseen};

use crate::connection::DownPhase;
use crate::engine::{Engine, down_token};

/// A request that waits for its turn.
pub(crate) struct Heard {
    key: usize,
    serial: u32,
    request: Request,
    response: ResponseHead,
    foreseen: Foreseen,
}

impl Engine {
    /// Begin an exchange for a head that was read, or have it wait for its turn.
    pub(crate) fn hear(&mut self, key: usize, request: Request, response: ResponseHead) {
        let foreseen = self.downs.get_mut(key).and_then(|down| {
            let listener = self.listeners.get(down.listener)?;
            let foreseen = self.snapshot.foresee(&request, &listener.id)?;
            down.phase = DownPhase::Heard;
            Some((down.serial, foreseen))
        });
        let Some((serial, foreseen)) = foreseen else {
            self.begin_exchange(key, request, response);
            return;
        };
        self.heard.push(Heard {
            key,
            serial,
            request,
            response,
            foreseen,
        });
        if self.heard.len() >= FORESEEN_AT_ONCE {
            self.begin_heard();
        }
    }

    /// Begin the exchanges of all requests that wait.
    pub(crate) fn begin_heard(&mut self) {
        // A hint must not be able to end the turn.
        let foreseen = self.heard.iter().map(|heard| &heard.foreseen);
        if catch_unwind(AssertUnwindSafe(|| self.snapshot.fetch_all(foreseen))).is_err() {
            self.metrics.panics += 1;
        }
        let mut heard = std::mem::take(&mut self.heard);
        for one in heard.drain(..) {
            let is_there = self
                .downs
                .get(one.key)
                .is_some_and(|down| down.serial == one.serial && down.phase == DownPhase::Heard);
            if is_there {
                self.guarded(down_token(one.key), |engine| {
                    engine.begin_exchange(one.key, one.request, one.response);
                });
            }
        }
        // Beginning an exchange reads no head, so nothing was added meanwhile; only the memory is kept.
        self.heard = heard;
    }
}
