//! Signatures for hooks written in Python: the same checks that native steps make.

use oto_core::http1::Headers;
use oto_core::jose::{Algo, AlgoSettings, Choice, Jws, KeySets, Keyring, Rules, Verifier};
use oto_core::plan::Flow;
use oto_core::signature::{hmac, message};
use oto_core::tls::Certificates;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::PyBytes;

use crate::decision::latin1;
use crate::exchange::Exchange;

/// Checks Otoroshi's `hmac` credentials.
#[pyclass(frozen, module = "oto_trio._core")]
pub(crate) struct HmacVerifier {
    secret: Vec<u8>,
    authorization_header: Option<String>,
}

#[pymethods]
impl HmacVerifier {
    #[new]
    #[pyo3(signature = (secret, authorization_header = None))]
    fn new(secret: &str, authorization_header: Option<String>) -> Self {
        Self {
            secret: secret.as_bytes().to_vec(),
            authorization_header,
        }
    }

    #[pyo3(signature = (headers, exchange = None))]
    fn verify(
        &self,
        headers: Vec<(PyBackedStr, PyBackedStr)>,
        exchange: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        let headers = fields(&headers)?;
        let configured = self.authorization_header.as_deref();
        if !self.secret.is_empty() {
            return Ok(hmac::verify(&headers, configured, &self.secret));
        }
        let apikey = look(exchange, |flow| flow.attrs.apikey.clone())?.flatten();
        Ok(apikey.is_some_and(|key| hmac::verify(&headers, configured, key.secret().as_bytes())))
    }

    #[allow(clippy::unused_self)]
    fn __repr__(&self) -> &'static str {
        "<HmacVerifier>"
    }
}

/// The keys of one of Otoroshi's algorithm settings, for tokens that hooks make and check.
#[pyclass(frozen, module = "oto_trio._core")]
pub(crate) struct TokenKeys {
    algo: Algo,
}

#[pymethods]
impl TokenKeys {
    #[new]
    fn new(settings: &[u8]) -> PyResult<Self> {
        let wrong = |problem: String| PyValueError::new_err(problem);
        let json = serde_json::from_slice(settings).map_err(|error| wrong(error.to_string()))?;
        let settings = AlgoSettings::read(&json).map_err(wrong)?;
        if settings.has_expressions() {
            return Err(wrong(
                "an expression cannot stand for a key here; write the key itself".to_owned(),
            ));
        }
        let algo = settings
            .prepare()
            .map_err(|error| wrong(error.to_string()))?;
        Ok(Self { algo })
    }

    #[pyo3(signature = (claims, exchange = None))]
    fn sign(&self, claims: &[u8], exchange: Option<&Bound<'_, PyAny>>) -> PyResult<Option<String>> {
        let wrong = |problem: String| PyValueError::new_err(problem);
        let claims = serde_json::from_slice(claims).map_err(|error| wrong(error.to_string()))?;
        let Some(key) = self.algo.signing(&certificates(exchange)?) else {
            return Ok(None);
        };
        let token = key.sign(&serde_json::Map::new(), &claims);
        token.map(Some).map_err(|error| wrong(error.to_string()))
    }

    #[pyo3(signature = (token, exchange = None))]
    fn verify<'py>(
        &self,
        py: Python<'py>,
        token: &str,
        exchange: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let wrong = |problem: &dyn std::fmt::Display| PyValueError::new_err(problem.to_string());
        let jws = Jws::parse(token).map_err(|error| wrong(&error))?;
        let certificates = certificates(exchange)?;
        let ring = Keyring {
            certificates: &certificates,
            sets: &KeySets::default(),
            mono_s: 0.0,
        };
        let Choice::Key(key) = self.algo.verifying(jws.header(), ring) else {
            return Err(wrong(&"there is no key for this token"));
        };
        let verifier = Verifier {
            algorithms: self.algo.algorithms(),
            rules: Rules {
                leeway_s: f64::INFINITY,
                ..Rules::default()
            },
        };
        let verified = verifier.verify_with(&jws, &key, 0.0);
        let verified = verified.map_err(|error| wrong(&error))?;
        Ok(PyBytes::new(py, verified.claims.to_string().as_bytes()))
    }

    #[allow(clippy::unused_self)]
    fn __repr__(&self) -> &'static str {
        "<TokenKeys>"
    }
}

/// Checks HTTP message signatures of requests.
#[pyclass(frozen, module = "oto_trio._core")]
pub(crate) struct MessageVerifier {
    inner: message::Verifier,
}

/// Label and whether the body has to be checked, or the status and body of a refusal.
type Judgement<'py> = (bool, Option<String>, bool, u16, Bound<'py, PyBytes>);

#[pymethods]
impl MessageVerifier {
    #[new]
    fn new(settings: &[u8]) -> PyResult<Self> {
        // The deserializer's own words quote what it read, which may be a secret.
        let settings = serde_json::from_slice(settings).map_err(|_| {
            PyValueError::new_err(
                "keys: a member is missing or has another type; kind is a must, and kind, keyid, \
                 alg, secret_or_pem, cert_id and url are text",
            )
        })?;
        let inner = message::Verifier::build(settings).map_err(PyValueError::new_err)?;
        Ok(Self { inner })
    }

