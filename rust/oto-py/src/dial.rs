//! What `DIAL` brings: a connection to a backend that Python is to make.

use oto_engine::Dial;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

/// What is asked for: number, address and port, name, and the chain and key to show.
pub(crate) fn dialled<'py>(py: Python<'py>, dial: &Dial) -> PyResult<Bound<'py, PyTuple>> {
    let shown = dial.shown.as_ref().and_then(|shown| {
        let key = PyBytes::new(py, shown.key.as_ref()?.secret_der());
        let chain: Vec<_> = shown.chain.iter().map(|it| PyBytes::new(py, it)).collect();
        Some((chain, key))
    });
    let to = (dial.to.ip().to_string(), dial.to.port());
    (dial.id, to, &dial.name, shown).into_pyobject(py)
}
