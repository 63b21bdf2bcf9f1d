//! Otoroshi's exchange protocol, both ways: send a state with the request, and let only a backend
//! answer that can send it back.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::fields::{header_name, signing_fault};
use super::{At, NativeStep, Outcome, StepSettings};
use crate::jose::{Algo, AlgoSettings, Choice, Jws, KeySets, Keyring, Rules, Verifier};
use crate::plan::flow::Flow;
use crate::plan::step::Phase;
use crate::signature::challenge::{self, Unproven};

#[derive(Deserialize)]
pub(super) struct Settings {
    version: String,
    ttl: i64,
    #[serde(default)]
    request_header_name: Option<String>,
    #[serde(default)]
    response_header_name: Option<String>,
    algo_to_backend: Value,
    algo_from_backend: Value,
    state_resp_leeway: i64,
}

/// The step; it runs before and after the backend.
#[derive(Debug)]
pub(super) struct OtoroshiChallenge {
    request_name: Box<str>,
    response_name: Box<str>,
    ttl_s: i64,
    leeway_s: i64,
    /// Signing and checking; none for V1, which does neither.
    keys: Option<(Algo, Algo)>,
}

impl StepSettings for Settings {
    type Step = OtoroshiChallenge;

    fn build(self) -> Result<OtoroshiChallenge, String> {
        let keys = match self.version.as_str() {
            "V1" => None,
            "V2" => {
                let to = algo("algo_to_backend", &self.algo_to_backend)?;
                let from = algo("algo_from_backend", &self.algo_from_backend)?;
                if matches!(to, Algo::Set(_) | Algo::Kid(_)) {
                    return Err("algo_to_backend: it cannot sign; give a secret, a private key or a certificate".to_owned());
                }
                if matches!(from, Algo::Set(_)) {
                    return Err("algo_from_backend: a key set at a URL cannot be used here; give a secret, a public key or a certificate".to_owned());
                }
                Some((to, from))
            }
            other => return Err(format!("version: {other:?} is unknown; use V1 or V2")),
        };
        Ok(OtoroshiChallenge {
            request_name: header_name(
                "request_header_name",
                self.request_header_name.as_deref(),
                "Otoroshi-State",
            )?,
            response_name: header_name(
                "response_header_name",
                self.response_header_name.as_deref(),
                "Otoroshi-State-Resp",
            )?,
            ttl_s: self.ttl,
            leeway_s: self.state_resp_leeway,
            keys,
        })
    }
}

/// Read the settings of an algorithm and make its keys ready.
///
/// # Errors
/// Field, problem and fix; never a secret.
pub(super) fn algo(field: &str, settings: &Value) -> Result<Algo, String> {
    let settings = AlgoSettings::read(settings).map_err(|problem| format!("{field}.{problem}"))?;
    if settings.has_expressions() {
        return Err(format!(
            "{field}: an expression cannot stand for a key here; write the key itself"
        ));
    }
    settings
        .prepare()
        .map_err(|problem| format!("{field}.{problem}"))
}

impl NativeStep for OtoroshiChallenge {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        if at.phase >= Phase::TransformResponse {
            return self.check(at.flow);
        }
        match self.ask(at.flow, &at.route.name) {
            Some(()) => Outcome::Continue,
            None => Outcome::Answer(signing_fault(at.flow)),
        }
    }

    fn owned_headers(&self) -> Vec<&str> {
        vec![&self.request_name]
    }

    fn explain(&self) -> Value {
        json!({
            "version": if self.keys.is_some() { "V2" } else { "V1" },
            "request_header_name": self.request_name,
            "response_header_name": self.response_name,
        })
    }
}

impl OtoroshiChallenge {
    /// Send a fresh state; none when there is no key or no randomness.
    fn ask(&self, flow: &mut Flow, audience: &str) -> Option<()> {
        let state = challenge::random_state()?;
        let value = match &self.keys {
            None => state.clone(),
            Some((to, _)) => {
                let key = to.signing(&flow.snapshot.tables.certificates)?;
                let now = flow.moment.unix_s as i64;
                challenge::token(&key, audience, &state, now, self.ttl_s).ok()?
            }
        };
        let headers = &mut flow.request.headers;
        headers.remove(self.request_name.as_bytes());
        headers.set(self.request_name.as_bytes(), value.as_bytes());
        let asked = &mut flow.attrs.challenges;
        asked.retain(|(name, _)| *name != self.response_name);
        asked.push((self.response_name.clone(), state.into()));
        Some(())
    }

