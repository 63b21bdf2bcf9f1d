//! `Exchange` and its parts: what a hook sees and edits while it holds the flow.

use std::sync::{Mutex, MutexGuard};

use oto_core::http1::headers::{is_name, is_value};
use oto_core::http1::{Known, headers};
use oto_core::plan::{Flow, Next, Phase, PythonStep, Reply};
use pyo3::create_exception;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple};

use crate::lock;

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

    fn hold(&self) -> PyResult<Held<'_>> {
        let guard = lock(&self.flow);
        if guard.is_none() {
            return Err(gone());
        }
        Ok(Held(guard))
    }
}

/// A guard that is known to hold a flow.
struct Held<'a>(MutexGuard<'a, Option<Box<Flow>>>);

impl Held<'_> {
    fn with<R>(mut self, look: impl FnOnce(&mut Flow) -> R) -> PyResult<R> {
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

    #[getter]
    fn request(slf: Py<Self>) -> Request {
        Request { exchange: slf }
    }

    #[getter]
    fn response(slf: Py<Self>, py: Python<'_>) -> PyResult<Option<ResponseHead>> {
        let status = slf.get().hold()?.with(|flow| flow.response.status)?;
        Ok((status != 0).then(|| ResponseHead {
            exchange: slf.clone_ref(py),
        }))
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
        let reply = reply(status, &headers, &body)?;
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

/// What a listener that decodes bytes in Python must do next, as a tuple that opens with its name.
fn decision<'py>(py: Python<'py>, flow: &mut Flow, next: Next) -> PyResult<Bound<'py, PyTuple>> {
    let fields = |headers: &headers::Headers| -> Vec<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
        headers
            .iter()
            .map(|(name, value, _)| (PyBytes::new(py, name), PyBytes::new(py, value)))
            .collect()
    };
    match next {
        Next::Python(step) => ("python", step.slot, step.inline).into_pyobject(py),
        Next::Forward => {
            let mut path = Vec::new();
            flow.upstream_target(&mut path);
            let target = flow
                .target()
                .map(|target| (target.hostname.to_string(), target.port, target.tls));
            let (path, host) = (
                PyBytes::new(py, &path),
                PyBytes::new(py, flow.upstream_host()),
            );
            ("forward", target, path, host, fields(&flow.request.headers)).into_pyobject(py)
        }
        Next::Reply => {
            let body = flow.take_body().unwrap_or_default();
            let head = &flow.response;
            (
                "reply",
                head.status,
                fields(&head.headers),
                PyBytes::new(py, &body),
            )
                .into_pyobject(py)
        }
        Next::Stream => (
            "stream",
            flow.response.status,
            fields(&flow.response.headers),
        )
            .into_pyobject(py),
        Next::Finished => ("finished",).into_pyobject(py),
    }
}

/// A reply made in Python, checked.
pub(crate) fn reply(
    status: u16,
    headers: &[(PyBackedStr, PyBackedStr)],
    body: &[u8],
) -> PyResult<Reply> {
    if !(200..=599).contains(&status) {
        return Err(PyValueError::new_err(format!(
            "status {status} cannot be sent as a final answer; use 200 to 599"
        )));
    }
    let mut fields = Vec::with_capacity(headers.len());
    for (name, value) in headers {
        let bytes = latin1(value).filter(|bytes| is_value(bytes));
        let Some(value) = bytes.filter(|_| is_name(name.as_bytes())) else {
            return Err(PyValueError::new_err(format!(
                "{:?} is not a header name, or its value has a control character or one outside Latin-1",
                &**name
            )));
        };
        fields.push((name.as_bytes().to_vec(), value));
    }
    Ok(Reply {
        status,
        headers: fields,
        body: body.to_vec(),
    })
}

fn latin1(text: &str) -> Option<Vec<u8>> {
    text.chars()
        .map(|char| u8::try_from(u32::from(char)).ok())
        .collect()
}

/// The canonical request of an exchange.
#[pyclass(frozen, module = "oto_trio._core")]
pub(crate) struct Request {
    exchange: Py<Exchange>,
}

impl Request {
    fn look<R>(&self, look: impl FnOnce(&mut Flow) -> R) -> PyResult<R> {
        self.exchange.get().hold()?.with(look)
    }
}

#[pymethods]
impl Request {
    #[getter]
    fn method(&self) -> PyResult<String> {
        self.look(|flow| flow.request.method_text().to_owned())
    }

    #[getter]
    fn path(&self) -> PyResult<String> {
        self.look(|flow| flow.request.path().to_owned())
    }

    #[getter]
    fn query(&self) -> PyResult<String> {
        self.look(|flow| flow.request.query().unwrap_or("").to_owned())
    }

    #[getter]
    fn host(&self) -> PyResult<String> {
        self.look(|flow| flow.request.host().to_owned())
    }

    #[getter]
    fn domain(&self) -> PyResult<String> {
        self.look(|flow| flow.request.domain().to_owned())
    }

