//! `Router`: which route takes a request, for tests and for Python code that routes by itself.

use std::sync::Mutex;

use oto_core::router::{self, Frontend, RequestFacts};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::lock;

/// A table of routes that can be copied at no cost.
#[pyclass(frozen, module = "oto_trio._core")]
pub(crate) struct Router {
    inner: Mutex<router::Router<()>>,
}

/// Id of the route, bytes of the path that matched, bound names, whether every segment matched.
type Found = (String, usize, Vec<(String, String)>, bool);

#[pymethods]
impl Router {
    #[new]
    fn new() -> Self {
        Self {
            inner: Mutex::default(),
        }
    }

    #[pyo3(signature = (id, frontend, *, enabled = true, bound_listeners = Vec::new()))]
    fn insert(
        &self,
        id: &str,
        frontend: PyBackedBytes,
        enabled: bool,
        bound_listeners: Vec<String>,
    ) -> PyResult<()> {
        let json = serde_json::from_slice(&frontend)
            .map_err(|error| PyValueError::new_err(format!("frontend: not JSON: {error}")))?;
        let frontend = Frontend::from_json(&json, enabled, &bound_listeners)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        lock(&self.inner).insert(id, frontend, ());
        Ok(())
    }

    fn remove(&self, id: &str) -> bool {
        lock(&self.inner).remove(id)
    }

    #[pyo3(signature = (method, host, path, query = "", headers = Vec::new(),
                        listener = "standard-listener", *, exclusive = false))]
    #[allow(clippy::too_many_arguments)] // one crossing a question
    fn find(
        &self,
        method: &str,
        host: &str,
        path: &str,
        query: &str,
        headers: Vec<(String, String)>,
        listener: &str,
        exclusive: bool,
    ) -> Option<Found> {
        let question = Question {
            method,
            host,
            path,
            query,
            headers: in_bytes(headers),
            listener,
            exclusive,
        };
        let router = lock(&self.inner);
        let found = router.find(&question, &mut |()| true)?;
        let bound = found.params.into_iter().map(|(name, range)| {
            let text = path.get(range).unwrap_or_default();
            (name.to_owned(), text.to_owned())
        });
        Some((
            found.route.id.to_string(),
            found.matched_len,
            bound.collect(),
            found.no_more_segments,
        ))
    }

    #[pyo3(signature = (method, host, path, query = "", headers = Vec::new(),
                        listener = "standard-listener", *, exclusive = false))]
    #[allow(clippy::too_many_arguments)] // one crossing a question
    fn explain<'py>(
        &self,
        py: Python<'py>,
        method: &str,
        host: &str,
        path: &str,
        query: &str,
        headers: Vec<(String, String)>,
        listener: &str,
        exclusive: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let question = Question {
            method,
            host,
            path,
            query,
            headers: in_bytes(headers),
            listener,
            exclusive,
        };
        let text = serde_json::to_string(&lock(&self.inner).explain(&question, &mut |()| true))
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        py.import("json")?.call_method1("loads", (text,))
    }

    fn snapshot(&self) -> Self {
        Self {
            inner: Mutex::new(lock(&self.inner).clone()),
        }
    }

    fn __len__(&self) -> usize {
        lock(&self.inner).len()
    }

    fn __contains__(&self, id: &str) -> bool {
        lock(&self.inner).route(id).is_some()
    }

    fn __repr__(&self) -> String {
        format!("<Router routes={}>", self.__len__())
    }
}

struct Question<'a> {
    method: &'a str,
    host: &'a str,
    path: &'a str,
    query: &'a str,
    headers: Vec<(String, Vec<u8>)>,
    listener: &'a str,
    exclusive: bool,
}

impl RequestFacts for Question<'_> {
    fn domain(&self) -> &str {
        self.host
    }
    fn path(&self) -> &str {
        self.path
    }
    fn method(&self) -> &str {
        self.method
    }
    fn query(&self) -> &str {
        self.query
    }
    fn header(&self, lower_name: &str, visit: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        let headers = self.headers.iter();
        headers
            .filter(|(name, _)| name.eq_ignore_ascii_case(lower_name))
            .any(|(_, value)| visit(value))
    }
    fn listener(&self) -> &str {
        self.listener
    }
    fn listener_is_exclusive(&self) -> bool {
        self.exclusive
    }
}

/// Header texts as Python holds them are Latin-1; what lies beyond goes as UTF-8.
fn in_bytes(headers: Vec<(String, String)>) -> Vec<(String, Vec<u8>)> {
    let latin = |value: String| {
        let bytes: Result<Vec<u8>, _> = value.chars().map(u8::try_from).collect();
        bytes.unwrap_or_else(|_| value.into_bytes())
    };
    let headers = headers.into_iter();
    headers.map(|(name, value)| (name, latin(value))).collect()
}
