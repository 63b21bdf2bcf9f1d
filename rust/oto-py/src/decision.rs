//! What a plan asks for next, and what Python answers, as plain values.

use oto_core::http1::headers;
use oto_core::http1::headers::{is_name, is_value};
use oto_core::plan::{Flow, Next, Reply};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyBytes, PyTuple};

/// What a listener that decodes bytes in Python must do next, as a tuple that opens with its name.
pub(crate) fn decision<'py>(
    py: Python<'py>,
    flow: &mut Flow,
    next: Next,
) -> PyResult<Bound<'py, PyTuple>> {
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
            let target = flow.target().map(|target| {
                (
                    target.hostname.to_string(),
                    target.port,
                    target.tls.is_some(),
                )
            });
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

/// A reply made in Python, checked; `may_switch`: it may be a 101.
pub(crate) fn reply(
    status: u16,
    headers: &[(PyBackedStr, PyBackedStr)],
    body: &[u8],
    may_switch: bool,
) -> PyResult<Reply> {
    let is_switch = may_switch && status == 101;
    if !is_switch && !(200..=599).contains(&status) {
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

pub(crate) fn latin1(text: &str) -> Option<Vec<u8>> {
    text.chars()
        .map(|char| u8::try_from(u32::from(char)).ok())
        .collect()
}
