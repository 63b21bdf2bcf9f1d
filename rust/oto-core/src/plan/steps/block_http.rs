//! Refuse plain HTTP, and take a key out of use that was sent that way: whoever listened has it now.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{At, NativeStep, Outcome, StepSettings};
use crate::plan::Reply;

const MESSAGE: &str = "All connections to this resource MUST use HTTPS and TLS";

#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    revoke_apikeys: bool,
    #[serde(default)]
    message: Option<String>,
}

/// The step.
#[derive(Debug)]
pub(super) struct BlockHttp {
    revokes: bool,
    message: String,
}

impl StepSettings for Settings {
    type Step = BlockHttp;

    fn build(self) -> Result<BlockHttp, String> {
        Ok(BlockHttp {
            revokes: self.revoke_apikeys,
            message: self.message.unwrap_or_else(|| MESSAGE.to_owned()),
        })
    }
}

impl NativeStep for BlockHttp {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        if at.flow.secured {
            return Outcome::Continue;
        }
        if self.revokes {
            at.flow.attrs.leaked_key = at
                .flow
                .attrs
                .apikey
                .as_ref()
                .map(|key| key.client_id().into());
        }
        Outcome::Answer(Reply::json(426, &json!({"message": self.message})))
    }

    fn explain(&self) -> Value {
        json!({"revoke_apikeys": self.revokes})
    }
}
