//! `Exchange` and its parts: what a hook sees and edits while it holds the flow.

use std::sync::{Arc, Mutex, MutexGuard};

use oto_core::http1::canonical::is_canonical_query;
use oto_core::plan::{Flow, Next, Phase, PythonStep};
use pyo3::create_exception;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::{PyDict, PyString, PyTuple};
use serde_json::Value;

use crate::api_key::ApiKey;
use crate::client_certificate::ClientCertificate;
use crate::decision::{decision, reply};
use crate::jose;
use crate::json::{from_python, to_python};
use crate::limits::ExchangeLimits;
use crate::lock;
use crate::message::{Request, ResponseHead, checked_field, text};

create_exception!(
    oto_trio._core,
    ExchangeGone,
    PyRuntimeError,
    "The exchange was given back to the engine, or its client left."
);

create_exception!(
    oto_trio._core,
    HeadRefused,
    PyValueError,
    "A request head that is answered with an error: (status, message)."
);

/// One request and its response, while Python holds them.
#[pyclass(frozen, module = "oto_trio._core")]
pub(crate) struct Exchange {
    #[pyo3(get)]
    id: u64,
    #[pyo3(get)]
    slot: i64,
    #[pyo3(get)]
    inline: bool,
    flow: Mutex<Option<Box<Flow>>>,
    reader: Mutex<Option<Py<PyAny>>>,
}

/// The slot of an exchange that waits for no hook.
const UNSCHEDULED: i64 = -2;

impl Exchange {
    pub(crate) fn new(flow: Box<Flow>, step: PythonStep) -> Self {
        Self {
            id: flow.id,
            slot: step.slot,
            inline: step.inline,
            flow: Mutex::new(Some(flow)),
            reader: Mutex::new(None),
        }
    }

    /// A flow that no engine drives: whoever holds it advances it.
    pub(crate) fn unscheduled(flow: Box<Flow>) -> Self {
        Self::new(
            flow,
            PythonStep {
                slot: UNSCHEDULED,
                inline: false,
            },
        )
    }

    /// Take the flow back for the engine.
    pub(crate) fn take(&self) -> PyResult<Box<Flow>> {
        lock(&self.flow).take().ok_or_else(gone)
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// What `bind_reader` set.
    pub(crate) fn reader(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        lock(&self.reader)
            .as_ref()
            .map(|reader| reader.clone_ref(py))
    }

    pub(crate) fn hold(&self) -> PyResult<Held<'_>> {
        let guard = lock(&self.flow);
        if guard.is_none() {
            return Err(gone());
        }
        Ok(Held(guard))
    }
}

/// A guard that is known to hold a flow.
pub(crate) struct Held<'a>(MutexGuard<'a, Option<Box<Flow>>>);

impl Held<'_> {
    pub(crate) fn with<R>(mut self, look: impl FnOnce(&mut Flow) -> R) -> PyResult<R> {
        self.0.as_deref_mut().map(look).ok_or_else(gone)
    }
}

fn gone() -> PyErr {
    ExchangeGone::new_err("the exchange was given back; finish with it before the hook returns")
}

