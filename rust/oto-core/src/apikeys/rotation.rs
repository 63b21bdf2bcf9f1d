//! The end of a secret's time: what a key that rotates is from then on.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::entity::ApiKey;
use crate::plan::TableEntity;

/// When the period of a key ends, and the key that follows.
#[derive(Debug)]
pub struct Rotation {
    end_ms: i64,
    after: Arc<ApiKey>,
}

#[derive(Deserialize)]
struct Spec {
    end_ms: i64,
    after: Value,
}

impl TableEntity for Rotation {
    fn read(id: &str, json: &[u8]) -> Result<Self, String> {
        let spec: Spec = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let after = ApiKey::read(spec.after.to_string().as_bytes())
            .map_err(|problem| format!("after.{problem}"))?;
        if after.client_id() != id {
            return Err(format!("after.clientId: it is not {id:?}"));
        }
        Ok(Self {
            end_ms: spec.end_ms,
            after: Arc::new(after),
        })
    }
}

impl Rotation {
    /// The key that follows, when the period is over.
    pub(crate) fn after(&self, unix_s: f64) -> Option<&Arc<ApiKey>> {
        #[allow(clippy::cast_precision_loss, reason = "exact for 285,000 years")]
        let is_over = unix_s * 1000.0 >= self.end_ms as f64;
        is_over.then_some(&self.after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Tables;

    const KEY: &str = r#"{"clientId":"c","clientSecret":"old","clientName":"n",
        "rotation":{"enabled":true,"nextSecret":"new"}}"#;
    const ROW: &str = r#"{"end_ms":5000,"after":{"clientId":"c","clientSecret":"new",
        "clientName":"n","rotation":{"enabled":true}}}"#;

    fn put(tables: &mut Tables, kind: &str, id: &str, json: &str) -> Result<(), String> {
        let table = tables.by_kind(kind).expect("a table");
        table.put(id, json.as_bytes())
    }

    #[test]
    fn a_key_changes_when_its_period_is_over_and_not_before() {
        let mut tables = Tables::default();
        put(&mut tables, "apikeys", "c", KEY).expect("valid");
        let secret = |tables: &Tables, unix_s: f64| {
            let key = tables.api_key("c", unix_s).expect("a key");
            (key.secret().to_owned(), key.has_secret("new"))
        };
        assert_eq!(secret(&tables, 1e9), ("old".to_owned(), true), "no period");
        put(&mut tables, "apikeys-rotation", "c", ROW).expect("valid");
        assert_eq!(secret(&tables, 4.999), ("old".to_owned(), true));
        assert_eq!(secret(&tables, 5.0), ("new".to_owned(), true));
        assert!(tables.api_key("d", 5.0).is_none());
        let off = KEY.replace("\"enabled\":true", "\"enabled\":false");
        put(&mut tables, "apikeys", "c", &off).expect("valid");
        assert_eq!(secret(&tables, 5.0), ("old".to_owned(), false));
    }

    #[test]
    fn what_is_wrong_with_a_row_is_named() {
        for (json, words) in [
            (ROW.replace("5000", "null"), "i64"),
            (ROW.replace("\"c\"", "\"d\""), "after.clientId"),
            (ROW.replace("clientSecret", "secret"), "after.missing"),
        ] {
            let problem = Rotation::read("c", json.as_bytes()).expect_err("wrong");
            assert!(problem.contains(words), "{problem}");
        }
    }
}
