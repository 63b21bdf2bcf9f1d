//! `ApiKey`: a client's key as plugins see it.

use std::sync::Arc;

use oto_core::access::{Asked, Verdict};
use oto_core::apikeys::{self, Asking, Credential, JwtRules, Proof};
use oto_core::jose::encoding;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::Map;

use crate::exchange::Exchange;
use crate::jose::unusable;
use crate::json::to_python;

/// An API key; never changes.
#[pyclass(frozen, module = "oto_trio._core")]
pub(crate) struct ApiKey {
    inner: Arc<apikeys::ApiKey>,
}

impl ApiKey {
    pub(crate) fn of(inner: Arc<apikeys::ApiKey>) -> Self {
        Self { inner }
    }

    pub(crate) fn inner(&self) -> Arc<apikeys::ApiKey> {
        Arc::clone(&self.inner)
    }
}

#[pymethods]
impl ApiKey {
    /// Read a key that is not stored.
    #[staticmethod]
    fn read(document: &[u8]) -> PyResult<Self> {
        apikeys::ApiKey::read(document)
            .map(|key| Self::of(Arc::new(key)))
            .map_err(PyValueError::new_err)
    }

    #[getter]
    fn client_id(&self) -> &str {
        self.inner.client_id()
    }

    #[getter]
    fn client_name(&self) -> &str {
        self.inner.client_name()
    }

    #[getter]
    fn client_secret(&self) -> &str {
        self.inner.secret()
    }

    #[getter]
    fn tenant(&self) -> &str {
        self.inner.tenant()
    }

    #[getter]
    fn tags(&self) -> Vec<&str> {
        self.inner.tags().collect()
    }

    #[getter]
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for (name, value) in self.inner.all_metadata() {
            dict.set_item(name, value)?;
        }
        Ok(dict)
    }

    /// What tokens and events tell of it: no secret.
    fn light<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_python(py, &self.inner.light_json())
    }

    #[getter]
    fn allows_client_id_only(&self) -> bool {
        self.inner.allows_client_id_only()
    }

    #[getter]
    fn is_constrained(&self) -> bool {
        self.inner.is_constrained()
    }

    /// Whether the client may come in at a Unix time.
    fn is_enabled(&self, unix_s: f64) -> bool {
        self.inner.is_enabled(unix_s)
    }

    /// Whether a text is its secret, or the next one.
    fn has_secret(&self, secret: &str) -> bool {
        self.inner.has_secret(secret)
    }

    /// Whether a token stands for its id and secret.
    fn has_bearer(&self, token: &str) -> bool {
        self.inner.has_bearer(token)
    }

    /// Whether it is authorised on a group.
    fn is_in_group(&self, group: &str) -> bool {
        self.inner.authorizations().names_group(group)
    }

    /// Whether it may call the exchange's route.
    fn may_call(&self, exchange: &Exchange) -> PyResult<bool> {
        exchange.hold()?.with(|flow| {
            flow.route.as_ref().is_some_and(|route| {
                route.membership.tenant() == self.inner.tenant()
                    && route
                        .membership
                        .admits(&route.id, self.inner.authorizations())
            })
        })
    }

    /// Whether the tenant that owns it owns the exchange's route too; without a route there is none to ask.
    fn is_of_tenant(&self, exchange: &Exchange) -> PyResult<bool> {
        exchange.hold()?.with(|flow| {
            let route = flow.route.as_ref();
            route.is_none_or(|route| {
                route.is_sink || route.membership.tenant() == self.inner.tenant()
            })
        })
    }

    /// Whether it signed a token that came with the exchange.
    #[pyo3(signature = (exchange, token, *, secret_signed = true, keypair_signed = true,
        include_request_attrs = false, max_lifespan_s = None))]
    fn has_signed(
        &self,
        exchange: &Exchange,
        token: &str,
        secret_signed: bool,
        keypair_signed: bool,
        include_request_attrs: bool,
        max_lifespan_s: Option<f64>,
    ) -> PyResult<bool> {
        let rules = JwtRules {
            secret_signed,
            keypair_signed,
            include_request_attrs,
            max_lifespan_s,
        };
        let credential = Credential {
            client_id: self.inner.client_id().into(),
            proof: Proof::Jwt(token.into()),
        };
        exchange.hold()?.with(|flow| {
            let request = &flow.request;
            let asking = Asking {
                unix_s: flow.moment.unix_s,
                secured: flow.secured,
                method: request.method_text(),
                host: request.host(),
                path: request.path(),
                query: request.query(),
                xsrf_token: request.headers.find(b"x-xsrf-token"),
                certificates: &flow.snapshot.tables.certificates,
            };
            self.inner.check(&credential, &rules, &asking).is_ok()
        })
    }

    /// Sign claims (a JSON object) in the client's name with a key pair, else with its secret.
    fn sign_token(
        &self,
        exchange: &Exchange,
        claims: &[u8],
        default_pair: &str,
    ) -> PyResult<String> {
        let claims = encoding::object(claims, "claims: no JSON object").map_err(unusable)?;
        let key = exchange.hold()?.with(|flow| {
            let certificates = &flow.snapshot.tables.certificates;
            self.inner.signing_key(default_pair, certificates)
        })?;
        let key = key.map_err(unusable)?;
        key.sign(&Map::new(), &claims).map_err(unusable)
    }

    /// The status with which its restrictions refuse the exchange.
    fn restricted(&self, exchange: &Exchange) -> PyResult<Option<u16>> {
        let Some(restrictions) = self.inner.restrictions() else {
            return Ok(None);
        };
        exchange.hold()?.with(|flow| {
            let route = flow.route.as_ref()?;
            let verdict = restrictions.judge(&Asked {
                method: flow.request.method_text(),
                domain: flow.request.domain(),
                path: flow.request.path(),
                concerns: &|kind, id| {
                    route.membership.is(&route.id, kind, id)
                        && (kind != "group" || self.inner.authorizations().names(kind, id))
                },
            });
            (verdict != Verdict::Pass)
                .then(|| verdict.refusal().map(|(status, ..)| status))
                .flatten()
        })
    }

    /// Count a call, or look only; tell whether the quotas hold.
    #[pyo3(signature = (exchange, *, update = true))]
    fn count_call(&self, exchange: &Exchange, update: bool) -> PyResult<bool> {
        exchange
            .hold()?
            .with(|flow| flow.count_call(&self.inner, update).broken().is_none())
    }

    /// Tell the client how the quotas stand that refused the call which was counted last.
    #[staticmethod]
    fn tell_broken_quota(exchange: &Exchange) -> PyResult<()> {
        exchange
            .hold()?
            .with(oto_core::plan::Flow::tell_broken_quota)
    }

    fn __repr__(&self) -> String {
        format!("<ApiKey {}>", self.inner.client_id())
    }
}
