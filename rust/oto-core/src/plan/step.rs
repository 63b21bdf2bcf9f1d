//! What a plan is made of.

use std::sync::Arc;

use regex::Regex;

use super::expectation::Expectation;
use crate::balance::Backend;

/// A moment in an exchange's life, in order.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize, serde::Serialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
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

/// A header field to write: name and value.
pub type Field = (Box<[u8]>, Box<[u8]>);

/// One thing to do. Native steps are done by the engine; a Python step is handed up.
#[derive(Debug)]
pub enum Step {
    /// Answer with a redirection.
    Redirect {
        /// 301, 302, 303, 307 or 308.
        code: u16,
        /// The value of `Location`.
        to: Box<[u8]>,
    },
    /// Redirect plain HTTP to HTTPS with 303.
    ForceHttps {
        /// The exposed HTTPS port; none means 443.
        port: Option<u16>,
    },
    /// Answer with an error.
    Refuse {
        /// The status.
        status: u16,
        /// The message shown.
        message: Box<str>,
        /// Otoroshi's cause id.
        cause: Box<str>,
    },
    /// Let only some methods through.
    AllowMethods {
        /// Allowed methods in upper case; none means all.
        allowed: Option<Vec<Box<str>>>,
        /// Forbidden methods in upper case.
        forbidden: Vec<Box<str>>,
    },
    /// Refuse unless every named header is as expected.
    RequireHeaders(Vec<(Box<[u8]>, Expectation)>),
    /// Put headers in place.
    SetHeaders(Vec<Field>),
    /// Put headers that are absent.
    AddMissingHeaders(Vec<Field>),
    /// Take headers away.
    RemoveHeaders(Vec<Box<[u8]>>),
    /// Send the target's host name as `Host`.
    OverrideHost,
    /// Add `X-Forwarded-*`.
    XForwarded,
    /// Take away what a client may not send on, and choose the target: put in by the compiler
    /// where the request starts to become the backend's.
    PrepareForBackend,
    /// Run a hook in Python.
    Python {
        /// Index of the bound hook in the worker's table.
        slot: i64,
        /// Whether the hook is a plain function, run without a task.
        inline: bool,
    },
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

/// A route as the engine runs it.
#[derive(Debug)]
pub struct Route {
    /// The entity's id.
    pub id: Arc<str>,
    /// The entity's name.
    pub name: Box<str>,
    /// Whether the matched part of the path is taken off.
    pub strip_path: bool,
    /// Where requests go.
    pub backend: Backend,
    /// What is done on the way.
    pub plan: Arc<Plan>,
}