    #[pyo3(signature = (method, scheme, authority, path, query, headers, unix_time, exchange = None))]
    #[allow(clippy::too_many_arguments)]
    fn verify<'py>(
        &self,
        py: Python<'py>,
        method: &str,
        scheme: &str,
        authority: &str,
        path: &str,
        query: &str,
        headers: Vec<(PyBackedStr, PyBackedStr)>,
        unix_time: f64,
        exchange: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Judgement<'py>> {
        let headers = fields(&headers)?;
        let request = message::Message {
            method,
            scheme,
            authority,
            path,
            query: Some(query).filter(|query| !query.is_empty()),
            headers: &headers,
            response: None,
        };
        let keys = look(exchange, |flow| {
            let tables = &flow.snapshot.tables;
            let sets = &flow.snapshot.key_sets;
            self.inner
                .keys(&tables.certificates, sets, flow.moment.mono_s)
        })?;
        let keys = keys.unwrap_or_else(|| {
            let (none, nothing) = (Certificates::default(), KeySets::default());
            self.inner.keys(&none, &nothing, 0.0)
        });
        let policy = &self.inner.policy;
        let none = PyBytes::new(py, b"");
        Ok(
            match message::verify(&request, policy, &keys, unix_time as i64) {
                Ok(None) => (true, None, false, 0, none),
                Ok(Some(verified)) => (true, Some(verified.label), verified.covers_digest, 0, none),
                Err(rejection) => {
                    let body = PyBytes::new(py, rejection.body().to_string().as_bytes());
                    (false, None, false, rejection.status, body)
                }
            },
        )
    }

    #[pyo3(signature = (headers, exchange = None))]
    fn wanted(
        &self,
        headers: Vec<(PyBackedStr, PyBackedStr)>,
        exchange: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Vec<String>> {
        let keyids = message::keyids(&fields(&headers)?);
        let due = look(exchange, |flow| {
            let sets = &flow.snapshot.key_sets;
            self.inner.due(&keyids, sets, flow.moment.mono_s)
        })?;
        let due = due.unwrap_or_default();
        Ok(due.iter().map(ToString::to_string).collect())
    }

    #[staticmethod]
    fn digest_fault(
        headers: Vec<(PyBackedStr, PyBackedStr)>,
        body: &[u8],
    ) -> PyResult<Option<String>> {
        Ok(message::digest::check(&fields(&headers)?, body).err())
    }

    #[allow(clippy::unused_self)]
    fn __repr__(&self) -> &'static str {
        "<MessageVerifier>"
    }
}

/// Makes HTTP message signatures of responses.
#[pyclass(frozen, module = "oto_trio._core")]
pub(crate) struct MessageSigner {
    inner: message::Signer,
}

#[pymethods]
impl MessageSigner {
    #[new]
    fn new(settings: &[u8]) -> PyResult<Self> {
        // As above: no secret in the message.
        let settings = serde_json::from_slice(settings).map_err(|_| {
            PyValueError::new_err(
                "key: a member is missing or has another type; kind is a must, and kind, \
                 secret_or_pem and cert_id are text",
            )
        })?;
        let inner = message::Signer::build(settings).map_err(PyValueError::new_err)?;
        Ok(Self { inner })
    }

    #[pyo3(signature = (exchange, status, headers, nonce = None))]
    fn sign(
        &self,
        exchange: &Bound<'_, PyAny>,
        status: u16,
        headers: Vec<(PyBackedStr, PyBackedStr)>,
        nonce: Option<&str>,
    ) -> PyResult<(String, String)> {
        let headers = fields(&headers)?;
        let signed = look(Some(exchange), |flow| {
            let request = &flow.request;
            let message = message::Message {
                method: request.method_text(),
                scheme: if flow.secured { "https" } else { "http" },
                authority: request.host(),
                path: request.path(),
                query: request.query(),
                headers: flow.headers_as_arrived(),
                response: Some((status, &headers)),
            };
            let certificates = &flow.snapshot.tables.certificates;
            let unix_s = flow.moment.unix_s as i64;
            self.inner.sign(&message, certificates, unix_s, nonce)
        })?;
        let signed = signed.unwrap_or_else(|| Err("there is no request".to_owned()));
        let signed = signed.map_err(PyValueError::new_err)?;
        Ok((signed.input, signed.signature))
    }

    #[staticmethod]
    fn content_digest(algorithm: &str, body: &[u8]) -> PyResult<String> {
        message::digest::write(algorithm, body).ok_or_else(|| {
            PyValueError::new_err(format!("{algorithm:?} is unknown; use sha-256 or sha-512"))
        })
    }

    #[allow(clippy::unused_self)]
    fn __repr__(&self) -> &'static str {
        "<MessageSigner>"
    }
}

/// The certificates an exchange's snapshot has; none for an exchange that no engine made.
fn certificates(exchange: Option<&Bound<'_, PyAny>>) -> PyResult<Certificates> {
    let certificates = look(exchange, |flow| flow.snapshot.tables.certificates.clone())?;
    Ok(certificates.unwrap_or_default())
}

/// Look at the flow of an exchange; none for one that no engine made.
fn look<R>(
    exchange: Option<&Bound<'_, PyAny>>,
    look: impl FnOnce(&mut Flow) -> R,
) -> PyResult<Option<R>> {
    let Some(any) = exchange else {
        return Ok(None);
    };
    // What wraps an exchange tells which one it wraps.
    let Ok(native) = any.call_method0("native") else {
        return Ok(None);
    };
    match native.cast::<Exchange>() {
        Ok(held) => held.get().hold()?.with(look).map(Some),
        Err(_) => Ok(None),
    }
}

/// Header fields as Python has them.
pub(crate) fn fields(pairs: &[(PyBackedStr, PyBackedStr)]) -> PyResult<Headers> {
    let mut headers = Headers::default();
    for (name, value) in pairs {
        let value = latin1(value).ok_or_else(|| {
            PyValueError::new_err(format!(
                "the value of {:?} has a character outside Latin-1",
                &**name
            ))
        })?;
        headers.add(name.as_bytes(), &value);
    }
    Ok(headers)
}
