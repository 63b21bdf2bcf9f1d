//! Remove, rename and add query parameters of the backend's request.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{At, NativeStep, Outcome, StepSettings};
use crate::expression::{decode_query, encode_query};

/// The step is its settings.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct QueryTransformer {
    remove: Vec<String>,
    rename: BTreeMap<String, String>,
    add: BTreeMap<String, String>,
}

impl StepSettings for QueryTransformer {
    type Step = Self;

    fn build(self) -> Result<Self, String> {
        Ok(self)
    }
}

impl NativeStep for QueryTransformer {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let flow = &mut *at.flow;
        let query = match &flow.attrs.query {
            Some(query) => query,
            None => flow.request.query().unwrap_or(""),
        };
        let changed = self.transform(query);
        if changed != query {
            flow.attrs.query = Some(changed.into());
        }
        Outcome::Continue
    }

    fn explain(&self) -> Value {
        json!({
            "remove": self.remove,
            "rename": self.rename,
            "add": self.add.keys().collect::<Vec<_>>(),
        })
    }
}

impl QueryTransformer {
    fn transform(&self, query: &str) -> String {
        let mut pairs: Vec<String> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let name = decode_query(pair.split('=').next().unwrap_or(pair));
            if self.remove.iter().any(|removed| *removed == name) {
                continue;
            }
            let renamed = self.rename.get(&*name);
            let name = renamed.map_or(&*name, String::as_str);
            if self.add.contains_key(name) {
                continue;
            }
            pairs.push(match (renamed, pair.split_once('=')) {
                (None, _) => pair.to_owned(),
                (Some(name), Some((_, value))) => format!("{}={value}", encode_query(name)),
                (Some(name), None) => encode_query(name),
            });
        }
        pairs.extend(
            self.add
                .iter()
                .map(|(name, value)| format!("{}={}", encode_query(name), encode_query(value))),
        );
        pairs.join("&")
    }
}
