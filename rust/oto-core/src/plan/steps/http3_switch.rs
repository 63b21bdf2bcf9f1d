//! Tell clients that the same site is there over HTTP/3.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{At, NativeStep, Outcome, StepSettings};
use crate::http1::headers::is_value;

#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    #[serde(default = "an_hour")]
    ma: u32,
    #[serde(default)]
    domain: Option<String>,
    #[serde(default)]
    protocols: Vec<String>,
}

fn an_hour() -> u32 {
    3600
}

/// The step: what stands before and behind the port, once a protocol.
#[derive(Debug)]
pub(super) struct Http3Switch(Vec<(String, String)>);

impl StepSettings for Settings {
    type Step = Http3Switch;

    fn build(self) -> Result<Http3Switch, String> {
        let domain = self.domain.unwrap_or_default();
        let mut protocols = self.protocols;
        if protocols.is_empty() {
            protocols.push("h3".to_owned());
        }
        let is_quotable = |text: &str| {
            text.is_ascii() && is_value(text.as_bytes()) && !text.contains(['"', '\\', ' '])
        };
        if !is_quotable(&domain) {
            return Err(format!(
                "domain: {domain:?} is no domain; write one, or null for the one that was asked"
            ));
        }
        if let Some(bad) = protocols
            .iter()
            .find(|name| name.is_empty() || !is_quotable(name))
        {
            return Err(format!(
                "protocols: {bad:?} is no protocol; write h3, or leave the list empty"
            ));
        }
        let ma = self.ma;
        // Otoroshi tells them from the last to the first.
        let entries = protocols.iter().rev();
        Ok(Http3Switch(
            entries
                .map(|name| (format!("{name}=\"{domain}:"), format!("\"; ma={ma}")))
                .collect(),
        ))
    }
}

impl NativeStep for Http3Switch {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let ports = &at.flow.snapshot.settings.http3_ports;
        let Some(port) = ports.get(&*at.flow.downstream.listener) else {
            return Outcome::Continue;
        };
        let entries = self
            .0
            .iter()
            .map(|(before, behind)| format!("{before}{port}{behind}"));
        let value = entries.collect::<Vec<_>>().join(", ");
        at.flow.set_header(at.phase, b"alt-svc", value.as_bytes());
        Outcome::Continue
    }

    fn explain(&self) -> Value {
        json!({"protocols": self.0.iter().map(|(before, _)| before.split('=').next()).collect::<Vec<_>>()})
    }
}
