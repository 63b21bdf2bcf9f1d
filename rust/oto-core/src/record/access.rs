//! Lines of an access log as web servers write them, for listeners that have one.

use std::io::Write;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::access::Peer;
use crate::http1::Version;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// What a line tells of an exchange.
#[derive(Clone, Copy, Debug)]
pub struct AccessLine<'a> {
    /// The client on its connection.
    pub peer: Peer,
    /// When it began, in Unix time (seconds).
    pub began_unix_s: f64,
    /// Its method.
    pub method: &'a [u8],
    /// Its path, secrets taken out.
    pub path: &'a [u8],
    /// Its protocol.
    pub version: Version,
    /// The status sent.
    pub status: u16,
    /// Bytes of the body sent.
    pub body_bytes: u64,
    /// How long it took.
    pub duration_s: f64,
    /// Whether it came under TLS.
    pub secured: bool,
}

impl AccessLine<'_> {
    /// Write the line, with its end: client, `- -`, time, request, status, bytes, milliseconds, `TLS` or `-`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let unix_s = self.began_unix_s as i64;
        let moment = Timestamp::from_second(unix_s).unwrap_or(Timestamp::UNIX_EPOCH);
        let at = TimeZone::UTC.to_datetime(moment);
        let month = usize::try_from(at.month() - 1).unwrap_or(0);
        let month = MONTHS.get(month).copied().unwrap_or("Jan");
        let told = write!(
            out,
            "{} - - [{:02}/{month}/{:04}:{:02}:{:02}:{:02} +0000] \"",
            self.peer,
            at.day(),
            at.year(),
            at.hour(),
            at.minute(),
            at.second(),
        );
        debug_assert!(told.is_ok(), "memory takes all");
        shown(out, self.method);
        out.push(b' ');
        shown(out, self.path);
        let version = match self.version {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
            Version::Http2 => "HTTP/2.0",
            Version::Http3 => "HTTP/3.0",
        };
        let told = writeln!(
            out,
            " {version}\" {} {} {} {}",
            self.status,
            self.body_bytes,
            (self.duration_s * 1e3).round() as u64,
            if self.secured { "TLS" } else { "-" },
        );
        debug_assert!(told.is_ok(), "memory takes all");
    }
}

/// Write bytes of a client so that they neither end the line nor what is quoted.
fn shown(out: &mut Vec<u8>, bytes: &[u8]) {
    for &byte in bytes {
        if byte.is_ascii_graphic() && byte != b'"' && byte != b'\\' {
            out.push(byte);
        } else {
            let told = write!(out, "\\x{byte:02x}");
            debug_assert!(told.is_ok(), "memory takes all");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_whatever_the_client_sent() {
        let line = AccessLine {
            peer: Peer::from(std::net::IpAddr::from([192, 0, 2, 7])),
            began_unix_s: 1_700_000_000.9,
            method: b"GET",
            path: b"/a\"b\\c\n\xff",
            version: Version::Http2,
            status: 200,
            body_bytes: 12,
            duration_s: 0.0456,
            secured: true,
        };
        let mut out = Vec::new();
        line.write(&mut out);
        AccessLine {
            peer: Peer::Unix,
            path: b"/",
            secured: false,
            ..line
        }
        .write(&mut out);
        assert_eq!(
            String::from_utf8_lossy(&out),
            "192.0.2.7 - - [14/Nov/2023:22:13:20 +0000] \"GET /a\\x22b\\x5cc\\x0a\\xff HTTP/2.0\" 200 12 46 TLS\n\
             unix: - - [14/Nov/2023:22:13:20 +0000] \"GET / HTTP/2.0\" 200 12 46 -\n"
        );
    }
}
