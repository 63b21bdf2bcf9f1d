//! What the generators share: where to send, and one exchange on a blocking connection.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::message;

/// No answer of a healthy proxy takes this long; past it the run is a failure.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// Where a generator sends its requests.
#[derive(Debug, Clone)]
pub struct Destination {
    /// The proxy's (or the upstream's) listening address.
    pub address: SocketAddr,
    /// Value of the `Host` field.
    pub host: String,
    /// Request target.
    pub target: String,
    /// Further header fields, each with its line end.
    pub fields: String,
    /// Whether to speak TLS.
    pub tls: bool,
}

impl Destination {
    /// A request head with this method and these further fields (each with its line end).
    pub fn request(&self, method: &str, fields: &str) -> Vec<u8> {
        format!(
            "{method} {} HTTP/1.1\r\nHost: {}\r\n{}{fields}\r\n",
            self.target, self.host, self.fields
        )
        .into_bytes()
    }

    /// Opens a blocking connection with a deadline on every read and write.
    pub fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.address, ANSWER_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        Ok(stream)
    }
}

/// An error that says which exchange went wrong and how.
pub fn fault(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.into())
}

/// Reads a final response head; returns it with the body octets that came along.
///
/// Interim (1xx) responses are passed over. Anything but a 2xx is an error.
pub fn read_head(stream: &mut impl Read) -> io::Result<(message::Head, Vec<u8>)> {
    let mut bytes = Vec::with_capacity(16 * 1024);
    let mut part = [0; 16 * 1024];
    loop {
        while let Some(head) = message::head(&bytes) {
            bytes.drain(..head.size);
            match head.status() {
                100..=199 => {}
                200..=299 => return Ok((head, bytes)),
                _ => return Err(fault(format!("answer {:?}", head.first_line))),
            }
        }
        let got = stream.read(&mut part)?;
        if got == 0 {
            return Err(fault("connection closed before an answer"));
        }
        bytes.extend_from_slice(&part[..got]);
    }
}

/// Reads the body that follows `head`, `first` being its octets already read; returns its length.
pub fn read_body(
    stream: &mut impl Read,
    head: &message::Head,
    first: &[u8],
    buffer: &mut [u8],
) -> io::Result<u64> {
    let length = head
        .length
        .ok_or_else(|| fault("answer without Content-Length"))?;
    let mut seen = first.len() as u64;
    while seen < length {
        let got = stream.read(buffer)?;
        if got == 0 {
            return Err(fault(format!("answer cut after {seen} of {length} octets")));
        }
        seen += got as u64;
    }
    Ok(seen)
}

/// One whole exchange without a request body; returns the octets of the answer's body.
pub fn exchange(
    stream: &mut (impl Read + Write),
    request: &[u8],
    buffer: &mut [u8],
) -> io::Result<u64> {
    stream.write_all(request)?;
    let (head, first) = read_head(stream)?;
    read_body(stream, &head, &first, buffer)
}
