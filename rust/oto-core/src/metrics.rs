//! Counters of one engine: plain numbers, added to in passing, read by the control plane.

/// Upper bounds (seconds) of the latency buckets; one more bucket takes the rest.
pub const LATENCY_BOUNDS_S: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// What an engine has done since it started.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Exchanges finished, whatever became of them.
    pub requests: u64,
    /// Of those, by first digit of the status; 499 counts as the client's.
    pub by_class: [u64; 6],
    /// Requests whose head was refused before routing.
    pub refused_heads: u64,
    /// Exchanges whose client left before the end.
    pub client_left: u64,
    /// Attempts that failed, by connecting, timing out or breaking off.
    pub upstream_failures: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections made to backends.
    pub connected: u64,
    /// Times an unused backend connection was taken up again.
    pub reused: u64,
    /// TLS handshakes with clients that ended well.
    pub handshakes: u64,
    /// Of those, by resuming an earlier session.
    pub resumed: u64,
    /// TLS handshakes with clients that failed.
    pub handshake_failures: u64,
    /// Accepts that failed (descriptors or memory ran out).
    pub accept_errors: u64,
    /// Body bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients.
    pub bytes_out: u64,
    /// Panics caught, each at the cost of one connection.
    pub panics: u64,
    /// Connections of TCP services accepted.
    pub tcp_accepted: u64,
    /// Of those, refused: by address, by number, by what they began with, or because nothing takes them.
    pub tcp_refused: u64,
    /// Of those, without a target that could be reached, or cut off by an error or a bound.
    pub tcp_failed: u64,
    /// Bytes from their clients.
    pub tcp_bytes_in: u64,
    /// Bytes to their clients.
    pub tcp_bytes_out: u64,
    /// Exchanges by duration.
    pub latency: [u64; LATENCY_BOUNDS_S.len() + 1],
    /// Sum of all durations.
    pub latency_sum_s: f64,
    /// Of that, what was not spent waiting for a backend's response head.
    pub overhead_sum_s: f64,
}

impl Metrics {
    /// Count one finished exchange.
    pub fn finished(&mut self, status: u16, duration_s: f64) {
        self.requests += 1;
        self.by_class[usize::from(status / 100).min(5)] += 1;
        let bucket = LATENCY_BOUNDS_S
            .iter()
            .position(|bound| duration_s <= *bound);
        self.latency[bucket.unwrap_or(LATENCY_BOUNDS_S.len())] += 1;
        self.latency_sum_s += duration_s;
    }
}
