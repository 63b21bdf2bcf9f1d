//! What the engine tells Python: pairs of a number, as `gateway/engine.py` has them, and a value.

use oto_engine::Event;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::dial::dialled;
use crate::exchange::Exchange;
use crate::fields::FieldBlock;

const RUN: u8 = 0;
const GONE: u8 = 1;
const RESOLVE: u8 = 2;
const BODY: u8 = 3;
const PANIC: u8 = 4;
const CERTIFICATE: u8 = 5;
const NOTICE: u8 = 6;
const LEAKED: u8 = 7;
const CARRIED: u8 = 8;
const BYTES: u8 = 9;
const WRITABLE: u8 = 10;
const LOST: u8 = 11;
const IDLE: u8 = 12;
const HEAD: u8 = 13;
const DATA: u8 = 14;
const TRAILERS: u8 = 15;
const ANSWER: u8 = 16;
const BROKEN: u8 = 17;
const CONSUMED: u8 = 18;
const REACHED: u8 = 19;
const CALL: u8 = 20;
const UPGRADED: u8 = 21;
const MOUNTED: u8 = 22;
const DIAL: u8 = 23;
const HALVED: u8 = 24;
const LEAVING: u8 = 25;

/// Events as pairs of what happened and what it is about.
pub(crate) fn told<'py>(py: Python<'py>, events: Vec<Event>) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for event in events {
        let tuple = match event {
            Event::Run(flow, step) => {
                (RUN, Py::new(py, Exchange::new(flow, step))?).into_pyobject(py)?
            }
            Event::Gone(id) => (GONE, id).into_pyobject(py)?,
            Event::Resolve(host) => (RESOLVE, host).into_pyobject(py)?,
            Event::Body(id, body) => {
                let body = body.map(|body| PyBytes::new(py, &body));
                (BODY, (id, body)).into_pyobject(py)?
            }
            Event::Panic(text) => (PANIC, text).into_pyobject(py)?,
            Event::Certificate(name) => (CERTIFICATE, name).into_pyobject(py)?,
            Event::Notice(text) => (NOTICE, text).into_pyobject(py)?,
            Event::Leaked(id) => (LEAKED, &*id).into_pyobject(py)?,
            Event::Carried(id, listener, secured) => {
                (CARRIED, (id, &*listener, secured)).into_pyobject(py)?
            }
            Event::Bytes(id, data) => (BYTES, (id, PyBytes::new(py, &data))).into_pyobject(py)?,
            Event::Writable(id) => (WRITABLE, id).into_pyobject(py)?,
            Event::Lost(id) => (LOST, id).into_pyobject(py)?,
            Event::Idle(id) => (IDLE, id).into_pyobject(py)?,
            Event::Head(id, fields) => (HEAD, (id, FieldBlock::from(fields))).into_pyobject(py)?,
            Event::Data(id, data, ends) => {
                (DATA, (id, PyBytes::new(py, &data), ends)).into_pyobject(py)?
            }
            Event::Trailers(id, fields) => {
                (TRAILERS, (id, FieldBlock::from(fields))).into_pyobject(py)?
            }
            Event::Answer(id, fields, data) => {
                let data = PyBytes::new(py, &data);
                (ANSWER, (id, FieldBlock::from(fields), data)).into_pyobject(py)?
            }
            Event::Broken(id) => (BROKEN, id).into_pyobject(py)?,
            Event::Mounted(id, app) => (MOUNTED, (id, &*app)).into_pyobject(py)?,
            Event::Reached(id) => (REACHED, id).into_pyobject(py)?,
            Event::Call(connection, id, fields, ends) => {
                let fields = FieldBlock::from(fields);
                (CALL, (connection, id, fields, ends)).into_pyobject(py)?
            }
            Event::Dial(dial) => (DIAL, dialled(py, &dial)?).into_pyobject(py)?,
            Event::Leaving(id) => (LEAVING, id).into_pyobject(py)?,
            Event::Halved(id) => (HALVED, id).into_pyobject(py)?,
            Event::Consumed(id, count) => (CONSUMED, (id, count)).into_pyobject(py)?,
            Event::Upgraded(watch, down, up, bounds) => {
                let watch = watch.downcast_ref::<Py<PyAny>>();
                let watch = watch.map(|watch| watch.clone_ref(py));
                (UPGRADED, (watch, down, up, bounds)).into_pyobject(py)?
            }
        };
        list.append(tuple)?;
    }
    Ok(list)
}
