//! Take away what a client may not send on, and choose the target. The compiler puts it where the
//! request starts to become the backend's; no plugin lowers itself to it.

use super::{At, NativeStep, Outcome};
use crate::http1::Known;

/// The step, with the headers that steps of the route own.
#[derive(Debug)]
pub(in super::super) struct PrepareForBackend {
    owned: Vec<Box<str>>,
}

impl PrepareForBackend {
    /// Its name in explanations.
    pub(in super::super) const KIND: &'static str = "choose_target";

    /// Collect what the steps of a plan own.
    pub(in super::super) fn of<'a>(steps: impl Iterator<Item = &'a dyn NativeStep>) -> Self {
        let names = steps.flat_map(NativeStep::owned_headers);
        // `Authorization` is the client's as well: where no step writes it, it is for the backend.
        let names = names.filter(|name| !name.eq_ignore_ascii_case("authorization"));
        let mut owned: Vec<Box<str>> = names.map(Into::into).collect();
        owned.sort_unstable();
        owned.dedup();
        Self { owned }
    }
}

impl NativeStep for PrepareForBackend {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let headers = &mut at.flow.request.headers;
        at.flow.is_prepared = true;
        at.flow.client_state = headers.find_known(Known::OtoroshiState).map(Into::into);
        headers.remove_known(Known::is_removed_from_request);
        for name in &self.owned {
            headers.remove_lookalikes(name.as_bytes());
        }
        at.flow.choose_target(at.route);
        Outcome::Continue
    }
}
