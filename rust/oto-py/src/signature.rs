//! Signatures for hooks written in Python: the same checks that native steps make.

use oto_core::http1::Headers;
use oto_core::signature::hmac;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;

use crate::decision::latin1;

/// Checks Otoroshi's `hmac` credentials.
#[pyclass(frozen, module = "oto_trio._core")]
pub(crate) struct HmacVerifier {
    secret: Vec<u8>,
    authorization_header: Option<String>,
}

#[pymethods]
impl HmacVerifier {
    #[new]
    #[pyo3(signature = (secret, authorization_header = None))]
    fn new(secret: &str, authorization_header: Option<String>) -> Self {
        Self {
            secret: secret.as_bytes().to_vec(),
            authorization_header,
        }
    }

    fn verify(&self, headers: Vec<(PyBackedStr, PyBackedStr)>) -> PyResult<bool> {
        let headers = fields(&headers)?;
        let configured = self.authorization_header.as_deref();
        Ok(hmac::verify(&headers, configured, &self.secret))
    }

    #[allow(clippy::unused_self)]
    fn __repr__(&self) -> &'static str {
        "<HmacVerifier>"
    }
}

/// Header fields as Python has them.
pub(crate) fn fields(pairs: &[(PyBackedStr, PyBackedStr)]) -> PyResult<Headers> {
    let mut headers = Headers::default();
    for (name, value) in pairs {
        let value = latin1(value).ok_or_else(|| {
            PyValueError::new_err(format!(
                "the value of {:?} has a character outside Latin-1",
                &**name
            ))
        })?;
        headers.add(name.as_bytes(), &value);
    }
    Ok(headers)
}
