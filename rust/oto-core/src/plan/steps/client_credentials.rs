//! Which requests the token endpoint of requests without a route answers (`NgClientCredentials`).

use serde::Deserialize;
use serde_json::{Value, json};

use super::jwks_endpoint::JwksEndpoint;
use super::{At, NativeStep, Outcome, StepSettings};
use crate::plan::Reply;

const PREFIX: &str = "/.well-known/otoroshi/oauth/";

#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    domain: String,
    secure: bool,
}

/// The step: it answers all but the requests that need their body read.
#[derive(Debug)]
pub(super) struct ClientCredentials(Settings);

impl StepSettings for Settings {
    type Step = ClientCredentials;

    fn build(self) -> Result<ClientCredentials, String> {
        Ok(ClientCredentials(self))
    }
}

impl NativeStep for ClientCredentials {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let flow = &at.flow;
        let Some(rest) = flow.request.path().strip_prefix(PREFIX) else {
            return Outcome::Continue;
        };
        if self.0.domain != "*" && self.0.domain != flow.request.domain() {
            return Outcome::Continue;
        }
        if self.0.secure && !flow.secured {
            return error(400, "bad_request", "use a secure channel");
        }
        match (flow.request.method_text(), rest) {
            ("GET", "jwks.json") => {
                let keys = JwksEndpoint::exposed(&flow.snapshot.tables);
                Outcome::Answer(Reply::json(200, &keys))
            }
            ("POST", "token" | "token/introspect") => Outcome::Python,
            _ => error(404, "not_found", "resource not found"),
        }
    }

    fn explain(&self) -> Value {
        json!({ "domain": self.0.domain, "secure": self.0.secure })
    }
}

fn error(status: u16, error: &str, description: &str) -> Outcome {
    let body = json!({ "error": error, "error_description": description });
    Outcome::Answer(Reply::json(status, &body))
}
