//! `FieldBlock`, `HpackEncoder`, `HpackDecoder`: the fields of HTTP/2 under the interface that the `h2`
//! library has for its own coder.

use std::sync::Mutex;

use oto_core::fields::{Field, FieldBlock as Fields};
use oto_core::hpack::{Decoder, DecoderLimits, Encoder, HpackError};
use pyo3::exceptions::{PyIndexError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::{PyBytes, PyIterator, PyList, PyString, PyTuple};

use crate::lock;

pyo3::import_exception!(hpack.exceptions, HPACKDecodingError);
pyo3::import_exception!(hpack.exceptions, InvalidTableIndexError);
pyo3::import_exception!(hpack.exceptions, InvalidTableSizeError);
pyo3::import_exception!(hpack.exceptions, OversizedHeaderListError);

/// The fields of one message, immutable.
#[pyclass(frozen, module = "oto_trio._core")]
pub(crate) struct FieldBlock {
    pub(crate) fields: Fields,
}

impl From<Fields> for FieldBlock {
    fn from(fields: Fields) -> Self {
        Self { fields }
    }
}

#[pymethods]
impl FieldBlock {
    #[new]
    #[pyo3(signature = (fields = None, /))]
    fn new(fields: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let mut block = Fields::default();
        if let Some(fields) = fields {
            collect(fields, &mut block)?;
        }
        Ok(block.into())
    }

    #[getter]
    fn status(&self) -> Option<u16> {
        self.fields.status()
    }

    #[getter]
    fn size(&self) -> usize {
        self.fields.list_size()
    }

    fn get<'py>(&self, py: Python<'py>, name: &[u8]) -> Option<Bound<'py, PyBytes>> {
        self.fields.find(name).map(|value| PyBytes::new(py, value))
    }

    fn __len__(&self) -> usize {
        self.fields.len()
    }

    fn __getitem__<'py>(&self, py: Python<'py>, position: isize) -> PyResult<Bound<'py, PyTuple>> {
        let position = match usize::try_from(position) {
            Ok(position) => Some(position),
            Err(_) => self.fields.len().checked_sub(position.unsigned_abs()),
        };
        let field = position
            .and_then(|position| self.fields.get(position))
            .ok_or_else(|| PyIndexError::new_err("no field at this position"))?;
        pair(py, field.name, field.value)
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        let pairs = self
            .fields
            .iter()
            .map(|(name, value)| pair(py, name, value))
            .collect::<PyResult<Vec<_>>>()?;
        PyList::new(py, pairs)?.try_iter()
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.fields == other.fields
    }

    /// Values may be secrets: only the count is told.
    fn __repr__(&self) -> String {
        format!("<FieldBlock of {} fields>", self.fields.len())
    }
}

fn pair<'py>(py: Python<'py>, name: &[u8], value: &[u8]) -> PyResult<Bound<'py, PyTuple>> {
    PyTuple::new(py, [PyBytes::new(py, name), PyBytes::new(py, value)])
}

/// Names and values of any iterable of pairs; a third element, or `indexable` of the `hpack` library's
/// tuples, says whether the field may be kept in a table.
fn collect(fields: &Bound<'_, PyAny>, block: &mut Fields) -> PyResult<()> {
    for item in fields.try_iter()? {
        let item = item?;
        let field = item
            .cast::<PyTuple>()
            .ok()
            .filter(|field| matches!(field.len(), 2 | 3))
            .ok_or_else(|| {
                PyTypeError::new_err("a field is a tuple of name, value and perhaps a flag")
            })?;
        let name = Text::of(&field.get_item(0)?)?;
        let value = Text::of(&field.get_item(1)?)?;
        let never_indexed = if field.len() == 3 {
            field.get_item(2)?.is_truthy()?
        } else if field.is_exact_instance_of::<PyTuple>() {
            false
        } else {
            field
                .getattr("indexable")
                .map_or(Ok(true), |indexable| indexable.is_truthy())
                .map(|indexable| !indexable)?
        };
        block.push_field(Field {
            name: name.bytes(),
            value: value.bytes(),
            never_indexed,
        });
    }
    Ok(())
}

/// Bytes, or text that becomes UTF-8.
enum Text {
    Bytes(PyBackedBytes),
    Str(PyBackedStr),
}

