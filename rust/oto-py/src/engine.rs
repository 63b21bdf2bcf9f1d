//! `Engine`: the pumped engine.

use std::collections::HashSet;
use std::net::IpAddr;
use std::os::fd::RawFd;
use std::sync::Mutex;

use oto_core::metrics::LATENCY_BOUNDS_S;
use oto_core::plan::ResponseBody;
use oto_engine::{Event, RouteCount, Settings, ToShow};
use pyo3::exceptions::{PyLookupError, PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};

use crate::decision::reply;
use crate::events::told;
use crate::exchange::Exchange;
use crate::fields::FieldBlock;
use crate::lock;
use crate::snapshot::Snapshot;
use crate::ways::{asked, auth_name, duplicate, ways};

/// Non-blocking HTTP/1 between clients and backends, turned from a Trio task.
#[pyclass(frozen, module = "oto_trio._core")]
pub(crate) struct Engine {
    inner: Mutex<oto_engine::Engine>,
    waiter: oto_engine::Waiter,
}

/// The longest time `turn` blocks the interpreter's thread.
const MOST_LINGER_S: f64 = 0.001;

type Fields = Vec<(PyBackedStr, PyBackedStr)>;

/// A route's id, calls, bytes in and out, seconds, seconds of overhead, and what runs.
type Counted = (String, u64, u64, u64, f64, f64, u64);

