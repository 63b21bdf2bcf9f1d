//! What a plan is made of.

use std::collections::BTreeMap;
use std::sync::Arc;

use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

use super::next::PythonStep;
use super::steps::NativeStep;
use crate::apikeys::Membership;
use crate::balance::Backend;

/// A moment in an exchange's life, in order.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize, serde::Serialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// No route takes the request.
    Sink,
    /// Whether the route takes this request at all.
    MatchRoute,
    /// Before anything else; may answer.
    PreRoute,
    /// May refuse.
    Access,
    /// Edits the request for the backend.
    TransformRequest,
    /// Answers in the backend's place.
    CallBackend,
    /// Edits the response for the client.
    TransformResponse,
    /// After the exchange, whatever happened.
    Done,
}

impl Phase {
    /// Otoroshi's name of the phase in error messages.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Sink => "request-sink",
            Self::MatchRoute => "route-matching",
            Self::PreRoute => "pre-routing",
            Self::Access => "access",
            Self::TransformRequest => "request-transformation",
            Self::CallBackend => "backend-call",
            Self::TransformResponse => "response-transformation",
            Self::Done => "after-request",
        }
    }
}

/// One thing to do.
#[derive(Debug)]
pub enum Step {
    /// Done by the engine.
    Native {
        /// Its name in the table of steps.
        kind: &'static str,
        /// What is done.
        step: Box<dyn NativeStep>,
    },
    /// Run a hook in Python.
    Python(PythonStep),
}

/// A step with its place.
#[derive(Debug)]
pub struct PlanStep {
    /// When it runs.
    pub phase: Phase,
    /// The plugin it comes from.
    pub plugin: Box<str>,
    /// Paths and listeners it is limited to; none means all.
    pub gate: Option<Gate>,
    /// What it does.
    pub step: Step,
    /// The hook that runs instead when a native step cannot decide.
    pub twin: Option<PythonStep>,
}

/// What a plugin slot is limited to: `include`, `exclude` and `bound_listeners`.
#[derive(Debug)]
pub struct Gate {
    /// One of these must match the path, when there are any.
    pub include: Vec<Regex>,
    /// None of these may match the path.
    pub exclude: Vec<Regex>,
    /// The request must have come through one of these, when there are any.
    pub listeners: Vec<Box<str>>,
}

impl Gate {
    /// Whether the step runs for a request with this path on this listener.
    #[must_use]
    pub fn passes(&self, path: &str, listener: &str) -> bool {
        (self.include.is_empty() || self.include.iter().any(|pattern| pattern.is_match(path)))
            && !self.exclude.iter().any(|pattern| pattern.is_match(path))
            && (self.listeners.is_empty() || self.listeners.iter().any(|id| **id == *listener))
    }
}

/// The steps of a route in execution order, with the places where stages begin.
#[derive(Debug)]
pub struct Plan {
    /// All steps.
    pub steps: Vec<PlanStep>,
    /// The first step that sees a response.
    pub response_at: usize,
    /// The first step of the done phase.
    pub done_at: usize,
}

impl Plan {
    /// Whether something runs after the exchange.
    #[must_use]
    pub fn has_done_steps(&self) -> bool {
        self.done_at < self.steps.len()
    }
}

/// What expressions may ask of a route beyond its id and name; the compiler hands it over for the
/// routes whose plugins ask.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RouteFacts {
    /// Ids of the groups it belongs to.
    pub groups: Vec<String>,
    /// Its domains, with their paths, as declared.
    pub domains: Vec<String>,
    /// Its metadata.
    pub metadata: BTreeMap<String, String>,
    /// The entity; null unless it is asked for.
    pub document: Value,
}

/// A route as the engine runs it.
#[derive(Debug)]
pub struct Route {
    /// The entity's id.
    pub id: Arc<str>,
    /// The entity's name.
    pub name: Box<str>,
    /// What it belongs to.
    pub membership: Arc<Membership>,
    /// Whether the matched part of the path is taken off.
    pub strip_path: bool,
    /// Where requests go.
    pub backend: Backend,
    /// What is done on the way.
    pub plan: Arc<Plan>,
    /// What expressions may ask of it.
    pub facts: Option<Box<RouteFacts>>,
    /// Its metadata, for events, as JSON: a map would take ten times the memory of each route. None when it has
    /// none.
    pub metadata: Option<Arc<str>>,
    /// Whether expressions may ask for fields of the request as they arrived: a copy is kept then.
    pub reads_arrived: bool,
    /// Whether it is none that the router finds: its steps see what no route takes.
    pub is_sink: bool,
}
