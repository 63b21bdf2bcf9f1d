//! A connection's socket: plain, or under TLS. Who reads and writes need not know which.

use std::cell::RefCell;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use mio::net::{TcpStream, UnixStream};
use oto_core::tls::{Certificate, ClientCertificate};

use crate::pipe::Pipe;
use crate::tls::{RECORD_BYTES, Session, SessionOver};

/// A stream of bytes between two peers.
pub(crate) enum Socket {
    /// None, for the moment in which one becomes another.
    None,
    /// That of a connection whose datagrams are read elsewhere, with what its handshake told.
    Elsewhere(Arc<HandshakeFacts>),
    /// Bytes as they are.
    Plain(TcpStream),
    /// Bytes in TLS records.
    Tls(Box<TlsSocket>),
    /// A stream of a connection that is carried elsewhere.
    Stream(Box<Pipe>),
}

/// What a handshake with a client told.
#[derive(Debug)]
pub(crate) struct HandshakeFacts {
    /// The name the client asked for, in lower case.
    pub(crate) server_name: Option<Box<str>>,
    /// What it was shown.
    pub(crate) certificate: Arc<Certificate>,
    /// What it showed.
    pub(crate) client_cert: Option<Arc<ClientCertificate>>,
}

/// A TCP connection under TLS.
pub(crate) struct TlsSocket {
    tcp: TcpStream,
    session: Session,
    /// The beginning of a record.
    partial: Vec<u8>,
    /// Plaintext that did not fit where it was asked for.
    plain: Vec<u8>,
    taken: usize,
    ended: bool,
    is_broken_off: bool,
    facts: Option<Arc<HandshakeFacts>>,
}

