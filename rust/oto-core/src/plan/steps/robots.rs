//! Tell crawlers what they may read: `/robots.txt` and `X-Robots-Tag`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::fields::latin1;
use super::{At, NativeStep, Outcome, StepSettings};
use crate::http1::headers::is_value;
use crate::plan::Phase;
use crate::plan::reply::Reply;

#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    robot_txt_enabled: bool,
    robot_txt_content: String,
    header_enabled: bool,
    header_content: String,
}

/// The step.
#[derive(Debug)]
pub(super) struct Robots {
    text: Option<Box<[u8]>>,
    header: Option<Box<[u8]>>,
}

impl StepSettings for Settings {
    type Step = Robots;

    fn build(self) -> Result<Robots, String> {
        let header = latin1(&self.header_content).filter(|value| is_value(value));
        if self.header_enabled && header.is_none() {
            return Err(
                "header_content: the value has a character that no header can carry".to_owned(),
            );
        }
        Ok(Robots {
            text: self
                .robot_txt_enabled
                .then(|| self.robot_txt_content.into_bytes().into()),
            header: header.filter(|_| self.header_enabled).map(Into::into),
        })
    }
}

impl NativeStep for Robots {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        if at.phase >= Phase::TransformResponse {
            if let Some(value) = &self.header {
                at.flow.response.headers.set(b"X-Robots-Tag", value);
            }
            return Outcome::Continue;
        }
        match &self.text {
            Some(text) if at.flow.request.path() == "/robots.txt" => Outcome::Answer(Reply {
                status: 200,
                headers: vec![(b"Content-Type".to_vec(), b"text/plain".to_vec())],
                body: text.to_vec(),
            }),
            _ => Outcome::Continue,
        }
    }

    fn explain(&self) -> Value {
        json!({"robots.txt": self.text.is_some(), "X-Robots-Tag": self.header.is_some()})
    }
}