impl Text {
    fn of(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(text) = value.cast::<PyString>() {
            return Ok(Self::Str(text.clone().try_into()?));
        }
        value
            .extract()
            .map(Self::Bytes)
            .map_err(|_| PyTypeError::new_err("names and values of fields are bytes or str"))
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Str(text) => text.as_bytes(),
        }
    }
}

/// The encoder of one direction of one connection.
#[pyclass(frozen, module = "oto_trio._core")]
pub(crate) struct HpackEncoder {
    encoder: Mutex<(Encoder, Vec<u8>)>,
}

impl HpackEncoder {
    /// Write a block where the caller wants it.
    pub(crate) fn with(&self, write: impl FnOnce(&mut Encoder)) {
        write(&mut lock(&self.encoder).0);
    }
}

#[pymethods]
impl HpackEncoder {
    #[new]
    fn new() -> Self {
        Self {
            encoder: Mutex::default(),
        }
    }

    #[getter]
    fn get_header_table_size(&self) -> usize {
        lock(&self.encoder).0.table_size()
    }

    #[setter]
    fn set_header_table_size(&self, size: usize) {
        lock(&self.encoder).0.set_table_size(size);
    }

    #[pyo3(signature = (headers, huffman = true))]
    fn encode<'py>(
        &self,
        py: Python<'py>,
        headers: &Bound<'py, PyAny>,
        huffman: bool,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let write = |fields: &Fields| {
            let mut held = lock(&self.encoder);
            let (encoder, out) = &mut *held;
            out.clear();
            encoder.encode(fields.fields(), huffman, out);
            PyBytes::new(py, out)
        };
        if let Ok(block) = headers.cast::<FieldBlock>() {
            return Ok(write(&block.get().fields));
        }
        let mut fields = Fields::default();
        collect(headers, &mut fields)?;
        Ok(write(&fields))
    }
}

/// The decoder of one direction of one connection.
#[pyclass(frozen, module = "oto_trio._core")]
pub(crate) struct HpackDecoder {
    decoder: Mutex<Decoder>,
}

#[pymethods]
impl HpackDecoder {
    #[new]
    #[pyo3(signature = (*, max_header_list_size = None, max_fields = None))]
    fn new(max_header_list_size: Option<usize>, max_fields: Option<usize>) -> Self {
        let mut limits = DecoderLimits::default();
        limits.list_bytes = max_header_list_size.unwrap_or(limits.list_bytes);
        limits.fields = max_fields.unwrap_or(limits.fields);
        Self {
            decoder: Mutex::new(Decoder::new(limits)),
        }
    }

    #[getter]
    fn get_header_table_size(&self) -> usize {
        lock(&self.decoder).table_size()
    }

    #[setter]
    fn set_header_table_size(&self, size: usize) {
        lock(&self.decoder).set_table_size(size);
    }

    #[getter]
    fn get_max_allowed_table_size(&self) -> usize {
        lock(&self.decoder).limits.table_bytes
    }

    #[setter]
    fn set_max_allowed_table_size(&self, size: usize) {
        lock(&self.decoder).limits.table_bytes = size;
    }

    #[getter]
    fn get_max_header_list_size(&self) -> usize {
        lock(&self.decoder).limits.list_bytes
    }

    #[setter]
    fn set_max_header_list_size(&self, size: usize) {
        lock(&self.decoder).limits.list_bytes = size;
    }

    #[getter]
    fn get_max_fields(&self) -> usize {
        lock(&self.decoder).limits.fields
    }

    #[setter]
    fn set_max_fields(&self, count: usize) {
        lock(&self.decoder).limits.fields = count;
    }

    #[pyo3(signature = (data, raw = true))]
    fn decode(&self, data: PyBackedBytes, raw: bool) -> PyResult<FieldBlock> {
        if !raw {
            return Err(PyValueError::new_err(
                "fields are decoded to bytes only; pass raw=True",
            ));
        }
        lock(&self.decoder)
            .decode(&data)
            .map(FieldBlock::from)
            .map_err(refusal)
    }
}

/// The `hpack` library's exception for an error: `h2` ends the connection with the right code then.
fn refusal(error: HpackError) -> PyErr {
    let text = error.to_string();
    match error {
        _ if error.is_bound() => OversizedHeaderListError::new_err(text),
        HpackError::BadIndex(_) => InvalidTableIndexError::new_err(text),
        HpackError::TableTooLarge { .. } => InvalidTableSizeError::new_err(text),
        _ => HPACKDecodingError::new_err(text),
    }
}