    #[getter]
    fn version(&self) -> PyResult<&'static str> {
        self.look(|flow| flow.request.version.text())
    }

    #[getter]
    fn has_body(&self) -> PyResult<bool> {
        self.look(|flow| flow.request.has_body())
    }

    #[getter]
    fn headers(&self, py: Python<'_>) -> Headers {
        Headers {
            exchange: self.exchange.clone_ref(py),
            side: Side::Request,
        }
    }

    fn read<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Bound<'py, PyAny>> {
        let reader = lock(&self.exchange.get().reader)
            .as_ref()
            .map(|reader| reader.clone_ref(py));
        let Some(reader) = reader else {
            return Err(PyRuntimeError::new_err(
                "only an `async def` hook can read the request body",
            ));
        };
        reader.bind(py).call1((self.exchange.clone_ref(py), limit))
    }
}

/// The response head of an exchange.
#[pyclass(frozen, module = "oto_trio._core")]
pub(crate) struct ResponseHead {
    exchange: Py<Exchange>,
}

#[pymethods]
impl ResponseHead {
    #[getter]
    fn get_status(&self) -> PyResult<u16> {
        self.exchange
            .get()
            .hold()?
            .with(|flow| flow.response.status)
    }

    #[setter]
    fn set_status(&self, status: u16) -> PyResult<()> {
        if !(200..=599).contains(&status) {
            return Err(PyValueError::new_err(format!(
                "status {status} cannot be sent as a final answer; use 200 to 599"
            )));
        }
        self.exchange
            .get()
            .hold()?
            .with(|flow| flow.set_status(status))
    }

    #[getter]
    fn headers(&self, py: Python<'_>) -> Headers {
        Headers {
            exchange: self.exchange.clone_ref(py),
            side: Side::Response,
        }
    }
}

#[derive(Clone, Copy)]
enum Side {
    Request,
    Response,
}

/// Header fields of a request or a response, live.
#[pyclass(frozen, module = "oto_trio._core")]
pub(crate) struct Headers {
    exchange: Py<Exchange>,
    side: Side,
}

impl Headers {
    fn look<R>(&self, look: impl FnOnce(&mut headers::Headers) -> R) -> PyResult<R> {
        let side = self.side;
        self.exchange.get().hold()?.with(|flow| {
            look(match side {
                Side::Request => &mut flow.request.headers,
                Side::Response => &mut flow.response.headers,
            })
        })
    }

    fn checked(name: &str, value: &str) -> PyResult<Vec<u8>> {
        if !is_name(name.as_bytes()) {
            return Err(PyValueError::new_err(format!(
                "{name:?} is not a header name"
            )));
        }
        if matches!(
            Known::of(name.as_bytes()),
            Known::ContentLength | Known::TransferEncoding | Known::Connection
        ) {
            return Err(PyValueError::new_err(format!(
                "{name} cannot be set: the gateway frames messages itself"
            )));
        }
        latin1(value)
            .filter(|bytes| is_value(bytes))
            .ok_or_else(|| {
                PyValueError::new_err(format!(
                    "the value of {name} has a control character or one outside Latin-1"
                ))
            })
    }
}

#[pymethods]
impl Headers {
    fn get<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Option<Bound<'py, PyString>>> {
        self.look(|headers| headers.find(name.as_bytes()).map(|value| text(py, value)))
    }

    fn get_all<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Vec<Bound<'py, PyString>>> {
        self.look(|headers| {
            headers
                .find_all(name.as_bytes())
                .map(|value| text(py, value))
                .collect()
        })
    }

    fn set(&self, name: &str, value: &str) -> PyResult<()> {
        let value = Self::checked(name, value)?;
        let phase = match self.side {
            Side::Request => Phase::TransformRequest,
            Side::Response => Phase::TransformResponse,
        };
        self.exchange
            .get()
            .hold()?
            .with(|flow| flow.set_header(phase, name.as_bytes(), &value))
    }

    fn add(&self, name: &str, value: &str) -> PyResult<()> {
        let value = Self::checked(name, value)?;
        self.look(|headers| headers.add(name.as_bytes(), &value))
    }

    fn remove(&self, name: &str) -> PyResult<bool> {
        self.look(|headers| headers.remove(name.as_bytes()))
    }

    fn items<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Vec<(Bound<'py, PyString>, Bound<'py, PyString>)>> {
        self.look(|headers| {
            headers
                .iter()
                .map(|(name, value, _)| (text(py, name), text(py, value)))
                .collect()
        })
    }

    fn __contains__(&self, name: &str) -> PyResult<bool> {
        self.look(|headers| headers.find(name.as_bytes()).is_some())
    }
}

/// Header bytes as Python reads them: Latin-1, one character a byte.
fn text<'py>(py: Python<'py>, bytes: &[u8]) -> Bound<'py, PyString> {
    match std::str::from_utf8(bytes) {
        Ok(ascii) if bytes.is_ascii() => PyString::new(py, ascii),
        _ => PyString::new(
            py,
            &bytes
                .iter()
                .map(|byte| char::from(*byte))
                .collect::<String>(),
        ),
    }
}
