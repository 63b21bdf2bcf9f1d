//! What a flow waits for, when it cannot go on by itself.

use super::attrs::BodyBound;

/// What must happen outside before the flow can go on.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Run this hook, then advance.
    Python(PythonStep),
    /// Call the backend, fill `response`, then [`Flow::begin_response`](super::Flow::begin_response) and advance.
    Forward,
    /// Send `response` with the body taken from [`Flow::take_body`](super::Flow::take_body).
    Reply,
    /// Send `response` with the backend's body.
    Stream,
    /// The done phase is over; drop the flow.
    Finished,
}

/// A hook to run in Python.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PythonStep {
    /// Index in the worker's table of bound hooks; [`MONITORING_SLOT`](super::MONITORING_SLOT) for the gateway's own pages.
    pub slot: i64,
    /// Whether the hook is a plain function.
    pub inline: bool,
}

/// Where the body of a response is.
#[derive(Debug)]
pub enum ResponseBody<'a> {
    /// Here: a plugin answered in the backend's place. What the client will get of it.
    Here(&'a [u8]),
    /// With the backend.
    Backend(BackendBody),
}

/// How a body of the backend may be read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BackendBody {
    /// What the client may get of it, as far as steps said by now.
    pub bound: BodyBound,
    /// How long the backend may say nothing, in seconds.
    pub idle_s: f64,
}
