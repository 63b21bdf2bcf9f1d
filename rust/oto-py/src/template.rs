//! `Template`: the expression language for hooks in Python, the same code that native steps run.

use oto_core::expression;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::exchange::Exchange;

/// A compiled text with `${…}`.
#[pyclass(frozen, module = "oto_trio._core")]
pub(crate) struct Template {
    inner: expression::Template,
}

impl Template {
    fn text(&self, exchange: &Bound<'_, PyAny>, counted: bool) -> PyResult<String> {
        if let Some(text) = self.inner.literal() {
            return Ok(text.to_owned());
        }
        let native: Py<Exchange> = exchange.call_method0("native")?.extract()?;
        native.get().hold()?.with(|flow| match counted {
            true => self.inner.counted(flow).into_owned(),
            false => self.inner.text(flow).into_owned(),
        })
    }
}

#[pymethods]
impl Template {
    #[new]
    fn new(source: &str) -> PyResult<Self> {
        let inner = expression::Template::parse(source).map_err(PyValueError::new_err)?;
        Ok(Self { inner })
    }

    #[getter]
    fn source(&self) -> &str {
        self.inner.source()
    }

    #[getter]
    fn is_literal(&self) -> bool {
        self.inner.is_literal()
    }

    fn render(&self, exchange: &Bound<'_, PyAny>) -> PyResult<String> {
        self.text(exchange, false)
    }

    fn render_counted(&self, exchange: &Bound<'_, PyAny>) -> PyResult<String> {
        self.text(exchange, true)
    }

    fn render_header(&self, exchange: &Bound<'_, PyAny>) -> PyResult<String> {
        let bytes = expression::header_bytes(&self.text(exchange, false)?);
        Ok(bytes.into_iter().map(char::from).collect())
    }

    fn __repr__(&self) -> String {
        format!("<Template {:?}>", self.inner.source())
    }
}
