//! Take away what a client may not send on, and choose the target. The compiler puts it where the
//! request starts to become the backend's; no plugin lowers itself to it.

use super::{At, NativeStep, Outcome};
use crate::http1::Known;

/// The step.
#[derive(Debug)]
pub(in super::super) struct PrepareForBackend;

impl PrepareForBackend {
    /// Its name in explanations.
    pub(in super::super) const KIND: &'static str = "choose_target";
}

impl NativeStep for PrepareForBackend {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let headers = &mut at.flow.request.headers;
        at.flow.is_prepared = true;
        at.flow.client_state = headers.find_known(Known::OtoroshiState).map(Into::into);
        headers.remove_known(Known::is_removed_from_request);
        at.flow.choose_target(at.route);
        Outcome::Continue
    }
}
