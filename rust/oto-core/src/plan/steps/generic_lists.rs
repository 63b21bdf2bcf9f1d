//! Let through, or refuse, what an expression says by a list of values.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{At, NativeStep, Outcome, StepSettings};
use crate::expression::Template;

/// The value must be listed.
#[derive(Debug, Deserialize)]
pub(super) struct Allowed {
    #[serde(default)]
    expression: Option<String>,
    #[serde(default)]
    values: HashSet<String>,
}

/// The value must not be listed.
#[derive(Debug, Deserialize)]
pub(super) struct Blocked {
    #[serde(default)]
    expression: Option<String>,
    #[serde(default)]
    values: HashSet<String>,
}

/// The step.
#[derive(Debug)]
pub(super) struct GenericList {
    expression: Option<Template>,
    values: HashSet<String>,
    listed_pass: bool,
}

impl StepSettings for Allowed {
    type Step = GenericList;

    fn build(self) -> Result<GenericList, String> {
        Ok(GenericList {
            expression: template(self.expression)?,
            values: self.values,
            listed_pass: true,
        })
    }
}

impl StepSettings for Blocked {
    type Step = GenericList;

    fn build(self) -> Result<GenericList, String> {
        Ok(GenericList {
            expression: template(self.expression)?,
            values: self.values,
            listed_pass: false,
        })
    }
}

fn template(expression: Option<String>) -> Result<Option<Template>, String> {
    expression
        .map(|text| Template::parse(&text).map_err(|error| format!("expression: {error}")))
        .transpose()
}

impl NativeStep for GenericList {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let Some(expression) = &self.expression else {
            return Outcome::Continue;
        };
        let is_listed = self.values.contains(&*expression.text(at.flow));
        if is_listed == self.listed_pass {
            return Outcome::Continue;
        }
        let cause = match (self.listed_pass, self.values.is_empty()) {
            (true, true) => "errors.no.allowed.values",
            (true, false) => "errors.unallowed.expression",
            (false, _) => "errors.blocked.expression",
        };
        Outcome::Answer(at.flow.refusal(403, "forbidden", cause))
    }

    fn explain(&self) -> Value {
        json!({
            "expression": self.expression.as_ref().map(Template::source),
            "values": self.values.len(),
        })
    }
}
