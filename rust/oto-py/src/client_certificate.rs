//! `ClientCertificate`: what a client proved to own in its TLS handshake.

use std::sync::Arc;

use oto_core::tls;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// A client's certificate; never changes.
#[pyclass(frozen, module = "oto_trio._core")]
pub(crate) struct ClientCertificate {
    inner: Arc<tls::ClientCertificate>,
}

impl ClientCertificate {
    pub(crate) fn of(inner: Arc<tls::ClientCertificate>) -> Self {
        Self { inner }
    }
}

#[pymethods]
impl ClientCertificate {
    #[getter]
    fn chain<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        let chain = self.inner.chain.iter();
        chain.map(|der| PyBytes::new(py, der)).collect()
    }

    #[getter]
    fn subject(&self) -> &str {
        &self.inner.subject
    }

    #[getter]
    fn issuer(&self) -> &str {
        &self.inner.issuer
    }

    #[getter]
    fn common_name(&self) -> Option<&str> {
        self.inner.common_name.as_deref()
    }

    #[getter]
    fn serial(&self) -> &str {
        &self.inner.serial
    }

    #[getter]
    fn alternative_names(&self) -> Vec<String> {
        self.inner.alternative_names.clone()
    }

    #[getter]
    fn not_before_s(&self) -> i64 {
        self.inner.not_before_s
    }

    #[getter]
    fn not_after_s(&self) -> i64 {
        self.inner.not_after_s
    }

    #[getter]
    fn is_trusted(&self) -> bool {
        self.inner.is_trusted
    }

    fn certificates(&self) -> Vec<Self> {
        let chain = self.inner.certificates().into_iter();
        chain.map(|one| Self::of(Arc::new(one))).collect()
    }

    fn __repr__(&self) -> String {
        format!("<ClientCertificate {}>", self.inner.subject)
    }
}
