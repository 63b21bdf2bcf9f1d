//! `Request`, `ResponseHead` and `Headers`: the parts of an exchange, live while Python holds it.

use oto_core::http1::canonical::is_canonical_query;
use oto_core::http1::headers::{is_name, is_value};
use oto_core::http1::{Framing, Known, headers};
use oto_core::plan::{Flow, Phase};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::decision::latin1;
use crate::exchange::Exchange;

/// The canonical request of an exchange.
#[pyclass(frozen, module = "oto_trio._core")]
pub(crate) struct Request {
    exchange: Py<Exchange>,
}

impl Request {
    pub(crate) fn of(exchange: Py<Exchange>) -> Self {
        Self { exchange }
    }

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

    /// Put another query in place.
    fn set_query(&self, query: &str) -> PyResult<()> {
        if !is_canonical_query(query.as_bytes()) {
            return Err(PyValueError::new_err(
                "the query holds a character that no query may; escape it",
            ));
        }
        let query = (!query.is_empty()).then_some(query);
        self.look(|flow| flow.request.set_query(query))
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
    fn upgrade(&self) -> PyResult<Option<String>> {
        self.look(|flow| {
            let protocol = flow.request.upgrade()?;
            Some(String::from_utf8_lossy(protocol).into_owned())
        })
    }

    #[getter]
    fn content_length(&self) -> PyResult<Option<u64>> {
        self.look(|flow| match flow.request.framing {
            Framing::Length(length) => Some(length),
            _ => None,
        })
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
        let reader = self.exchange.get().reader(py);
        let Some(reader) = reader else {
            return Err(PyRuntimeError::new_err(
                "only an `async def` hook can read the request body",
            ));
        };
        reader
            .bind(py)
            .call1((self.exchange.clone_ref(py), limit, false))
    }
}

/// The response head of an exchange.
#[pyclass(frozen, module = "oto_trio._core")]
pub(crate) struct ResponseHead {
    exchange: Py<Exchange>,
}

impl ResponseHead {
    pub(crate) fn of(exchange: Py<Exchange>) -> Self {
        Self { exchange }
    }
}

#[pymethods]
impl ResponseHead {
    fn read<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Bound<'py, PyAny>> {
        let reader = self.exchange.get().reader(py);
        let Some(reader) = reader else {
            return Err(PyRuntimeError::new_err(
                "only an `async def` hook can read the response body",
            ));
        };
        reader
            .bind(py)
            .call1((self.exchange.clone_ref(py), limit, true))
    }

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
        let value = checked_field(name, value)?;
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
        let value = checked_field(name, value)?;
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

/// Check a field that Python writes.
pub(crate) fn checked_field(name: &str, value: &str) -> PyResult<Vec<u8>> {
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

/// Header bytes as Python reads them: Latin-1, one character a byte.
pub(crate) fn text<'py>(py: Python<'py>, bytes: &[u8]) -> Bound<'py, PyString> {
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
