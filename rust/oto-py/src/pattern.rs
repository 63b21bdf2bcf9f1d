//! `Pattern`: a regular expression in Java's syntax, in time linear in the text.

use oto_core::router::JavaRegex;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// A compiled expression that must match the whole text.
#[pyclass(frozen, module = "oto_trio._core")]
pub(crate) struct Pattern {
    inner: JavaRegex,
}

#[pymethods]
impl Pattern {
    #[new]
    fn new(source: &str) -> PyResult<Self> {
        JavaRegex::new(source)
            .map(|inner| Self { inner })
            .map_err(|error| PyValueError::new_err(error.to_string()))
    }

    #[getter]
    fn source(&self) -> &str {
        self.inner.source()
    }

    fn matches(&self, text: &str) -> bool {
        self.inner.matches(text.as_bytes())
    }
}
