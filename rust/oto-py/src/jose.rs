//! Tokens for Python: `JwtVerifier` and `JwtSigner`, the same checks that native steps make, and what a
//! hook does whose native step waits for a key set.

use std::sync::Arc;

use oto_core::jose::{
    Algo, AlgoSettings, Algorithm, Algorithms, JoseError, Jws, KeySet, Rules, SigningKey, Verifier,
    VerifyingKey, encoding, jwk,
};
use oto_core::jwt;
use oto_core::plan::{Flow, Outcome};
use oto_core::router::JavaRegex;
use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use serde_json::{Map, Value};

use crate::json::to_python;
use crate::message::text;

create_exception!(
    oto_trio._core,
    JwtRefused,
    PyValueError,
    "A token that is not accepted; the text says why, never with the token."
);

fn refused(error: &JoseError) -> PyErr {
    JwtRefused::new_err(error.to_string())
}

pub(crate) fn unusable(error: impl ToString) -> PyErr {
    PyValueError::new_err(error.to_string())
}

enum Keys {
    One(Arc<VerifyingKey>),
    Set(KeySet),
}

/// Checks compact JWS.
#[pyclass(frozen, module = "oto_trio._core")]
pub(crate) struct JwtVerifier {
    keys: Keys,
    verifier: Verifier,
    patterns: Vec<(Box<str>, JavaRegex)>,
}

#[pymethods]
impl JwtVerifier {
    #[new]
    #[pyo3(signature = (keys, *, algorithms = None, issuers = Vec::new(), audiences = Vec::new(), required = Vec::new(), patterns = Vec::new(), leeway = 10.0, max_age = None))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        keys: &[u8],
        algorithms: Option<Vec<String>>,
        issuers: Vec<String>,
        audiences: Vec<String>,
        required: Vec<String>,
        patterns: Vec<(String, String)>,
        leeway: f64,
        max_age: Option<f64>,
    ) -> PyResult<Self> {
        if !(0.0..=86_400.0).contains(&leeway) {
            return Err(unusable("leeway: use 0 to 86400 seconds"));
        }
        let allowed = match algorithms {
            None => Algorithms::ALL,
            Some(names) => names
                .iter()
                .map(|name| {
                    Algorithm::named(name)
                        .ok_or_else(|| unusable(format!("algorithms: {name:?} is none")))
                })
                .collect::<PyResult<_>>()?,
        };
        let json = encoding::object(keys, "keys: no JSON object").map_err(unusable)?;
        let keys = read_keys(keys, &json, allowed).map_err(unusable)?;
        let boxed = |list: Vec<String>| list.into_iter().map(Into::into).collect();
        let patterns = patterns
            .into_iter()
            .map(|(claim, pattern)| {
                JavaRegex::new(&pattern)
                    .map(|regex| (claim.clone().into(), regex))
                    .map_err(|error| unusable(format!("patterns.{claim}: {error}")))
            })
            .collect::<PyResult<_>>()?;
        Ok(Self {
            keys,
            verifier: Verifier {
                algorithms: allowed,
                rules: Rules {
                    leeway_s: leeway,
                    required: boxed(required),
                    issuers: boxed(issuers),
                    audiences: boxed(audiences),
                    max_age_s: max_age,
                    patterns: Vec::new(),
                },
            },
            patterns,
        })
    }

    /// Check a token; its claims.
    fn verify<'py>(
        &self,
        py: Python<'py>,
        token: &str,
        unix_time: f64,
    ) -> PyResult<Bound<'py, PyAny>> {
        let verified = match &self.keys {
            Keys::One(key) => self.verifier.verify(token, &**key, unix_time),
            Keys::Set(set) => self.verifier.verify(token, set, unix_time),
        }
        .map_err(|error| refused(&error))?;
        for (claim, pattern) in &self.patterns {
            let text = verified
                .claims
                .get(&**claim)
                .and_then(oto_core::jose::text_of);
            if !text.is_some_and(|text| pattern.matches(text.as_bytes())) {
                return Err(refused(&JoseError::BadClaim(claim.clone())));
            }
        }
        to_python(py, &verified.claims)
    }

    /// The header of a token, unverified.
    #[staticmethod]
    fn header<'py>(py: Python<'py>, token: &str) -> PyResult<Bound<'py, PyAny>> {
        let jws = Jws::parse(token).map_err(|error| refused(&error))?;
        to_python(py, &Value::Object(jws.header().members.clone()))
    }

    /// Check the JSON of a verifier entity.
    #[staticmethod]
    fn check(entity: &[u8]) -> PyResult<()> {
        let json = encoding::object(entity, "no JSON object").map_err(unusable)?;
        jwt::JwtVerifier::of_json("", &json)
            .map(|_| ())
            .map_err(unusable)
    }

    #[allow(clippy::unused_self)]
    fn __repr__(&self) -> &'static str {
        "<JwtVerifier>"
    }
}

