//! `Snapshot`: routes, plans and settings as one immutable value.

use std::sync::Arc;

use oto_core::plan;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};

/// Everything an engine decides by.
#[pyclass(frozen, module = "oto_trio._core")]
pub(crate) struct Snapshot {
    pub(crate) inner: Arc<plan::Snapshot>,
}

#[pymethods]
impl Snapshot {
    #[new]
    fn new() -> Self {
        Self {
            inner: Arc::new(plan::Snapshot::default()),
        }
    }

    #[pyo3(signature = (upserts, removed, settings = None))]
    fn apply(
        &self,
        upserts: Vec<PyBackedBytes>,
        removed: Vec<PyBackedStr>,
        settings: Option<PyBackedBytes>,
    ) -> PyResult<Self> {
        let next = self.inner.apply(
            upserts.iter().map(|json| &**json),
            removed.iter().map(|id| &**id),
            settings.as_deref(),
        );
        match next {
            Ok(next) => Ok(Self {
                inner: Arc::new(next),
            }),
            Err(error) => Err(PyValueError::new_err(error.to_string())),
        }
    }

    #[pyo3(signature = (method, host, target, headers, *, secured = false, listener = "standard-listener"))]
    fn explain<'py>(
        &self,
        py: Python<'py>,
        method: &str,
        host: &str,
        target: &str,
        mut headers: Vec<(String, String)>,
        secured: bool,
        listener: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        headers.insert(0, ("host".to_owned(), host.to_owned()));
        let question = plan::Question {
            method,
            target,
            headers: &headers,
            secured,
            listener,
        };
        let answer = self
            .inner
            .explain(&question)
            .map_err(|error| PyValueError::new_err(error.message()))?;
        py.import("json")?
            .call_method1("loads", (answer.to_string(),))
    }

    #[getter]
    fn generation(&self) -> u64 {
        self.inner.generation
    }

    fn __len__(&self) -> usize {
        self.inner.router.len()
    }

    fn __contains__(&self, id: &str) -> bool {
        self.inner.router.route(id).is_some()
    }

    fn __repr__(&self) -> String {
        format!(
            "<Snapshot generation={} routes={}>",
            self.inner.generation,
            self.inner.router.len()
        )
    }
}