#[pymethods]
impl Exchange {
    #[getter]
    fn phase(&self) -> PyResult<&'static str> {
        let phase = self.hold()?.with(|flow| flow.phase())?;
        Ok(match phase {
            Phase::Sink => "sink",
            Phase::MatchRoute => "match_route",
            Phase::PreRoute => "pre_route",
            Phase::Access => "access",
            Phase::TransformRequest => "transform_request",
            Phase::CallBackend => "call_backend",
            Phase::TransformResponse => "transform_response",
            Phase::Done => "done",
        })
    }

    #[getter]
    fn plugin(&self) -> PyResult<String> {
        self.hold()?.with(|flow| flow.plugin().to_owned())
    }

    #[getter]
    fn generation(&self) -> PyResult<u64> {
        self.hold()?.with(|flow| flow.snapshot.generation)
    }

    #[getter]
    fn unix_time(&self) -> PyResult<f64> {
        self.hold()?.with(|flow| flow.moment.unix_s)
    }

    #[getter]
    fn request_id(&self) -> PyResult<u64> {
        self.hold()?.with(|flow| flow.request_id)
    }

    #[getter]
    fn received_at(&self) -> PyResult<f64> {
        self.hold()?.with(|flow| flow.timeline.begun.unix_s)
    }

    #[getter]
    fn proxy_latency_ms(&self) -> PyResult<u64> {
        self.hold()?.with(|flow| flow.timeline.proxy_ms())
    }

    #[getter]
    fn upstream_latency_ms(&self) -> PyResult<Option<u64>> {
        self.hold()?.with(|flow| flow.timeline.upstream_ms())
    }

    #[getter]
    fn remaining_calls(&self) -> PyResult<Option<(u64, u64)>> {
        self.hold()?.with(|flow| {
            let usage = flow.attrs.apikey.as_ref().and(flow.attrs.quota)?;
            Some((usage.daily.remaining(), usage.monthly.remaining()))
        })
    }

    #[getter]
    fn client_certificate(&self) -> PyResult<Option<ClientCertificate>> {
        self.hold()?.with(|flow| {
            let certificate = flow.downstream.client_cert.clone();
            certificate.map(ClientCertificate::of)
        })
    }

    /// The API key of the caller.
    #[getter]
    fn apikey(&self) -> PyResult<Option<ApiKey>> {
        self.hold()?
            .with(|flow| flow.attrs.apikey.clone().map(ApiKey::of))
    }

    #[setter]
    fn set_apikey(&self, key: Option<&Bound<'_, ApiKey>>) -> PyResult<()> {
        let key = key.map(|key| key.get().inner());
        self.hold()?.with(|flow| flow.attrs.apikey = key)
    }

    /// Look a stored key up.
    fn find_api_key(&self, client_id: &str) -> PyResult<Option<ApiKey>> {
        self.hold()?.with(|flow| {
            let key = flow.snapshot.tables.api_key(client_id, flow.moment.unix_s);
            key.cloned().map(ApiKey::of)
        })
    }

    /// Add to the data of the exchange's event.
    fn note(&self, name: &str, text: &str) -> PyResult<()> {
        self.hold()?.with(|flow| {
            flow.attrs.extra.insert(name.to_owned(), text.into());
        })
    }

    /// Give expressions a text: `${ctx.name}`.
    fn tell_context(&self, name: &str, text: &str) -> PyResult<()> {
        self.hold()?.with(|flow| flow.attrs.tell(name, text))
    }

    #[getter]
    fn route_id(&self) -> PyResult<String> {
        self.hold()?.with(|flow| {
            flow.route
                .as_ref()
                .map(|route| route.id.to_string())
                .unwrap_or_default()
        })
    }

    #[getter]
    fn route_name(&self) -> PyResult<String> {
        self.hold()?.with(|flow| {
            flow.route
                .as_ref()
                .map(|route| route.name.to_string())
                .unwrap_or_default()
        })
    }

    #[getter]
    fn secured(&self) -> PyResult<bool> {
        self.hold()?.with(|flow| flow.secured)
    }

    #[getter]
    fn remote_address(&self) -> PyResult<String> {
        self.hold()?.with(|flow| flow.remote_address())
    }

    #[getter]
    fn forwarded_for<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        self.hold()?.with(|flow| text(py, &flow.forwarded_for()))
    }

    #[getter]
    fn listener(&self) -> PyResult<String> {
        self.hold()?
            .with(|flow| flow.downstream.listener.to_string())
    }

    #[getter]
    fn matched_path(&self) -> PyResult<String> {
        self.hold()?.with(|flow| {
            let path = flow.request.path();
            path.get(..flow.matched_len).unwrap_or("").to_owned()
        })
    }

    #[getter]
    fn path_params<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let params = self.hold()?.with(|flow| flow.params.clone())?;
        let dict = PyDict::new(py);
        for (name, value) in params {
            dict.set_item(&*name, &*value)?;
        }
        Ok(dict)
    }

    #[getter]
    fn strip_path(&self) -> PyResult<bool> {
        self.hold()?
            .with(|flow| flow.route.as_ref().is_some_and(|route| route.strip_path))
    }

    #[getter]
    fn target_hostname(&self) -> PyResult<Option<String>> {
        self.hold()?
            .with(|flow| flow.target().map(|target| target.hostname.to_string()))
    }

    /// Where the target is, as `host:port`, or `unix:` and a path.
    #[getter]
    fn target_address(&self) -> PyResult<Option<String>> {
        self.hold()?
            .with(|flow| flow.target().map(|target| target.address.to_string()))
    }

    /// Scheme, host, path and query of the backend's request, as they stand now.
    #[getter]
    fn upstream_url<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        self.hold()?.with(|flow| {
            let scheme: &[u8] = match flow.target()?.tls {
                Some(_) => b"https://",
                None => b"http://",
            };
            let mut url = scheme.to_vec();
            url.extend_from_slice(flow.upstream_host());
            flow.upstream_target(&mut url);
            Some(text(py, &url))
        })
    }

    #[getter]
    fn limits(slf: Py<Self>) -> ExchangeLimits {
        ExchangeLimits::of(slf)
    }

    #[getter]
    fn request(slf: Py<Self>) -> Request {
        Request::of(slf)
    }

    #[getter]
    fn response(slf: Py<Self>, py: Python<'_>) -> PyResult<Option<ResponseHead>> {
        let status = slf.get().hold()?.with(|flow| flow.response.status)?;
        Ok((status != 0).then(|| ResponseHead::of(slf.clone_ref(py))))
    }

    #[getter]
    fn attrs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.hold()?.with(|flow| {
            if let Some(dict) = flow
                .attachment
                .as_ref()
                .and_then(|any| any.downcast_ref::<Py<PyDict>>())
            {
                return dict.bind(py).clone();
            }
            let dict = PyDict::new(py);
            flow.attachment = Some(Box::new(dict.clone().unbind()));
            dict
        })
    }

    /// Have an application of this process answer in the backend's place.
    fn mount(&self, app: &str) -> PyResult<()> {
        self.hold()?
            .with(|flow| flow.attrs.mount = Some(app.into()))
    }

    /// Send a header with whatever answer goes out.
    fn add_to_response(&self, name: &str, value: &str) -> PyResult<()> {
        let bytes = checked_field(name, value)?;
        self.hold()?
            .with(|flow| flow.add_to_response(name.as_bytes(), &bytes))
    }

    #[getter]
    fn upstream_query(&self) -> PyResult<String> {
        self.hold()?.with(|flow| match &flow.attrs.query {
            Some(query) => query.to_string(),
            None => flow.request.query().unwrap_or("").to_owned(),
        })
    }

    #[setter]
    fn set_upstream_query(&self, query: &str) -> PyResult<()> {
        if !is_canonical_query(query.as_bytes()) {
            return Err(PyValueError::new_err(
                "a query may not hold spaces, control characters, # or letters outside ASCII; percent-encode them",
            ));
        }
        self.hold()?
            .with(|flow| flow.attrs.query = Some(query.into()))
    }

    #[getter]
    fn backend_root(&self) -> PyResult<String> {
        self.hold()?.with(|flow| {
            let backend = flow.route.as_ref().map(|route| &route.backend);
            backend
                .filter(|backend| !backend.rewrite)
                .map(|backend| backend.root.to_string())
                .unwrap_or_default()
        })
    }

    /// Itself; what wraps or imitates an exchange answers with one of these.
    fn native(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[getter]
    fn user<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let user = self.hold()?.with(|flow| flow.attrs.user.clone())?;
        user.map(|user| to_python(py, &user)).transpose()
    }

    #[setter]
    fn set_user(&self, user: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        let user = user.as_ref().map(from_python).transpose()?;
        self.hold()?
            .with(|flow| flow.attrs.user = user.map(Arc::new))
    }

    #[getter]
    fn token<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let (header, claims) = self
            .hold()?
            .with(|flow| (flow.attrs.token_header.clone(), flow.attrs.claims.clone()))?;
        let Some(claims) = claims else {
            return Ok(None);
        };
        let token = PyDict::new(py);
        token.set_item("payload", to_python(py, &claims)?)?;
        if let Some(header) = header {
            let members = Value::Object(header.members.clone());
            token.set_item("header", to_python(py, &members)?)?;
        }
        Ok(Some(token.into_any()))
    }

    #[getter]
    fn plugins_config<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let snapshot = self.hold()?.with(|flow| Arc::clone(&flow.snapshot))?;
        match &snapshot.settings.plugins_config {
            Value::Null => Ok(PyDict::new(py).into_any()),
            config => to_python(py, config),
        }
    }

    fn alert(&self, name: String, fields: &Bound<'_, PyAny>) -> PyResult<()> {
        let fields = from_python(fields)?;
        self.hold()?.with(|flow| flow.attrs.alert(name, fields))
    }

    /// Have this object handed up with the bytes of the connection, should it change its protocol.
    fn watch(&self, watch: Py<PyAny>) -> PyResult<()> {
        self.hold()?.with(|flow| flow.watch = Some(Box::new(watch)))
    }

    fn hide(&self, secret: &str) -> PyResult<()> {
        self.hold()?.with(|flow| flow.hide(secret.as_bytes()))
    }

    /// The settings of the key set that the native step lacks.
    #[getter]
    fn wanted_key_set(&self) -> PyResult<Option<String>> {
        self.hold()?
            .with(|flow| flow.attrs.wanted_key_set.as_deref().map(str::to_owned))
    }

    /// Keep a key set that was fetched now; None for one that could not be.
    fn put_key_set(&self, wanted: &str, body: Option<&[u8]>, now: f64) -> PyResult<()> {
        self.hold()?
            .with(|flow| jose::put_key_set(flow, wanted, body, now))?
    }

    /// Whether the request can be sent again.
    #[getter]
    fn may_ask_again(&self) -> PyResult<bool> {
        self.hold()?
            .with(|flow| flow.is_replayable && flow.may_ask_again())
    }

    /// Have the request sent again when the hook is done, if that can be.
    fn ask_again(&self) -> PyResult<()> {
        self.hold()?.with(|flow| flow.asks_again = true)
    }

    /// Let the native step decide that left it to this hook.
    fn decide<'py>(&self, py: Python<'py>, now: f64) -> PyResult<Bound<'py, PyAny>> {
        self.hold()?.with(|flow| jose::decide(py, flow, now))?
    }

    /// Run native steps until something outside must happen.
    fn advance<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        self.hold()?.with(|flow| {
            let next = flow.advance();
            decision(py, flow, next)
        })?
    }

    /// A match_route hook said no.
    fn reject(&self) -> PyResult<()> {
        self.hold()?.with(Flow::reject_route)
    }

    /// A hook answered.
    fn respond<'py>(
        &self,
        py: Python<'py>,
        status: u16,
        headers: Vec<(PyBackedStr, PyBackedStr)>,
        body: PyBackedBytes,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let reply = reply(status, &headers, &body, false)?;
        self.hold()?.with(|flow| {
            let next = flow.respond(reply);
            decision(py, flow, next)
        })?
    }

    /// A hook refused.
    #[pyo3(signature = (status, message, cause = None))]
    fn refuse<'py>(
        &self,
        py: Python<'py>,
        status: u16,
        message: &str,
        cause: Option<&str>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        self.hold()?.with(|flow| {
            flow.refuse(status, message, cause.unwrap_or(""));
            decision(py, flow, Next::Reply)
        })?
    }

    /// The exchange is over: run the done steps.
    fn finish<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        self.hold()?.with(|flow| {
            let next = if flow.is_done_stage() || flow.begin_done() {
                flow.advance()
            } else {
                Next::Finished
            };
            decision(py, flow, next)
        })?
    }

    /// The backend answered with this head: run the response steps.
    fn receive<'py>(
        &self,
        py: Python<'py>,
        status: u16,
        headers: Vec<(PyBackedBytes, PyBackedBytes)>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        self.hold()?.with(|flow| {
            flow.response.clear();
            flow.response.status = status;
            for (name, value) in &headers {
                flow.response.headers.add(name, value);
            }
            flow.begin_response();
            let next = flow.advance();
            decision(py, flow, next)
        })?
    }

    fn bind_reader(&self, reader: Py<PyAny>) {
        *lock(&self.reader) = Some(reader);
    }

    fn __repr__(&self) -> String {
        format!("<Exchange id={} slot={}>", self.id, self.slot)
    }
}