    /// Let the answer through when it has the state; in any case without the field it came in.
    fn check(&self, flow: &mut Flow) -> Outcome {
        let answer = flow.response.headers.find(self.response_name.as_bytes());
        let answer = answer.map(<[u8]>::to_vec);
        let asked = flow.attrs.challenges.iter();
        let state = asked
            .filter(|(name, _)| *name == self.response_name)
            .map(|(_, state)| state.clone())
            .next();
        let outcome = self.prove(flow, state.as_deref(), answer.as_deref());
        let Err(unproven) = outcome else {
            flow.response.headers.remove(self.response_name.as_bytes());
            return Outcome::Continue;
        };
        let is_upgrading = flow.response.status == 404
            && flow.response.headers.find(b"X-CleverCloudUpgrade") == Some(b"true");
        let told = self.told(flow, &unproven, state.as_deref(), answer.as_deref());
        flow.attrs.extra.insert("stateRespInvalid".to_owned(), told);
        Outcome::Answer(if is_upgrading {
            flow.refusal(
                404,
                "No service found for the specified target host, the service descriptor should be verified !",
                "errors.no.service.found",
            )
        } else {
            flow.refusal(
                502,
                "Backend server does not seems to be secured. Cancelling request !",
                "errors.service.not.secured",
            )
        })
    }

    fn prove(
        &self,
        flow: &Flow,
        state: Option<&str>,
        answer: Option<&[u8]>,
    ) -> Result<(), Unproven> {
        let Some(answer) = answer else {
            return Err(Unproven::because("no state in response header"));
        };
        let Some(state) = state else {
            return Err(Unproven::because("no state was sent with the request"));
        };
        let Some((_, from)) = &self.keys else {
            return challenge::check_bare(state, answer);
        };
        let undecodable = |problem: &dyn std::fmt::Display| {
            Unproven::because(format!("V2 - error while decoding token - {problem}"))
        };
        let token = std::str::from_utf8(answer).map_err(|error| undecodable(&error))?;
        let jws = Jws::parse(token).map_err(|error| undecodable(&error))?;
        let ring = Keyring {
            certificates: &flow.snapshot.tables.certificates,
            sets: &KeySets::default(),
            mono_s: flow.moment.mono_s,
        };
        let Choice::Key(key) = from.verifying(jws.header(), ring) else {
            return Err(Unproven::because("V2 - bad challenge algorithm"));
        };
        // Times are checked below, with the claims of the protocol.
        let verifier = Verifier {
            algorithms: from.algorithms(),
            rules: Rules {
                leeway_s: f64::INFINITY,
                ..Rules::default()
            },
        };
        let verified = verifier
            .verify_with(&jws, &key, flow.moment.unix_s)
            .map_err(|error| undecodable(&error))?;
        let empty = Map::new();
        let claims = verified.claims.as_object().unwrap_or(&empty);
        challenge::check_claims(claims, state, flow.moment.unix_s, self.ttl_s, self.leeway_s)
    }

    /// What the exchange's event says of it. The headers of both messages stay out: they may hold
    /// what nobody should keep.
    fn told(
        &self,
        flow: &Flow,
        unproven: &Unproven,
        state: Option<&str>,
        answer: Option<&[u8]>,
    ) -> Value {
        let shown = |bytes: &[u8]| -> String {
            let text = String::from_utf8_lossy(bytes);
            text.chars().take(1024).collect()
        };
        let at_ms = (flow.moment.unix_s * 1000.0) as i64;
        json!({
            "reason": unproven.reason,
            "expected_token_issuer": challenge::ISSUER,
            "expected_token_challenge_version": if self.keys.is_some() { "V2" } else { "V1" },
            "expected_token_ttl_seconds": self.ttl_s,
            "expected_token_state": state,
            "at": at_ms,
            "at_sec": at_ms / 1000,
            "leeway": self.leeway_s,
            "token": unproven.claims,
            "request": {"method": flow.request.method_text(), "path": flow.request.path()},
            "response": {"status": flow.response.status, "raw_state_header": answer.map(shown)},
        })
    }
}
