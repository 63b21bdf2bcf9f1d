//! What a flow waits for, when it cannot go on by itself.

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
