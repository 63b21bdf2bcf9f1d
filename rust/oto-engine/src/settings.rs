//! Bounds and timeouts of an engine.

use oto_core::http1::HeadLimits;
use serde::Deserialize;

/// What an engine is started with. Times are seconds, sizes bytes; every field has a default.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Request line and fields of a request, and status line and fields of a response.
    pub head_bytes: usize,
    /// The request target alone.
    pub target_bytes: usize,
    /// Fields of a request (at most 256).
    pub head_fields: usize,
    /// From the first byte of a request, or from accepting the connection, to its whole head.
    pub head_timeout_s: f64,
    /// Between two pieces of a request body, or of a response that a client reads.
    pub body_idle_s: f64,
    /// A connection that waits for its next request.
    pub keep_alive_idle_s: f64,
    /// While draining, how long a connection without a request is kept: a client that keeps its
    /// connections may be sending one, and is answered with `Connection: close`.
    pub drain_idle_s: f64,
    /// How long a closed connection is still read, so that its last answer is not reset.
    pub linger_s: f64,
    /// After a client closed its sending side: how long to wait before asking whether it is still there.
    pub half_close_probe_s: f64,
    /// A client that closed its sending side and whose answer has begun counts as gone once the backend has said
    /// nothing for so long.
    pub half_close_quiet_s: f64,
    /// An upgraded connection without a byte in either direction.
    pub tunnel_idle_s: f64,
    /// The longest message of a WebSocket where messages are looked at; whoever does keeps to it.
    pub websocket_message_bytes: usize,
    /// Frames of one such message.
    pub websocket_fragments: usize,
    /// Client connections in all; above it the kernel's queue holds them.
    pub max_connections: usize,
    /// Unused connections kept for each target.
    pub pool_idle_per_target: usize,
    /// How long an unused connection is kept.
    pub pool_idle_s: f64,
    /// How long a resolved host name is used before it is asked for again.
    pub resolution_s: f64,
    /// From accepting a TLS connection to the end of its handshake.
    pub handshake_timeout_s: f64,
    /// Access records kept until they are drained; 0 makes none.
    pub records_capacity: usize,
    /// Unix sockets that may be targets, and folders of such; none when empty.
    pub unix_targets: Vec<Box<str>>,
    /// What tells the ids of this engine's requests from those of others: 0 to 1023.
    pub instance: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            head_bytes: 32 * 1024,
            target_bytes: 16 * 1024,
            head_fields: 100,
            head_timeout_s: 10.0,
            body_idle_s: 60.0,
            keep_alive_idle_s: 60.0,
            drain_idle_s: 1.0,
            linger_s: 2.0,
            half_close_probe_s: 0.1,
            half_close_quiet_s: 1.0,
            tunnel_idle_s: 3600.0,
            websocket_message_bytes: 1024 * 1024,
            websocket_fragments: 4096,
            max_connections: 20_000,
            pool_idle_per_target: 256,
            pool_idle_s: 30.0,
            resolution_s: 30.0,
            handshake_timeout_s: 10.0,
            records_capacity: 0,
            unix_targets: Vec::new(),
            instance: 0,
        }
    }
}

impl Settings {
    /// Read settings from JSON; every key may be missing.
    ///
    /// # Errors
    /// The key and what is wrong with it.
    pub fn from_json(json: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(json).map_err(|error| format!("engine settings: {error}"))
    }

    /// The bounds of a head as the parser wants them.
    #[must_use]
    pub fn head_limits(&self) -> HeadLimits {
        HeadLimits {
            head_bytes: self.head_bytes.min(READ_BYTES - 2),
            target_bytes: self.target_bytes,
            fields: self.head_fields,
        }
    }
}

/// One read: what a connection can bring in before anything else has its turn, and so the most that
/// is held for it when its other side is slow.
pub(crate) const READ_BYTES: usize = 128 * 1024;
