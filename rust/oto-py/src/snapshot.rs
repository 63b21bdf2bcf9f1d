//! `Snapshot`: routes, plans and settings as one immutable value.

use std::net::IpAddr;
use std::sync::Arc;

use oto_core::access::{Peer, UNIX};
use oto_core::http1::{HeadLimits, Request, ResponseHead, Version};
use oto_core::plan::{self, Downstream, Flow};
use oto_core::tls::ClientCertificate;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};

use crate::exchange::{Exchange, HeadRefused};
use crate::limits::Limits;

/// Everything an engine decides by.
#[pyclass(frozen, module = "oto_trio._core")]
pub(crate) struct Snapshot {
    pub(crate) inner: Arc<plan::Snapshot>,
}

#[pymethods]
impl Snapshot {
    #[new]
    #[pyo3(signature = (limits = None))]
    fn new(limits: Option<&Limits>) -> Self {
        let inner = match limits {
            Some(limits) => plan::Snapshot::counting_in(Arc::clone(&limits.inner)),
            None => plan::Snapshot::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    #[pyo3(signature = (upserts, removed, settings = None, entities = Vec::new()))]
    fn apply(
        &self,
        upserts: Vec<PyBackedBytes>,
        removed: Vec<PyBackedStr>,
        settings: Option<PyBackedBytes>,
        entities: Vec<(PyBackedStr, PyBackedStr, Option<PyBackedBytes>)>,
    ) -> PyResult<Self> {
        let routes: Vec<&[u8]> = upserts.iter().map(|json| &**json).collect();
        let removed: Vec<&str> = removed.iter().map(|id| &**id).collect();
        let entities: Vec<_> = entities
            .iter()
            .map(|(kind, id, json)| (&**kind, &**id, json.as_deref()))
            .collect();
        let change = plan::Change {
            routes: &routes,
            removed: &removed,
            settings: settings.as_deref(),
            entities: &entities,
        };
        match self.inner.apply(&change) {
            Ok(next) => Ok(Self {
                inner: Arc::new(next),
            }),
            Err(error) => Err(PyValueError::new_err(error.to_string())),
        }
    }

    // Keyword arguments on the Python side.
    #[allow(clippy::too_many_arguments)]
    #[pyo3(signature = (method, host, target, headers, *, secured = false, listener = "standard-listener", exclusive = false))]
    fn explain<'py>(
        &self,
        py: Python<'py>,
        method: &str,
        host: &str,
        target: &str,
        mut headers: Vec<(String, String)>,
        secured: bool,
        listener: &str,
        exclusive: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        headers.insert(0, ("host".to_owned(), host.to_owned()));
        let question = plan::Question {
            method,
            target,
            headers: &headers,
            secured,
            listener,
            exclusive,
        };
        let answer = self
            .inner
            .explain(&question)
            .map_err(|error| PyValueError::new_err(error.message()))?;
        py.import("json")?
            .call_method1("loads", (answer.to_string(),))
    }

    #[pyo3(signature = (method, target, headers, *, version = "2.0", remote_address = "127.0.0.1", secured = false, listener = "standard-listener", exclusive = false, now = 0.0, unix_time = 0.0, random = 0, client_chain = Vec::new()))]
    #[allow(clippy::too_many_arguments)]
    fn begin(
        &self,
        method: &[u8],
        target: &[u8],
        headers: Vec<(PyBackedBytes, PyBackedBytes)>,
        version: &str,
        remote_address: &str,
        secured: bool,
        listener: &str,
        exclusive: bool,
        now: f64,
        unix_time: f64,
        random: u64,
        client_chain: Vec<PyBackedBytes>,
    ) -> PyResult<Exchange> {
        let version = match version {
            "1.0" => Version::Http10,
            "1.1" => Version::Http11,
            "2.0" => Version::Http2,
            "3.0" => Version::Http3,
            other => {
                return Err(PyValueError::new_err(format!(
                    "version {other:?} is none of 1.0, 1.1, 2.0, 3.0"
                )));
            }
        };
        let peer = match remote_address {
            UNIX => Peer::Unix,
            text => text.parse::<IpAddr>().map(Peer::from).map_err(|_| {
                PyValueError::new_err(format!(
                    "{remote_address:?} is no IP address and not {UNIX:?}"
                ))
            })?,
        };
        let fields = headers.iter().map(|(name, value)| (&**name, &**value));
        let request = Request::from_parts(method, target, fields, version, &HeadLimits::default())
            .map_err(|error| HeadRefused::new_err((error.status(), error.message())))?;
        let downstream = Downstream {
            peer,
            secured,
            listener: Arc::from(listener),
            is_exclusive: exclusive,
            client_cert: client_certificate(&client_chain)?,
        };
        let flow = Flow::begin(
            0,
            request,
            ResponseHead::default(),
            downstream,
            Arc::clone(&self.inner),
            plan::Moment {
                mono_s: now,
                unix_s: unix_time,
                random,
            },
        );
        Ok(Exchange::unscheduled(Box::new(flow)))
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

fn client_certificate(chain: &[PyBackedBytes]) -> PyResult<Option<Arc<ClientCertificate>>> {
    if chain.is_empty() {
        return Ok(None);
    }
    let chain = chain.iter().map(|der| der.to_vec()).collect();
    let certificate = ClientCertificate::read(chain, true).ok_or_else(|| {
        PyValueError::new_err("client_chain: its first certificate cannot be read; give DER")
    })?;
    Ok(Some(Arc::new(certificate)))
}