thread_local! {
    /// Where ciphertext lies on its way through: nothing of it outlives a call.
    static CIPHERTEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// Two parts on their way into one record.
    static PLAINTEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Ciphertext read at once: four records of the largest size.
const READ_AT_ONCE: usize = 4 * (RECORD_BYTES + 256);

/// A connection over a Unix socket as one more stream: reads, writes and the end are the same calls of the kernel.
/// What only TCP has (addresses, `TCP_NODELAY`) fails on it.
pub(crate) fn as_stream(stream: UnixStream) -> TcpStream {
    TcpStream::from_std(std::net::TcpStream::from(OwnedFd::from(stream)))
}

/// Whether the other side has taken a connection that was begun.
pub(crate) fn is_connected(stream: &TcpStream) -> bool {
    // A Unix socket has a peer without the address of a host.
    match stream.peer_addr() {
        Err(error) => error.kind() == io::ErrorKind::InvalidInput,
        Ok(_) => true,
    }
}

impl Socket {
    /// Put a connection under TLS.
    pub(crate) fn tls(tcp: TcpStream, session: Session) -> Self {
        Self::Tls(Box::new(TlsSocket {
            tcp,
            session,
            partial: Vec::new(),
            plain: Vec::new(),
            taken: 0,
            ended: false,
            is_broken_off: false,
            facts: None,
        }))
    }

    /// The TCP connection under it.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn tcp(&mut self) -> io::Result<&mut TcpStream> {
        match self {
            Self::None | Self::Elsewhere(_) | Self::Stream(_) => {
                Err(io::ErrorKind::NotConnected.into())
            }
            Self::Plain(tcp) => Ok(tcp),
            Self::Tls(tls) => Ok(&mut tls.tcp),
        }
    }

    /// Read once into `space`; tells the number of bytes, 0 at the end, and whether there may be
    /// more to read at once.
    pub(crate) fn read(&mut self, space: &mut [u8]) -> io::Result<(usize, bool)> {
        match self {
            Self::None | Self::Elsewhere(_) => Err(io::ErrorKind::NotConnected.into()),
            // A short read emptied the socket: the next bytes make a new edge (epoll(7)).
            Self::Plain(tcp) => tcp.read(space).map(|count| (count, count == space.len())),
            Self::Tls(tls) => tls.read(space),
            Self::Stream(pipe) => pipe.read(space),
        }
    }

    /// Write two parts as one; what the connection did not take is put behind `rest`.
    pub(crate) fn write(
        &mut self,
        first: &[u8],
        second: &[u8],
        rest: &mut Vec<u8>,
    ) -> io::Result<()> {
        let tls = match self {
            Self::None | Self::Elsewhere(_) => {
                return Err(io::ErrorKind::NotConnected.into());
            }
            Self::Plain(tcp) => {
                let written = if rest.is_empty() {
                    write_some(tcp, first, second)?
                } else {
                    0
                };
                keep(first, second, written, rest);
                return Ok(());
            }
            Self::Stream(pipe) => {
                let mut written = 0;
                if rest.is_empty() {
                    written = pipe.write(first);
                    if written == first.len() {
                        written += pipe.write(second);
                    }
                }
                keep(first, second, written, rest);
                return Ok(());
            }
            Self::Tls(tls) => tls,
        };
        CIPHERTEXT.with_borrow_mut(|out| {
            out.clear();
            tls.seal(first, second, out)?;
            let written = if rest.is_empty() {
                write_some(&mut tls.tcp, out, &[])?
            } else {
                0
            };
            keep(out, &[], written, rest);
            Ok(())
        })
    }

    /// Write bytes that were prepared by an earlier [`Socket::write`].
    pub(crate) fn write_prepared(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stream(pipe) => pipe.write_prepared(bytes),
            _ => self.tcp()?.write(bytes),
        }
    }

    /// Whether handshake messages wait to be sent; [`Socket::write`] of nothing sends them.
    pub(crate) fn owes(&self) -> bool {
        matches!(self, Self::Tls(tls) if tls.session.owes())
    }

    /// Go on with the handshake; tells whether it is over. What it owes the peer goes out with the
    /// next flush.
    ///
    /// # Errors
    /// The peer is gone, or refused what it was told, or was refused.
    pub(crate) fn handshake(&mut self) -> Result<bool, HandshakeError> {
        let Self::Tls(tls) = self else {
            return Ok(true);
        };
        // What the peer sends behind its last message is kept for the first read.
        let outcome = loop {
            if tls.session.is_established() || tls.ended {
                break Ok(());
            }
            match tls.fill(&mut []) {
                Ok(_) => {}
                Err(error) => break Err(error),
            }
        };
        match outcome {
            Ok(()) if tls.session.is_established() => Ok(true),
            Ok(()) => Err(HandshakeError::Io),
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(ReadError::Io(_)) => Err(HandshakeError::Io),
            Err(ReadError::Tls(error)) => Err(HandshakeError::Tls(error)),
        }
    }

    /// Take in ciphertext that was read before the session began.
    pub(crate) fn begin_with(&mut self, ciphertext: Vec<u8>) {
        if let Self::Tls(tls) = self {
            tls.partial = ciphertext;
        }
    }

    /// Say that nothing more will be sent.
    ///
    /// # Errors
    /// The other side has closed meanwhile, and there is nobody to tell.
    pub(crate) fn shutdown(&mut self) -> io::Result<()> {
        if let Self::Stream(pipe) = self {
            pipe.shutdown();
            return Ok(());
        }
        self.say_end();
        self.tcp()?.shutdown(Shutdown::Write)
    }

    /// Send nothing more, without a word about it: under TLS the other side knows that it was cut.
    ///
    /// # Errors
    /// The other side has closed meanwhile, and there is nobody to tell.
    pub(crate) fn end_unsaid(&mut self) -> io::Result<()> {
        match self {
            Self::Tls(tls) => tls.is_broken_off = true,
            Self::Stream(pipe) => {
                pipe.break_off();
                pipe.shutdown();
                return Ok(());
            }
            _ => {}
        }
        self.tcp()?.shutdown(Shutdown::Write)
    }

    /// Have the connection end so that what was sent does not look whole.
    pub(crate) fn break_off(&mut self) {
        match self {
            Self::Tls(tls) => tls.is_broken_off = true,
            Self::Stream(pipe) => pipe.break_off(),
            _ => {}
        }
        if let Ok(tcp) = self.tcp() {
            // Best effort: without it the other side may take the part for the whole.
            socket2::SockRef::from(&*tcp)
                .set_linger(Some(std::time::Duration::ZERO))
                .unwrap_or(());
        }
    }

    /// Whether the other side's sending ended without its word: a TLS connection, or a stream, that somebody cut.
    pub(crate) fn is_cut(&self) -> bool {
        match self {
            Self::Tls(tls) => tls.ended && !tls.session.is_closed(),
            Self::Stream(pipe) => pipe.is_cut(),
            _ => false,
        }
    }

    /// Tell the other side of a TLS connection that nothing more will be sent.
    pub(crate) fn say_end(&mut self) {
        let Self::Tls(tls) = self else { return };
        if !tls.session.is_established() || tls.is_broken_off {
            return;
        }
        CIPHERTEXT.with_borrow_mut(|out| {
            out.clear();
            tls.session.seal_end(out);
            // Best effort: the end of the stream says the same.
            tls.tcp.write_all(out).unwrap_or(());
        });
    }

    /// Look without waiting whether the other side sent or closed anything.
    pub(crate) fn is_silent(&mut self) -> bool {
        let mut byte = [0u8; 1];
        let peeked = self.tcp().and_then(|tcp| tcp.peek(&mut byte));
        let is_quiet = matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        is_quiet && !matches!(self, Self::Tls(tls) if tls.taken < tls.plain.len() || tls.ended)
    }

    /// What the handshake with a client told.
    pub(crate) fn facts(&self) -> Option<&Arc<HandshakeFacts>> {
        match self {
            Self::None | Self::Plain(_) => None,
            Self::Elsewhere(facts) => Some(facts),
            Self::Tls(tls) => tls.facts.as_ref(),
            Self::Stream(pipe) => pipe.facts(),
        }
    }

    /// The session, under TLS.
    pub(crate) fn session(&self) -> Option<&Session> {
        match self {
            Self::None | Self::Elsewhere(_) | Self::Plain(_) | Self::Stream(_) => None,
            Self::Tls(tls) => Some(&tls.session),
        }
    }

    /// The stream that this is, if it is one.
    pub(crate) fn pipe(&mut self) -> Option<&mut Pipe> {
        match self {
            Self::Stream(pipe) => Some(pipe),
            _ => None,
        }
    }

    /// Whether this is a stream.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self, Self::Stream(_))
    }

    /// Remember what the handshake told.
    pub(crate) fn set_facts(&mut self, facts: HandshakeFacts) {
        if let Self::Tls(tls) = self {
            tls.facts = Some(Arc::new(facts));
        }
    }

    /// Remember what the client showed.
    pub(crate) fn set_client_cert(&mut self, client_cert: Option<Arc<ClientCertificate>>) {
        if let Some(facts) = self.facts() {
            let (server_name, certificate) =
                (facts.server_name.clone(), Arc::clone(&facts.certificate));
            self.set_facts(HandshakeFacts {
                server_name,
                certificate,
                client_cert,
            });
        }
    }
}

