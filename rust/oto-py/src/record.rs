//! Records of exchanges, as the control plane writes them.

use oto_core::record;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// A batch of records as lines of JSON, for the access log.
#[pyfunction]
pub(crate) fn access_lines<'py>(
    py: Python<'py>,
    batch: &[u8],
    unix_offset_s: f64,
) -> PyResult<Bound<'py, PyBytes>> {
    let lines = py.detach(|| record::access_lines(batch, unix_offset_s));
    let lines = lines.map_err(PyValueError::new_err)?;
    Ok(PyBytes::new(py, &lines))
}
