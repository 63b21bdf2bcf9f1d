//! Answer those who have no business here with more than they can take.

use serde::Deserialize;

use super::{At, NativeStep, Outcome, StepSettings};
use crate::access::IpSet;
use crate::plan::Reply;

/// What is sent in all.
const BYTES: u64 = 128 << 30;
const ZEROS: [u8; 18] = [0; 18];
const FINGER: &str = "\u{1f595}";
/// Fingers in a piece.
const FINGERS: usize = 16;

#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    #[serde(default)]
    finger: bool,
    #[serde(default)]
    addresses: Vec<String>,
    #[serde(default)]
    is_debug: bool,
}

/// The step.
#[derive(Debug)]
pub(super) struct Endless {
    finger: bool,
    addresses: IpSet,
    is_debug: bool,
}

impl StepSettings for Settings {
    type Step = Endless;

    fn build(self) -> Result<Endless, String> {
        Ok(Endless {
            finger: self.finger,
            addresses: IpSet::build("addresses", &self.addresses)?,
            is_debug: self.is_debug,
        })
    }
}

/// The answer: a piece, and how often it is sent.
pub(super) fn answer(finger: bool, once: bool) -> Outcome {
    let body = if finger {
        FINGER.repeat(FINGERS).into_bytes()
    } else {
        ZEROS.to_vec()
    };
    let times = if once { 1 } else { BYTES / body.len() as u64 };
    let kind = (
        b"Content-Type".to_vec(),
        b"application/octet-stream".to_vec(),
    );
    let reply = Reply {
        status: 200,
        headers: vec![kind],
        body,
    };
    Outcome::Repeat(reply, times)
}

impl NativeStep for Endless {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let everybody = self.is_debug && self.addresses.is_empty();
        if everybody || at.flow.comes_from(&self.addresses) {
            return answer(self.finger, self.is_debug);
        }
        Outcome::Continue
    }
}
