//! `FrameReader` and `FrameWriter`: the frames of one HTTP/2 connection, read and written where the `h2` library
//! has buffers of its own.

use std::sync::Mutex;

use oto_core::http2;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::fields::{FieldBlock, HpackEncoder};
use crate::lock;

pyo3::import_exception!(h2.exceptions, FrameTooLargeError);

type Taken<'py> = (u8, u8, u32, Bound<'py, PyBytes>);

/// Bytes of a peer, from which whole frames are taken.
#[pyclass(frozen, module = "oto_trio._core")]
#[derive(Default)]
pub(crate) struct FrameReader {
    reader: Mutex<http2::FrameReader>,
}

#[pymethods]
impl FrameReader {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    fn __len__(&self) -> usize {
        lock(&self.reader).len()
    }

    #[pyo3(signature = (data, /))]
    fn add(&self, data: &[u8]) {
        lock(&self.reader).add(data);
    }

    #[pyo3(signature = (largest, /))]
    fn take<'py>(&self, py: Python<'py>, largest: usize) -> PyResult<Option<Taken<'py>>> {
        let mut reader = lock(&self.reader);
        let frame = reader
            .take(largest)
            .map_err(|error| FrameTooLargeError::new_err(error.to_string()))?;
        Ok(frame.map(|frame| {
            let payload = PyBytes::new(py, frame.payload);
            (frame.kind, frame.flags, frame.stream, payload)
        }))
    }
}

/// Frames for a peer.
#[pyclass(frozen, module = "oto_trio._core")]
pub(crate) struct FrameWriter {
    writer: Mutex<http2::FrameWriter>,
    encoder: Py<HpackEncoder>,
}

#[pymethods]
impl FrameWriter {
    #[new]
    #[pyo3(signature = (encoder, /))]
    fn new(encoder: Py<HpackEncoder>) -> Self {
        Self {
            writer: Mutex::default(),
            encoder,
        }
    }

    fn __len__(&self) -> usize {
        lock(&self.writer).len()
    }

    /// The library adds its frames as to a `bytearray`.
    fn __iadd__(&self, frames: PyBackedBytes) {
        lock(&self.writer).add(&frames);
    }

    #[pyo3(signature = (fields, stream, ends, largest, /))]
    fn head(&self, fields: &FieldBlock, stream: u32, ends: bool, largest: usize) {
        self.encoder.get().with(|encoder| {
            lock(&self.writer).head(encoder, &fields.fields, stream, ends, largest);
        });
    }

    #[pyo3(signature = (data, stream, ends, /))]
    fn data(&self, data: &[u8], stream: u32, ends: bool) {
        lock(&self.writer).data(data, stream, ends);
    }

    fn take<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let mut writer = lock(&self.writer);
        let written = PyBytes::new(py, writer.written());
        writer.clear();
        written
    }
}