/// Why a handshake failed.
#[derive(Debug)]
pub(crate) enum HandshakeError {
    /// The connection broke off.
    Io,
    /// One side refused the other.
    Tls(rustls::Error),
}

enum ReadError {
    Io(io::Error),
    Tls(rustls::Error),
}

impl TlsSocket {
    fn read(&mut self, space: &mut [u8]) -> io::Result<(usize, bool)> {
        if self.taken < self.plain.len() {
            return Ok(self.take_plain(space));
        }
        if self.ended || self.session.is_closed() {
            return Ok((0, false));
        }
        loop {
            match self.fill(space) {
                Ok((0, _)) if self.ended || self.session.is_closed() => return Ok((0, false)),
                Ok((0, _)) => {}
                Ok(read) => return Ok(read),
                Err(ReadError::Io(error)) => return Err(error),
                Err(ReadError::Tls(_)) => {
                    let alert = self.session.take_sealed();
                    // Best effort: the connection is over anyway.
                    self.tcp.write_all(&alert).unwrap_or(());
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
        }
    }

    /// Give plaintext that is there already.
    fn take_plain(&mut self, space: &mut [u8]) -> (usize, bool) {
        let rest = &self.plain[self.taken..];
        let count = rest.len().min(space.len());
        space[..count].copy_from_slice(&rest[..count]);
        self.taken += count;
        if self.taken == self.plain.len() {
            self.plain = Vec::new();
            self.taken = 0;
        }
        // The socket was not asked: it may hold more.
        (count, true)
    }

    /// Read ciphertext once and decrypt it into `space`; what does not fit is kept.
    fn fill(&mut self, space: &mut [u8]) -> Result<(usize, bool), ReadError> {
        CIPHERTEXT.with_borrow_mut(|scratch| {
            if scratch.len() < READ_AT_ONCE {
                scratch.resize(READ_AT_ONCE, 0);
            }
            let held = self.partial.len();
            let begins = held > 0 && !self.session.is_established();
            scratch[..held].copy_from_slice(&self.partial);
            self.partial = Vec::new();
            let count = match self.tcp.read(&mut scratch[held..]) {
                Ok(0) => {
                    self.ended = true;
                    0
                }
                Ok(count) => count,
                // The opening message was read before the session began.
                Err(error) if begins && error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(error) => {
                    self.partial.extend_from_slice(&scratch[..held]);
                    return Err(ReadError::Io(error));
                }
            };
            let more = held + count == scratch.len();
            let mut given = 0;
            let plain = &mut self.plain;
            let mut give = |piece: &[u8]| {
                let fits = piece.len().min(space.len() - given);
                space[given..given + fits].copy_from_slice(&piece[..fits]);
                given += fits;
                plain.extend_from_slice(&piece[fits..]);
            };
            let end = held + count;
            let used = match self.session.open(&mut scratch[..end], &mut give) {
                Ok(used) => used,
                Err(error) => {
                    return Err(ReadError::Tls(error));
                }
            };
            self.partial.extend_from_slice(&scratch[used..end]);
            if begins && count == 0 && used == 0 && !self.ended {
                return Err(ReadError::Io(io::ErrorKind::WouldBlock.into()));
            }
            Ok((given, more || !self.plain.is_empty()))
        })
    }

    fn seal(&mut self, first: &[u8], second: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let over = |SessionOver| io::Error::from(io::ErrorKind::BrokenPipe);
        if !second.is_empty() && first.len() + second.len() <= RECORD_BYTES {
            return PLAINTEXT.with_borrow_mut(|both| {
                both.clear();
                both.extend_from_slice(first);
                both.extend_from_slice(second);
                self.session.seal(both, out).map_err(over)
            });
        }
        for part in [first, second] {
            if !part.is_empty() {
                self.session.seal(part, out).map_err(over)?;
            }
        }
        if first.is_empty() && second.is_empty() {
            out.append(&mut self.session.take_sealed());
        }
        Ok(())
    }
}

fn write_some(tcp: &mut TcpStream, first: &[u8], second: &[u8]) -> io::Result<usize> {
    if first.is_empty() && second.is_empty() {
        return Ok(0);
    }
    loop {
        let result = if second.is_empty() {
            tcp.write(first)
        } else {
            tcp.write_vectored(&[IoSlice::new(first), IoSlice::new(second)])
        };
        match result {
            Ok(written) => return Ok(written),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Keep what was not written.
fn keep(first: &[u8], second: &[u8], written: usize, rest: &mut Vec<u8>) {
    if written < first.len() {
        rest.extend_from_slice(&first[written..]);
        rest.extend_from_slice(second);
    } else if written - first.len() < second.len() {
        rest.extend_from_slice(&second[written - first.len()..]);
    }
}
