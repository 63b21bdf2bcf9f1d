//! Let through, refuse or hide methods and paths.

use serde::Deserialize;

use super::{At, NativeStep, Outcome, StepSettings};
use crate::access::{Asked, Restrictions, RestrictionsSpec, Verdict};
use crate::plan::flow::Flow;
use crate::plan::reply::Reply;

/// The step.
#[derive(Debug)]
pub(super) struct RoutingRestrictions(Restrictions);

#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Settings(RestrictionsSpec);

impl StepSettings for Settings {
    type Step = RoutingRestrictions;

    fn build(self) -> Result<RoutingRestrictions, String> {
        Restrictions::build(self.0).map(RoutingRestrictions)
    }
}

impl NativeStep for RoutingRestrictions {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let route = &at.route.id;
        let request = &at.flow.request;
        let verdict = self.0.judge(&Asked {
            method: request.method_text(),
            domain: request.domain(),
            path: request.path(),
            concerns: &|kind, id| {
                matches!(kind, "route" | "service" | "route-composition") && *id == **route
            },
        });
        restricted(at.flow, verdict).map_or(Outcome::Continue, Outcome::Answer)
    }
}

/// The answer to a request that restrictions refuse: browsers get a page without a body.
pub(in crate::plan) fn restricted(flow: &mut Flow, verdict: Verdict) -> Option<Reply> {
    let (status, message, cause) = verdict.refusal()?;
    let mut reply = flow.refusal(status, message, cause);
    if !reply.body.starts_with(b"{") {
        reply.body.clear();
    }
    Some(reply)
}
