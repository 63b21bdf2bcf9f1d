//! Answer with the public keys of certificates as a key set (`OtoroshiJWKSEndpoint`).

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{At, NativeStep, Outcome, StepSettings};
use crate::jose::{Algorithm, Algorithms, Family, jwk};
use crate::plan::Reply;
use crate::plan::tables::Tables;
use crate::tls::{Certificate, Certificates};

#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    #[serde(default)]
    cert_ids: Vec<String>,
    #[serde(default)]
    include_algorithms: bool,
    #[serde(default)]
    rsa_algorithms: Vec<String>,
    #[serde(default)]
    es_algorithms: Vec<String>,
}

/// The step.
#[derive(Debug)]
pub(super) struct JwksEndpoint {
    /// These first; empty means all that are exposed.
    ids: Vec<Box<str>>,
    /// Algorithms to name, one entry each; none names none.
    named: Option<Algorithms>,
}

impl StepSettings for Settings {
    type Step = JwksEndpoint;

    fn build(self) -> Result<JwksEndpoint, String> {
        let mut named = Algorithms::NONE;
        for (key, names, family) in [
            ("rsa_algorithms", &self.rsa_algorithms, Family::Rsa),
            ("es_algorithms", &self.es_algorithms, Family::Ec),
        ] {
            for name in names {
                let found = Algorithm::named(name).filter(|it| it.family() == family);
                let algorithm = found
                    .ok_or_else(|| format!("{key}: {name:?} is none; use such as RS256, ES256"))?;
                named = named.or(Algorithms::only(algorithm));
            }
            if names.is_empty() {
                let all = Algorithm::ALL
                    .into_iter()
                    .filter(|it| it.family() == family && !it.name().starts_with('P'));
                named = named.or(all.collect());
            }
        }
        Ok(JwksEndpoint {
            ids: self.cert_ids.into_iter().map(Into::into).collect(),
            named: self.include_algorithms.then_some(named),
        })
    }
}

impl NativeStep for JwksEndpoint {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        if at.flow.request.method_text() != "GET" {
            let body = json!({"error": "resource not found !"});
            return Outcome::Answer(Reply::json(404, &body));
        }
        let tables = &at.flow.snapshot.tables;
        let keys = self.keys(&tables.certificates, tables.apikeys.key_pairs());
        Outcome::Answer(Reply::json(200, &json!({ "keys": keys })))
    }

    fn explain(&self) -> Value {
        json!({ "cert_ids": self.ids })
    }
}

impl JwksEndpoint {
    /// The keys of every exposed certificate, and of those that API keys name.
    pub(super) fn exposed(tables: &Tables) -> Value {
        let all = Self {
            ids: Vec::new(),
            named: None,
        };
        json!({ "keys": all.keys(&tables.certificates, tables.apikeys.key_pairs()) })
    }

    /// The keys: those that are asked for, and those that API keys name.
    fn keys<'a>(
        &self,
        certificates: &'a Certificates,
        named: impl Iterator<Item = &'a str>,
    ) -> Vec<Value> {
        let mut keys = Vec::new();
        let mut shown = BTreeSet::new();
        if self.ids.is_empty() {
            certificates.for_each(&mut |certificate| {
                if certificate.is_exposed {
                    shown.insert(&*certificate.id);
                }
            });
            shown.extend(named);
        } else {
            for id in &self.ids {
                if let Some(certificate) = certificates.get(id)
                    && shown.insert(&*certificate.id)
                {
                    self.push(certificate, &mut keys);
                }
            }
            shown = named.filter(|id| !shown.contains(id)).collect();
        }
        for id in shown {
            if let Some(certificate) = certificates.get(id) {
                self.push(certificate, &mut keys);
            }
        }
        keys
    }

    /// The public key of a certificate that is ours and was not taken back.
    fn push(&self, certificate: &Certificate, keys: &mut Vec<Value>) {
        if certificate.is_revoked || certificate.key.is_none() {
            return;
        }
        let Some(key) = certificate.verifying_key() else {
            return;
        };
        let Some(public) = key.public() else {
            return;
        };
        let mut members: Map<String, Value> = jwk::of_public(public);
        members.insert("kid".to_owned(), (&*certificate.id).into());
        let Some(named) = self.named else {
            keys.push(Value::Object(members));
            return;
        };
        for algorithm in key.algorithms().and(named).iter() {
            let mut named = members.clone();
            named.insert("alg".to_owned(), algorithm.name().into());
            keys.push(Value::Object(named));
        }
    }
}
