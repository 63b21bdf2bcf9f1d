//! `QuicKeys`: packets of QUIC connections whose handshake is done, opened and sealed many at once; and `read_data_frames`, what
//! HTTP/3 makes of the data of a stream.

use oto_core::http3;
use oto_core::quic::{Heard, Keys, Piece, Shape, Suite, Wanted};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

/// STREAM with an offset and a length.
const STREAM: u8 = 0x0e;
/// The phase bit of a packet's first octet.
const PHASE: u8 = 0x04;

type Told<'py> = (u8, Bound<'py, PyBytes>, u64, u64);
type Opened<'py> = (usize, Vec<(u64, u64)>, bool, bool, Vec<Told<'py>>);
type Sealed<'py> = Vec<(Bound<'py, PyBytes>, Vec<(usize, u64, u64, bool)>)>;

/// The keys of one direction.
#[pyclass(frozen, module = "oto_trio._core")]
pub(crate) struct QuicKeys {
    keys: Keys,
}

#[pymethods]
impl QuicKeys {
    #[new]
    #[pyo3(signature = (suite, key, iv, header, /))]
    fn new(suite: u16, key: &[u8], iv: &[u8], header: &[u8]) -> PyResult<Self> {
        Suite::of(suite)
            .and_then(|suite| Keys::new(suite, key, iv, header))
            .map(|keys| Self { keys })
            .ok_or_else(|| PyValueError::new_err("no cipher of QUIC, or no keys of it"))
    }

    #[pyo3(signature = (runs, cid, phase, expected, lowest, /))]
    fn open_runs<'py>(
        &self,
        py: Python<'py>,
        runs: Vec<(PyBackedBytes, usize)>,
        cid: &[u8],
        phase: bool,
        expected: u64,
        lowest: u64,
    ) -> Opened<'py> {
        let wanted = Wanted {
            cid,
            phase,
            expected,
            lowest,
        };
        let runs = runs.iter().map(|(run, step)| (&**run, *step));
        let opened = self.keys.open_runs(runs, &wanted);
        let told = |heard: &Heard| match heard {
            Heard::Frame { kind, body } => (*kind, PyBytes::new(py, body), 0, 0),
            Heard::Data {
                stream,
                offset,
                data,
                fin,
            } => (
                STREAM | u8::from(*fin),
                PyBytes::new(py, data),
                *stream,
                *offset,
            ),
        };
        (
            opened.used,
            opened.numbers,
            opened.is_eliciting,
            opened.spin,
            opened.heard.iter().map(told).collect(),
        )
    }

    #[pyo3(signature = (cid, spin, phase, number, lead, pieces, size, room, most, /))]
    #[expect(clippy::too_many_arguments, reason = "each is a field of the shape")]
    fn seal_flight<'py>(
        &self,
        py: Python<'py>,
        cid: &[u8],
        spin: bool,
        phase: bool,
        number: u64,
        lead: &[u8],
        pieces: Vec<(u64, u64, PyBackedBytes, bool)>,
        size: usize,
        room: usize,
        most: usize,
    ) -> Sealed<'py> {
        let shape = Shape {
            cid,
            flags: u8::from(spin) << 5 | if phase { PHASE } else { 0 },
            number,
            size,
            room,
            most,
        };
        let pieces: Vec<Piece<'_>> = pieces
            .iter()
            .map(|&(stream, offset, ref data, fin)| Piece {
                stream,
                offset,
                data,
                fin,
            })
            .collect();
        let tell = |packet: oto_core::quic::Packet| {
            let carried = packet.frames.iter();
            let carried = carried.map(|it| (it.piece, it.start, it.stop, it.fin));
            (PyBytes::new(py, &packet.datagram), carried.collect())
        };
        let packets = self.keys.seal_flight(&shape, lead, &pieces);
        packets.into_iter().map(tell).collect()
    }
}

/// What of a stream's data is body of a message.
#[pyfunction]
#[pyo3(signature = (data, left, /))]
pub(crate) fn read_data_frames<'py>(
    py: Python<'py>,
    data: &[u8],
    left: u64,
) -> (Bound<'py, PyBytes>, u64, usize) {
    let read = http3::read_data_frames(data, left);
    (PyBytes::new(py, &read.body), read.left, read.used)
}

/// The server name that a client's first message asks for.
#[pyfunction]
#[pyo3(signature = (text, /))]
pub(crate) fn asked_name(text: &str) -> PyResult<Option<String>> {
    oto_core::tls::client_hello::asked_name(text).map_err(PyValueError::new_err)
}
