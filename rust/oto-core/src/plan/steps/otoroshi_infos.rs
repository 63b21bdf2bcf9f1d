//! Tell the backend who calls, in a signed token.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::fields::{header_name, signing_fault};
use super::otoroshi_challenge::algo;
use super::{At, NativeStep, Outcome, StepSettings};
use crate::expression::JsonTemplate;
use crate::jose::Algo;
use crate::plan::flow::Flow;
use crate::signature::info::{self, Caller, Version};
use crate::tls::chain_json;

#[derive(Deserialize)]
pub(super) struct Settings {
    version: String,
    ttl: i64,
    #[serde(default)]
    header_name: Option<String>,
    #[serde(default)]
    add_fields: Option<Map<String, Value>>,
    algo: Value,
}

/// The step.
#[derive(Debug)]
pub(super) struct OtoroshiInfos {
    version: Version,
    ttl_s: i64,
    header_name: Box<str>,
    added: JsonTemplate,
    algo: Algo,
}

impl StepSettings for Settings {
    type Step = OtoroshiInfos;

    fn build(self) -> Result<OtoroshiInfos, String> {
        let version = match self.version.as_str() {
            "Latest" => Version::Latest,
            "Legacy" => Version::Legacy,
            other => {
                return Err(format!(
                    "version: {other:?} is unknown; use Latest or Legacy"
                ));
            }
        };
        let algo = algo("algo", &self.algo)?;
        if matches!(algo, Algo::Set(_) | Algo::Kid(_)) {
            return Err(
                "algo: it cannot sign; give a secret, a private key or a certificate".to_owned(),
            );
        }
        let header_name = self.header_name.as_deref();
        let added = Value::Object(self.add_fields.unwrap_or_default());
        Ok(OtoroshiInfos {
            version,
            ttl_s: self.ttl,
            header_name: self::header_name("header_name", header_name, "Otoroshi-Claim")?,
            added: JsonTemplate::parse(&added).map_err(|fault| format!("add_fields: {fault}"))?,
            algo,
        })
    }
}

impl NativeStep for OtoroshiInfos {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let Some(token) = self.token(at.flow, &at.route.name) else {
            return Outcome::Answer(signing_fault(at.flow));
        };
        let headers = &mut at.flow.request.headers;
        // Never in the place of what a client sent, which is gone unless it is `Authorization`.
        headers.remove(self.header_name.as_bytes());
        headers.set(self.header_name.as_bytes(), token.as_bytes());
        Outcome::Continue
    }

    fn owned_headers(&self) -> Vec<&str> {
        vec![&self.header_name]
    }

    fn explain(&self) -> Value {
        json!({"version": format!("{:?}", self.version), "header_name": self.header_name})
    }
}

impl OtoroshiInfos {
    fn token(&self, flow: &Flow, audience: &str) -> Option<String> {
        let key = self.algo.signing(&flow.snapshot.tables.certificates)?;
        let apikey = flow.attrs.apikey.as_ref().map(|key| key.light_json());
        let chain = match (self.version, &flow.downstream.client_cert) {
            (Version::Legacy, Some(certificate)) => Some(chain_json(certificate)),
            _ => None,
        };
        let caller = Caller {
            user: flow.attrs.user.as_deref(),
            apikey: apikey.as_ref(),
            chain: chain.as_ref(),
            audience,
        };
        let now = flow.moment.unix_s as i64;
        let mut claims = info::claims(self.version, &caller, now, self.ttl_s);
        if self.version == Version::Latest
            && let Value::Object(added) = self.added.render(flow)
        {
            claims.extend(added);
        }
        key.sign(&Map::new(), &claims).ok()
    }
}
