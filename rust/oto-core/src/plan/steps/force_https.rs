//! Redirect plain HTTP to HTTPS with 303.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{At, NativeStep, Outcome, StepSettings, redirection};

#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    #[serde(default)]
    port: Option<u16>,
}

/// The step; without a port of its own it takes the gateway's, and 443 without that.
#[derive(Debug)]
pub(super) struct ForceHttps {
    port: Option<u16>,
}

impl StepSettings for Settings {
    type Step = ForceHttps;

    fn build(self) -> Result<ForceHttps, String> {
        Ok(ForceHttps { port: self.port })
    }
}

impl NativeStep for ForceHttps {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        if at.flow.secured {
            return Outcome::Continue;
        }
        let request = &at.flow.request;
        let (domain, path) = (request.domain(), request.path());
        let port = self.port.or(at.flow.snapshot.settings.https_port);
        let port = port
            .filter(|port| *port != 443)
            .map(|port| format!(":{port}"))
            .unwrap_or_default();
        let query = request
            .query()
            .map(|query| format!("?{query}"))
            .unwrap_or_default();
        Outcome::Answer(redirection(
            303,
            format!("https://{domain}{port}{path}{query}").as_bytes(),
        ))
    }

    fn explain(&self) -> Value {
        json!({"port": self.port})
    }
}
