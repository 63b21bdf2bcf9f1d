//! One TLS connection without its socket: ciphertext in, plaintext out, and the other way round.
//!
//! Theory of operation. rustls keeps the state machine and the keys; all bytes are ours. What the peer
//! sent is given to rustls where it lies, decrypted there and handed on; what is to be sent is
//! encrypted into a buffer that is written at once. So a connection without traffic owns no buffers,
//! and a record costs no copy that is not a cipher's.

use std::sync::Arc;

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};
use rustls::{ClientConfig, CommonState, ServerConfig};

/// Plaintext of one record, at most (RFC 8446 section 5.1).
pub(crate) const RECORD_BYTES: usize = 16 * 1024;
/// What a record is longer than its plaintext, at most.
const RECORD_OVERHEAD: usize = 256;

/// A TLS connection.
pub(crate) struct Session {
    side: Side,
    /// Ciphertext that was not handed out yet: handshake messages, tickets, alerts.
    sealed: Vec<u8>,
    /// Plaintext given before the handshake was over.
    early: Vec<u8>,
    closed: bool,
    established: bool,
}

enum Side {
    Server(Box<UnbufferedServerConnection>),
    Client(Box<UnbufferedClientConnection>),
}

/// A rustls connection of either side.
trait Records {
    type Data;

    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Records for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }
}

impl Records for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }
}

/// What became of some ciphertext.
struct Taken {
    /// Bytes that are used up; what is behind them is the beginning of a record.
    used: usize,
    /// The peer said that it will send nothing more.
    closed: bool,
    /// Why the connection is over.
    error: Option<rustls::Error>,
}

/// Take in ciphertext: plaintext goes to `give`, what must be sent to `sealed`.
fn take_in<R: Records>(
    conn: &mut R,
    incoming: &mut [u8],
    sealed: &mut Vec<u8>,
    give: &mut dyn FnMut(&[u8]),
) -> Taken {
    let mut taken = Taken {
        used: 0,
        closed: false,
        error: None,
    };
    loop {
        let rest = incoming.get_mut(taken.used..).unwrap_or_default();
        let UnbufferedStatus { mut discard, state } = conn.process(rest);
        let mut over = false;
        match state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(record) = traffic.next_record() {
                    match record {
                        Ok(record) => {
                            discard += record.discard;
                            give(record.payload);
                        }
                        Err(error) => {
                            taken.error = Some(error);
                            over = true;
                            break;
                        }
                    }
                }
            }
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                let at = sealed.len();
                sealed.resize(at + RECORD_BYTES, 0);
                let mut written = data.encode(&mut sealed[at..]);
                if let Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) =
                    written
                {
                    sealed.resize(at + required_size, 0);
                    written = data.encode(&mut sealed[at..]);
                }
                sealed.truncate(at + written.unwrap_or(0));
            }
            Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
            Ok(ConnectionState::PeerClosed) => taken.closed = true,
            Ok(ConnectionState::Closed) => {
                taken.closed = true;
                over = true;
            }
            // Early data is never offered, so none is taken.
            Ok(_) => over = true,
            Err(error) => {
                // The first time, an alert for the peer may still be on its way out.
                over = taken.error.is_some();
                taken.error.get_or_insert(error);
            }
        }
        taken.used += discard;
        if over {
            return taken;
        }
    }
}

/// Encrypt plaintext behind what is in `out`.
fn seal<R: Records>(conn: &mut R, plain: &[u8], out: &mut Vec<u8>) -> Result<(), SessionOver> {
    loop {
        match conn.process(&mut []).state {
            Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                let at = out.len();
                let records = plain.len() / RECORD_BYTES + 1;
                out.resize(at + plain.len() + records * RECORD_OVERHEAD, 0);
                let mut written = traffic.encrypt(plain, &mut out[at..]);
                if let Err(EncryptError::InsufficientSize(InsufficientSizeError {
                    required_size,
                })) = written
                {
                    out.resize(at + required_size, 0);
                    written = traffic.encrypt(plain, &mut out[at..]);
                }
                out.truncate(at + written.as_ref().unwrap_or(&0));
                return written.map(|_| ()).map_err(|_| SessionOver);
            }
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                let at = out.len();
                out.resize(at + RECORD_BYTES + RECORD_OVERHEAD, 0);
                let written = data.encode(&mut out[at..]).unwrap_or(0);
                out.truncate(at + written);
            }
            Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
            Ok(ConnectionState::PeerClosed) => {}
            _ => return Err(SessionOver),
        }
    }
}

