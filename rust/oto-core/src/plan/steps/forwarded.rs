//! Tell the backend who asked for what, in `Forwarded` (RFC 7239).

use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;

use super::{At, NativeStep, Outcome, StepSettings};

#[derive(Debug, Deserialize)]
pub(super) struct Settings {}

/// The step.
#[derive(Debug)]
pub(super) struct Forwarded;

impl StepSettings for Settings {
    type Step = Forwarded;

    fn build(self) -> Result<Forwarded, String> {
        Ok(Forwarded)
    }
}

impl NativeStep for Forwarded {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let flow = &mut *at.flow;
        let chain = flow.forwarded_for();
        let hops = chain.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        let nodes: Vec<String> = hops.map(|hop| format!("for={}", node(hop))).collect();
        let proto = if flow.secured { "https" } else { "http" };
        // A host is checked when the head is read: it has nothing that a quoted string would escape.
        let value = format!(
            "{};proto={proto};host=\"{}\"",
            nodes.join(", "),
            flow.request.host()
        );
        flow.request.headers.set(b"Forwarded", value.as_bytes());
        Outcome::Continue
    }
}

/// A hop's address; what is none is not repeated to the backend.
fn node(hop: &[u8]) -> String {
    // A zone (`fe80::1%eth0`) means something to its own host only.
    let text = std::str::from_utf8(hop).unwrap_or("");
    let text = if text.contains('%') { "" } else { text };
    let ip = text
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    match ip.map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V4(ip)) => ip.to_string(),
        Ok(IpAddr::V6(ip)) => format!("\"[{ip}]\""),
        Err(_) => "unknown".to_owned(),
    }
}