fn read_keys(bytes: &[u8], json: &Map<String, Value>, allowed: Algorithms) -> Result<Keys, String> {
    if json.contains_key("keys") {
        return KeySet::parse(bytes)
            .map(Keys::Set)
            .map_err(|error| error.to_string());
    }
    if json.contains_key("kty") {
        return jwk::verifying_key(json, allowed)
            .map(|key| Keys::One(Arc::new(key)))
            .map_err(|error| error.to_string());
    }
    let settings = AlgoSettings::read(&Value::Object(json.clone()))?;
    match settings.prepare().map_err(|error| error.to_string())? {
        Algo::Fixed(fixed) => fixed
            .verifying
            .map(Keys::One)
            .ok_or_else(|| "publicKey: missing; give the key to verify with".to_owned()),
        _ => Err("type: give the key itself; use HSAlgoSettings, RSAlgoSettings, ESAlgoSettings, a JWK or a key set".to_owned()),
    }
}

/// Signs claims.
#[pyclass(frozen, module = "oto_trio._core")]
pub(crate) struct JwtSigner {
    key: Arc<SigningKey>,
}

#[pymethods]
impl JwtSigner {
    #[new]
    #[pyo3(signature = (key, algorithm = None))]
    fn new(key: &[u8], algorithm: Option<&str>) -> PyResult<Self> {
        let json = encoding::object(key, "key: no JSON object").map_err(unusable)?;
        if json.contains_key("kty") {
            let algorithm = algorithm
                .and_then(Algorithm::named)
                .ok_or_else(|| unusable("algorithm: a JWK needs one, such as ES256"))?;
            let key = jwk::signing_key(&json, algorithm).map_err(unusable)?;
            return Ok(Self { key: Arc::new(key) });
        }
        let settings = AlgoSettings::read(&Value::Object(json)).map_err(unusable)?;
        match settings.prepare().map_err(unusable)? {
            Algo::Fixed(fixed) => fixed
                .signing
                .map(|key| Self { key })
                .ok_or_else(|| unusable("privateKey: missing; give the key to sign with")),
            _ => Err(unusable(
                "type: give the key itself; use HSAlgoSettings, RSAlgoSettings, ESAlgoSettings or a JWK",
            )),
        }
    }

    #[getter]
    fn algorithm(&self) -> &'static str {
        self.key.algorithm().name()
    }

    #[pyo3(signature = (claims, header = None))]
    fn sign(&self, claims: &[u8], header: Option<&[u8]>) -> PyResult<String> {
        let claims = encoding::object(claims, "claims: no JSON object").map_err(unusable)?;
        let header = encoding::object(header.unwrap_or(b"{}"), "header: no JSON object")
            .map_err(unusable)?;
        self.key.sign(&header, &claims).map_err(unusable)
    }

    #[allow(clippy::unused_self)]
    fn __repr__(&self) -> &'static str {
        "<JwtSigner>"
    }
}

/// Keep a key set that a hook fetched, or note that it could not.
pub(crate) fn put_key_set(
    flow: &Flow,
    wanted: &str,
    body: Option<&[u8]>,
    now_s: f64,
) -> PyResult<()> {
    let sets = &flow.snapshot.key_sets;
    match body {
        Some(body) => sets.put(wanted, body, now_s).map(|_| ()).map_err(unusable),
        None => {
            sets.fail(wanted, now_s);
            Ok(())
        }
    }
}

/// Let the step decide again: True to go on, False when it still cannot, else the answer.
pub(crate) fn decide<'py>(
    py: Python<'py>,
    flow: &mut Flow,
    now_s: f64,
) -> PyResult<Bound<'py, PyAny>> {
    // The hook may have waited: both clocks go on by the same time.
    let waited_s = (now_s - flow.moment.mono_s).max(0.0);
    flow.moment.mono_s += waited_s;
    flow.moment.unix_s += waited_s;
    flow.attrs.wanted_key_set = None;
    match flow.decide_again() {
        Outcome::Continue => Ok(true.into_pyobject(py)?.to_owned().into_any()),
        // No step of the match_route phase leaves its decision to a hook.
        Outcome::Python | Outcome::Reject => Ok(false.into_pyobject(py)?.to_owned().into_any()),
        Outcome::Answer(reply) | Outcome::Repeat(reply, _) => {
            let headers: Vec<_> = reply
                .headers
                .iter()
                .map(|(name, value)| (text(py, name), text(py, value)))
                .collect();
            let body = PyBytes::new(py, &reply.body);
            let answer: Bound<'py, PyTuple> = (reply.status, headers, body).into_pyobject(py)?;
            Ok(answer.into_any())
        }
    }
}
