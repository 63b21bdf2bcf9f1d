//! What a hook does that was called because its native step could not decide.

use super::flow::Flow;
use super::step::Step;
use super::steps::{At, Outcome};

impl Flow {
    /// Let the native step decide again that left the decision to the hook which holds the flow now:
    /// the hook has meanwhile brought what the step lacked. `Continue` for a hook of its own right.
    pub fn decide_again(&mut self) -> Outcome {
        let Some(route) = self.route.clone() else {
            return Outcome::Continue;
        };
        let Some(step) = self.handed_out(&route) else {
            return Outcome::Continue;
        };
        let Step::Native { step: native, .. } = &step.step else {
            return Outcome::Continue;
        };
        let mut at = At {
            flow: self,
            route: &route,
            phase: step.phase,
        };
        native.run(&mut at)
    }
}
