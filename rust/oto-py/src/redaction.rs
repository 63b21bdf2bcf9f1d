//! `Redaction`: what of an exchange or a document may be told.

use oto_core::record::{Redaction as Rules, RedactionSettings};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

/// The rules that take secrets out.
#[pyclass(frozen, module = "oto_trio._core")]
pub(crate) struct Redaction {
    rules: Rules,
}

#[pymethods]
impl Redaction {
    #[new]
    fn new(settings: PyBackedBytes) -> PyResult<Self> {
        serde_json::from_slice::<RedactionSettings>(&settings)
            .map_err(|error| error.to_string())
            .and_then(RedactionSettings::build)
            .map(|rules| Self { rules })
            .map_err(|error| PyValueError::new_err(format!("redaction: {error}")))
    }

    fn header(&self, name: &str, value: &str) -> Option<String> {
        self.rules.header(name, value)
    }

    fn query(&self, query: &str) -> String {
        self.rules.query(query)
    }

    fn path(&self, path: &str) -> String {
        self.rules.path(path)
    }

    fn text(&self, text: &str) -> String {
        self.rules.text(text)
    }

    fn json<'py>(&self, py: Python<'py>, document: PyBackedBytes) -> PyResult<Bound<'py, PyBytes>> {
        let mut value: serde_json::Value = serde_json::from_slice(&document)
            .map_err(|error| PyValueError::new_err(format!("the document is no JSON: {error}")))?;
        self.rules.json(&mut value);
        let text =
            serde_json::to_vec(&value).map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(PyBytes::new(py, &text))
    }
}