/// Nothing can be sent any more.
#[derive(Debug)]
pub(crate) struct SessionOver;

impl Session {
    /// The side that listens.
    ///
    /// # Errors
    /// The configuration cannot be used.
    pub(crate) fn server(config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        let conn = UnbufferedServerConnection::new(config)?;
        Ok(Self::new(Side::Server(Box::new(conn))))
    }

    /// The side that connects; its first message is ready to be sent.
    ///
    /// # Errors
    /// The configuration cannot be used.
    pub(crate) fn client(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Self, rustls::Error> {
        let conn = UnbufferedClientConnection::new(config, name)?;
        let mut session = Self::new(Side::Client(Box::new(conn)));
        session.open(&mut [], &mut |_| {})?;
        Ok(session)
    }

    fn new(side: Side) -> Self {
        Self {
            side,
            sealed: Vec::new(),
            early: Vec::new(),
            closed: false,
            established: false,
        }
    }

    /// Take in ciphertext; returns how much of it is used up. Plaintext goes to `give` piece by
    /// piece; what is to be sent waits to be taken with [`Session::take_sealed`].
    ///
    /// # Errors
    /// The connection is over; an alert for the peer may wait to be sent.
    pub(crate) fn open(
        &mut self,
        incoming: &mut [u8],
        give: &mut dyn FnMut(&[u8]),
    ) -> Result<usize, rustls::Error> {
        let taken = match &mut self.side {
            Side::Server(conn) => take_in(&mut **conn, incoming, &mut self.sealed, give),
            Side::Client(conn) => take_in(&mut **conn, incoming, &mut self.sealed, give),
        };
        self.closed |= taken.closed;
        if let Some(error) = taken.error {
            return Err(error);
        }
        if !self.established && !self.facts().is_handshaking() {
            self.established = true;
            let early = std::mem::take(&mut self.early);
            if !early.is_empty() {
                let mut sealed = std::mem::take(&mut self.sealed);
                let sent = self.seal_into(&early, &mut sealed);
                self.sealed = sealed;
                sent.map_err(|SessionOver| rustls::Error::EncryptError)?;
            }
        }
        Ok(taken.used)
    }

    /// Encrypt plaintext behind what `out` holds; before the handshake is over it is kept.
    ///
    /// # Errors
    /// Nothing can be sent any more.
    pub(crate) fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), SessionOver> {
        if !self.established {
            self.early.extend_from_slice(plain);
            return Ok(());
        }
        // Handshake messages come first: they were encrypted before.
        if !self.sealed.is_empty() {
            out.append(&mut self.sealed);
        }
        self.seal_into(plain, out)
    }

    fn seal_into(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), SessionOver> {
        match &mut self.side {
            Side::Server(conn) => seal(&mut **conn, plain, out),
            Side::Client(conn) => seal(&mut **conn, plain, out),
        }
    }

    /// Say that nothing more will be sent.
    pub(crate) fn seal_end(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.sealed);
        let at = out.len();
        out.resize(at + RECORD_OVERHEAD, 0);
        let ended = match &mut self.side {
            Side::Server(conn) => end(&mut **conn, &mut out[at..]),
            Side::Client(conn) => end(&mut **conn, &mut out[at..]),
        };
        out.truncate(at + ended);
    }

    /// Ciphertext that must be sent although nobody wrote anything.
    pub(crate) fn take_sealed(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.sealed)
    }

    /// Whether such ciphertext waits.
    pub(crate) fn owes(&self) -> bool {
        !self.sealed.is_empty()
    }

    /// Whether the handshake is over.
    pub(crate) fn is_established(&self) -> bool {
        self.established
    }

    /// Whether the peer said that it will send nothing more.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// What was agreed on.
    pub(crate) fn facts(&self) -> &CommonState {
        match &self.side {
            Side::Server(conn) => conn,
            Side::Client(conn) => conn,
        }
    }
}

fn end<R: Records>(conn: &mut R, out: &mut [u8]) -> usize {
    match conn.process(&mut []).state {
        Ok(ConnectionState::WriteTraffic(mut traffic)) => {
            traffic.queue_close_notify(out).unwrap_or(0)
        }
        _ => 0,
    }
}