/// A certificate's id, its chain and its key in DER.
type ShownToPy<'py> = (String, Vec<Bound<'py, PyBytes>>, Bound<'py, PyBytes>);

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (settings = None, seed = 1))]
    fn new(settings: Option<PyBackedBytes>, seed: u64) -> PyResult<Self> {
        let settings: Settings =
            oto_engine::Settings::from_json(settings.as_deref().unwrap_or(b"{}"))
                .map_err(PyValueError::new_err)?;
        let engine = oto_engine::Engine::new(settings, seed).map_err(PyOSError::new_err)?;
        let queue = duplicate(engine.fileno()).map_err(PyOSError::new_err)?;
        let waiter = oto_engine::Waiter::new(queue);
        Ok(Self {
            inner: Mutex::new(engine),
            waiter,
        })
    }

    fn fileno(&self) -> RawFd {
        lock(&self.inner).fileno()
    }

    #[pyo3(signature = (fd, listener, secured, client_auth = "Dynamic", http2 = false, http1 = true, exclusive = false))]
    // Keyword arguments on the Python side.
    #[allow(clippy::too_many_arguments)]
    fn adopt(
        &self,
        fd: RawFd,
        listener: &str,
        secured: bool,
        client_auth: &str,
        http2: bool,
        http1: bool,
        exclusive: bool,
    ) -> PyResult<u64> {
        let ways = ways(secured, client_auth, http2, http1, exclusive)?;
        if fd < 0 {
            return Err(PyValueError::new_err("fd must be an open descriptor"));
        }
        let owned = duplicate(fd).map_err(PyOSError::new_err)?;
        lock(&self.inner)
            .adopt(owned, listener, ways)
            .map_err(PyOSError::new_err)
    }

    #[pyo3(signature = (handle, secured, client_auth = "Dynamic", http2 = false, http1 = true, exclusive = false))]
    fn retune(
        &self,
        handle: u64,
        secured: bool,
        client_auth: &str,
        http2: bool,
        http1: bool,
        exclusive: bool,
    ) -> PyResult<()> {
        let ways = ways(secured, client_auth, http2, http1, exclusive)?;
        lock(&self.inner)
            .retune(handle, ways)
            .map_err(PyOSError::new_err)
    }

    fn adopt_tcp(&self, fd: RawFd, listener: &str) -> PyResult<u64> {
        if fd < 0 {
            return Err(PyValueError::new_err("fd must be an open descriptor"));
        }
        let owned = duplicate(fd).map_err(PyOSError::new_err)?;
        lock(&self.inner)
            .adopt_tcp(owned, listener)
            .map_err(PyOSError::new_err)
    }

    #[pyo3(signature = (listener, exclusive = false, client_auth = "Dynamic"))]
    fn adopt_datagrams(&self, listener: &str, exclusive: bool, client_auth: &str) -> PyResult<u64> {
        let client_auth = asked(client_auth)?;
        Ok(lock(&self.inner).adopt_datagrams(listener, exclusive, client_auth))
    }

    fn to_show<'py>(
        &self,
        py: Python<'py>,
        server_name: Option<&str>,
        now: f64,
    ) -> PyResult<Option<ShownToPy<'py>>> {
        match lock(&self.inner).to_show(server_name, now) {
            ToShow::Certificate(it) => {
                let key = it.key.as_ref().map_or(&[][..], |key| key.secret_der());
                let chain = it.chain.iter().map(|it| PyBytes::new(py, it));
                Ok(Some((
                    it.id.to_string(),
                    chain.collect(),
                    PyBytes::new(py, key),
                )))
            }
            ToShow::Later => Ok(None),
            ToShow::Nothing => Err(PyLookupError::new_err("no certificate is for this name")),
        }
    }

    fn client_auth(&self, listener: u64) -> &'static str {
        auth_name(lock(&self.inner).client_auth_of(listener))
    }

    fn check_client(&self, listener: u64, chain: Vec<Vec<u8>>, now: f64) -> Option<(u8, String)> {
        lock(&self.inner).check_client(listener, chain, now).err()
    }

    #[pyo3(signature = (listener, ip, server_name, now, chain = vec![], is_resumed = false))]
    fn carry(
        &self,
        listener: u64,
        ip: &str,
        server_name: Option<&str>,
        now: f64,
        chain: Vec<Vec<u8>>,
        is_resumed: bool,
    ) -> PyResult<u64> {
        let ip = ip
            .parse()
            .map_err(|_| PyValueError::new_err("the client's address must be an IP address"))?;
        lock(&self.inner)
            .carry(listener, ip, server_name, chain, is_resumed, now)
            .map_err(PyValueError::new_err)
    }

    #[pyo3(signature = (handle, now, tunnels_s = f64::INFINITY))]
    fn release<'py>(
        &self,
        py: Python<'py>,
        handle: u64,
        now: f64,
        tunnels_s: f64,
    ) -> PyResult<Bound<'py, PyList>> {
        let mut engine = lock(&self.inner);
        engine.release(handle, now, tunnels_s);
        let events = engine.expire(now);
        drop(engine);
        told(py, events)
    }

    fn install(&self, snapshot: &Snapshot) {
        lock(&self.inner).install(snapshot.inner.clone());
    }

    #[pyo3(signature = (now, linger = 0.0))]
    fn turn<'py>(
        &self,
        py: Python<'py>,
        now: f64,
        linger: f64,
    ) -> PyResult<Option<Bound<'py, PyList>>> {
        if linger > 0.0 && !lock(&self.inner).is_pending() {
            // Longer waits are what the scheduler is for.
            let most = std::time::Duration::from_secs_f64(linger.min(MOST_LINGER_S));
            if !py.detach(|| self.waiter.wait(most)) {
                return Ok(None);
            }
        }
        let events = lock(&self.inner).turn(now);
        told(py, events).map(Some)
    }

    fn expire<'py>(&self, py: Python<'py>, now: f64) -> PyResult<Bound<'py, PyList>> {
        let events = lock(&self.inner).expire(now);
        told(py, events)
    }

    fn set_ticket_secret(&self, secret: PyBackedBytes) {
        lock(&self.inner).set_ticket_secret(&secret);
    }

    fn certificate_told<'py>(
        &self,
        py: Python<'py>,
        server_name: &str,
        certificate: PyBackedBytes,
        now: f64,
    ) -> PyResult<Bound<'py, PyList>> {
        let events = lock(&self.inner).certificate_told(server_name, &certificate, now);
        told(py, events)
    }

    fn send(&self, connection: u64, data: PyBackedBytes) -> bool {
        lock(&self.inner).send(connection, &data)
    }

    fn patience(&self, connection: u64, due: f64) {
        lock(&self.inner).set_patience(connection, due);
    }

    fn set_appetite(&self, connection: u64, most: usize) {
        lock(&self.inner).set_appetite(connection, most);
    }

    fn hold(&self, connection: u64, held: bool) {
        lock(&self.inner).hold(connection, held);
    }

    fn hang_up(&self, connection: u64, now: f64) {
        lock(&self.inner).hang_up(connection, now);
    }

    fn open_stream(
        &self,
        connection: u64,
        fields: &FieldBlock,
        ends: bool,
        now: f64,
    ) -> PyResult<u64> {
        lock(&self.inner)
            .open_stream(connection, &fields.fields, ends, now)
            .map_err(PyValueError::new_err)
    }

    fn feed(&self, stream: u64, data: PyBackedBytes, ends: bool, now: f64) {
        lock(&self.inner).feed(stream, &data, ends, now);
    }

    fn feed_trailers(&self, stream: u64, fields: &FieldBlock, now: f64) -> PyResult<()> {
        lock(&self.inner)
            .feed_trailers(stream, &fields.fields, now)
            .map_err(PyValueError::new_err)
    }

    fn reset_stream(&self, stream: u64, now: f64) {
        lock(&self.inner).reset_stream(stream, now);
    }

    fn answer_head(&self, stream: u64, fields: &FieldBlock, now: f64) {
        lock(&self.inner).answer_head(stream, &fields.fields, now);
    }

    fn break_stream(&self, stream: u64, unseen: bool, now: f64) {
        lock(&self.inner).break_call(stream, unseen, now);
    }

    fn set_room(&self, connection: u64, most: u32, now: f64) {
        lock(&self.inner).set_room(connection, most, now);
    }

    fn backend_of(&self, connection: u64) -> String {
        lock(&self.inner).backend_of(connection).to_owned()
    }

    fn set_sockets(&self, connection: u64, allowed: bool, now: f64) {
        lock(&self.inner).set_sockets(connection, allowed, now);
    }

    fn dialled(&self, connection: u64, room: u32, now: f64) {
        lock(&self.inner).dialled(connection, room, now);
    }

    fn dial_failed(&self, connection: u64, problem: &str, is_tls: bool, now: f64) {
        lock(&self.inner).dial_failed(connection, problem, is_tls, now);
    }

    fn check_backend(&self, connection: u64, name: &str, chain: Vec<Vec<u8>>) -> PyResult<()> {
        lock(&self.inner)
            .check_backend(connection, name, chain)
            .map_err(PyValueError::new_err)
    }

    fn taken(&self, stream: u64, count: usize) {
        lock(&self.inner).taken(stream, count);
    }

    fn set_unix_offset(&self, seconds: f64) {
        lock(&self.inner).set_unix_offset(seconds);
    }

    #[getter]
    fn pending(&self) -> bool {
        lock(&self.inner).is_pending()
    }

    fn resume<'py>(
        &self,
        py: Python<'py>,
        exchange: &Exchange,
        now: f64,
    ) -> PyResult<Bound<'py, PyList>> {
        let flow = exchange.take()?;
        let events = lock(&self.inner).resume(flow, now);
        told(py, events)
    }

    fn reject<'py>(
        &self,
        py: Python<'py>,
        exchange: &Exchange,
        now: f64,
    ) -> PyResult<Bound<'py, PyList>> {
        let flow = exchange.take()?;
        let events = lock(&self.inner).reject(flow, now);
        told(py, events)
    }

    fn respond<'py>(
        &self,
        py: Python<'py>,
        exchange: &Exchange,
        status: u16,
        headers: Fields,
        body: PyBackedBytes,
        now: f64,
    ) -> PyResult<Bound<'py, PyList>> {
        let may_switch = exchange
            .hold()?
            .with(|flow| flow.watch.is_some() && flow.request.upgrade().is_some())?;
        let reply = reply(status, &headers, &body, may_switch)?;
        let flow = exchange.take()?;
        let events = lock(&self.inner).respond(flow, reply, now);
        told(py, events)
    }

    fn refuse<'py>(
        &self,
        py: Python<'py>,
        exchange: &Exchange,
        status: u16,
        message: &str,
        cause: Option<&str>,
        now: f64,
    ) -> PyResult<Bound<'py, PyList>> {
        if !(400..=599).contains(&status) {
            return Err(PyValueError::new_err(format!(
                "status {status} is no error; use 400 to 599"
            )));
        }
        let flow = exchange.take()?;
        let events = lock(&self.inner).refuse_flow(flow, status, message, cause.unwrap_or(""), now);
        told(py, events)
    }

    fn read_body<'py>(
        &self,
        py: Python<'py>,
        exchange: &Exchange,
        limit: usize,
        now: f64,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let (is_held, events) = lock(&self.inner).read_body(exchange.id(), limit, now);
        let events = told(py, events)?;
        (is_held, events).into_pyobject(py)
    }

    fn read_response<'py>(
        &self,
        py: Python<'py>,
        exchange: &Exchange,
        limit: usize,
        now: f64,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let id = exchange.id();
        let (is_held, events) =
            match exchange.hold()?.with(|flow| match flow.response_body()? {
                ResponseBody::Here(body) => Some(Err((body.len() <= limit).then(|| body.to_vec()))),
                ResponseBody::Backend(body) => Some(Ok(body)),
            })? {
                None => (false, Vec::new()),
                Some(Err(body)) => (true, vec![Event::Body(id, body)]),
                Some(Ok(body)) => lock(&self.inner).read_response(id, limit, body, now),
            };
        let events = told(py, events)?;
        (is_held, events).into_pyobject(py)
    }

    fn resolved<'py>(
        &self,
        py: Python<'py>,
        hostname: &str,
        addresses: Vec<PyBackedStr>,
        now: f64,
    ) -> PyResult<Bound<'py, PyList>> {
        // A scope (`fe80::1%eth0`) is no part of an address that can be connected to here.
        let addresses: Vec<IpAddr> = addresses
            .iter()
            .filter_map(|text| text.parse().ok())
            .collect();
        let events = lock(&self.inner).resolved(hostname, addresses, now);
        told(py, events)
    }

    fn log_access(&self, listeners: HashSet<String>) {
        lock(&self.inner).log_access(listeners);
    }

    fn take_access_lines<'py>(&self, py: Python<'py>) -> (Bound<'py, PyBytes>, u64) {
        let (lines, lost) = lock(&self.inner).take_access_lines();
        (PyBytes::new(py, &lines), lost)
    }

    fn drain_records<'py>(&self, py: Python<'py>, max: usize) -> Bound<'py, PyBytes> {
        let mut out = Vec::new();
        lock(&self.inner).drain_records(max, &mut out);
        PyBytes::new(py, &out)
    }

    fn drain_alerts<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let mut out = Vec::new();
        lock(&self.inner).drain_alerts(&mut out);
        PyBytes::new(py, &out)
    }

    fn drain_tcp_records<'py>(&self, py: Python<'py>, max: usize) -> Bound<'py, PyBytes> {
        let mut out = Vec::new();
        lock(&self.inner).drain_tcp_records(max, &mut out);
        PyBytes::new(py, &out)
    }

    fn capture(&self, settings: PyBackedBytes) -> PyResult<()> {
        let settings = serde_json::from_slice(&settings)
            .map_err(|error| PyValueError::new_err(format!("capture settings: {error}")))?;
        lock(&self.inner)
            .capture(settings)
            .map_err(PyValueError::new_err)
    }

    fn metrics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let engine = lock(&self.inner);
        let (metrics, dropped) = engine.metrics();
        let in_flight = engine.in_flight();
        let tcp = engine.tcp_traffic();
        let dict = PyDict::new(py);
        for (name, number) in [
            ("requests", metrics.requests),
            ("refused_heads", metrics.refused_heads),
            ("client_left", metrics.client_left),
            ("upstream_failures", metrics.upstream_failures),
            ("retries", metrics.retries),
            ("accepted", metrics.accepted),
            ("connected", metrics.connected),
            ("reused", metrics.reused),
            ("accept_errors", metrics.accept_errors),
            ("handshakes", metrics.handshakes),
            ("handshakes_resumed", metrics.resumed),
            ("handshake_failures", metrics.handshake_failures),
            ("bytes_in", metrics.bytes_in),
            ("bytes_out", metrics.bytes_out),
            ("tcp_accepted", metrics.tcp_accepted),
            ("tcp_refused", metrics.tcp_refused),
            ("tcp_failed", metrics.tcp_failed),
            ("tcp_bytes_in", tcp.bytes_in),
            ("tcp_bytes_out", tcp.bytes_out),
            ("tcp_connections", tcp.connections),
            ("tcp_records_dropped", tcp.records_dropped),
            ("panics", metrics.panics),
            ("records_dropped", dropped),
            ("event_details_dropped", engine.details_dropped()),
            ("alerts_dropped", engine.alerts_dropped()),
            ("requests_without_tally", engine.uncounted_by_route()),
            ("connections", in_flight.connections as u64),
            ("exchanges", in_flight.exchanges as u64),
            ("tunnels", in_flight.tunnels as u64),
            ("pooled", in_flight.pooled as u64),
        ] {
            dict.set_item(name, number)?;
        }
        dict.set_item("by_class", metrics.by_class.to_vec())?;
        dict.set_item("latency", metrics.latency.to_vec())?;
        dict.set_item("latency_bounds_s", LATENCY_BOUNDS_S.to_vec())?;
        dict.set_item("latency_sum_s", metrics.latency_sum_s)?;
        dict.set_item("overhead_sum_s", metrics.overhead_sum_s)?;
        Ok(dict)
    }

    fn count_routes(&self, ids: Vec<String>) -> Vec<Counted> {
        lock(&self.inner)
            .count_routes(&ids)
            .into_iter()
            .map(counted)
            .collect()
    }

    fn tallied_routes(&self) -> Vec<Counted> {
        lock(&self.inner)
            .tallied_routes()
            .into_iter()
            .map(counted)
            .collect()
    }

    fn drain(&self, now: f64) {
        lock(&self.inner).drain(now);
    }

    fn in_flight<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counts = lock(&self.inner).in_flight();
        let dict = PyDict::new(py);
        dict.set_item("connections", counts.connections)?;
        dict.set_item("exchanges", counts.exchanges)?;
        dict.set_item("tunnels", counts.tunnels)?;
        dict.set_item("pooled", counts.pooled)?;
        Ok(dict)
    }

    #[getter]
    fn oldest_generation(&self) -> u64 {
        lock(&self.inner).oldest_generation()
    }

    fn close(&self) {
        lock(&self.inner).close();
    }
}

fn counted(route: RouteCount) -> Counted {
    let tally = route.tally;
    (
        route.id.as_ref().to_owned(),
        tally.calls,
        tally.bytes_in,
        tally.bytes_out,
        tally.duration_s,
        tally.overhead_s,
        route.running,
    )
}
