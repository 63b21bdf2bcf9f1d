//! The PROXY protocol, versions 1 and 2: the addresses of a connection, told by the proxy before this one
//! in front of the first byte (HAProxy's `proxy-protocol.txt`, sections 2.1 and 2.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What the bytes of a connection begin with.
#[derive(Debug, PartialEq, Eq)]
pub enum Opening {
    /// More bytes are needed.
    Partial,
    /// The whole header.
    Header {
        /// Bytes of it.
        used: usize,
        /// The connection; none when the proxy does not know it, or speaks for itself.
        told: Option<Told>,
    },
    /// No header, or a broken one.
    Malformed(&'static str),
}

/// The two ends of a connection, as the client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// The client.
    pub source: SocketAddr,
    /// Where it connected to.
    pub destination: SocketAddr,
}

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const V1: &[u8; 6] = b"PROXY ";
/// A line of version 1, its end included.
const MOST_V1: usize = 107;
/// A header of version 2, its extensions included.
pub const MOST_BYTES: usize = 4096;
const FIXED: usize = 16;

/// Read the header that a connection begins with.
#[must_use]
pub fn read(bytes: &[u8]) -> Opening {
    if bytes.starts_with(SIGNATURE) {
        read_v2(bytes)
    } else if bytes.starts_with(V1) {
        read_v1(bytes)
    } else if SIGNATURE.starts_with(bytes) || V1.starts_with(bytes) {
        Opening::Partial
    } else {
        Opening::Malformed("no PROXY header")
    }
}

fn read_v1(bytes: &[u8]) -> Opening {
    let window = bytes.get(..MOST_V1).unwrap_or(bytes);
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < MOST_V1 {
            Opening::Partial
        } else {
            Opening::Malformed("a PROXY line that is too long")
        };
    };
    let header = |told| Opening::Header {
        used: end + 2,
        told,
    };
    let Ok(line) = std::str::from_utf8(&window[V1.len()..end]) else {
        return Opening::Malformed("a PROXY line that cannot be read");
    };
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        // What follows is nobody's business.
        ["UNKNOWN", ..] => header(None),
        [
            family @ ("TCP4" | "TCP6"),
            source,
            destination,
            port,
            other_port,
        ] => {
            let address = |text: &str| {
                let ip: IpAddr = text.parse().ok()?;
                (ip.is_ipv4() == (family == "TCP4")).then_some(ip)
            };
            let number = |text: &str| {
                let plain = text.bytes().all(|byte| byte.is_ascii_digit());
                plain.then(|| text.parse::<u16>().ok()).flatten()
            };
            let told = (
                address(source),
                address(destination),
                number(port),
                number(other_port),
            );
            match told {
                (Some(ip), Some(other), Some(port), Some(other_port)) => header(Some(Told {
                    source: SocketAddr::new(ip, port),
                    destination: SocketAddr::new(other, other_port),
                })),
                _ => Opening::Malformed("a PROXY line with broken addresses"),
            }
        }
        _ => Opening::Malformed("a PROXY line that cannot be read"),
    }
}

fn read_v2(bytes: &[u8]) -> Opening {
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED>() else {
        return Opening::Partial;
    };
    let [.., version, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if FIXED + length > MOST_BYTES {
        return Opening::Malformed("a PROXY header that is too long");
    }
    if version >> 4 != 2 || version & 0xf > 1 {
        return Opening::Malformed("a PROXY header of an unknown version or command");
    }
    let Some(told) = rest.get(..length) else {
        return Opening::Partial;
    };
    let used = FIXED + length;
    if version & 0xf == 0 {
        // LOCAL: a check of the proxy's own.
        return Opening::Header { used, told: None };
    }
    let told = match family {
        0x11 => ends::<4>(told),
        0x21 => ends::<16>(told),
        // Datagrams and sockets of the machine have no address that counts here.
        0x00 | 0x12 | 0x22 | 0x31 | 0x32 => return Opening::Header { used, told: None },
        _ => return Opening::Malformed("a PROXY header of an unknown family"),
    };
    match told {
        Some(_) => Opening::Header { used, told },
        None => Opening::Malformed("a PROXY header with broken addresses"),
    }
}

/// Both addresses, then both ports.
fn ends<const LENGTH: usize>(bytes: &[u8]) -> Option<Told>
where
    IpAddr: From<[u8; LENGTH]>,
{
    let (source, bytes) = bytes.split_first_chunk::<LENGTH>()?;
    let (destination, bytes) = bytes.split_first_chunk::<LENGTH>()?;
    let (port, bytes) = bytes.split_first_chunk::<2>()?;
    let other_port = bytes.first_chunk::<2>()?;
    Some(Told {
        source: SocketAddr::new(IpAddr::from(*source), u16::from_be_bytes(*port)),
        destination: SocketAddr::new(IpAddr::from(*destination), u16::from_be_bytes(*other_port)),
    })
}

/// Append the header that tells a backend of a connection.
pub fn write(version: u8, source: SocketAddr, destination: SocketAddr, out: &mut Vec<u8>) {
    let (from, to) = (source.ip(), destination.ip());
    let both_v4 = (from, to);
    if let (IpAddr::V4(from), IpAddr::V4(to)) = both_v4 {
        if version == 1 {
            line("TCP4", from.into(), to.into(), source, destination, out);
        } else {
            fixed(0x11, 12, out);
            out.extend_from_slice(&from.octets());
            out.extend_from_slice(&to.octets());
            ports(source, destination, out);
        }
        return;
    }
    // One header has one family: an IPv4 address is written as IPv6 beside another.
    let (from, to) = (as_v6(from), as_v6(to));
    if version == 1 {
        line("TCP6", from.into(), to.into(), source, destination, out);
    } else {
        fixed(0x21, 36, out);
        out.extend_from_slice(&from.octets());
        out.extend_from_slice(&to.octets());
        ports(source, destination, out);
    }
}

fn line(
    family: &str,
    from: IpAddr,
    to: IpAddr,
    source: SocketAddr,
    destination: SocketAddr,
    out: &mut Vec<u8>,
) {
    let (port, other) = (source.port(), destination.port());
    out.extend_from_slice(format!("PROXY {family} {from} {to} {port} {other}\r\n").as_bytes());
}

fn fixed(family: u8, length: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(SIGNATURE);
    out.extend_from_slice(&[0x21, family]);
    out.extend_from_slice(&length.to_be_bytes());
}

fn ports(source: SocketAddr, destination: SocketAddr, out: &mut Vec<u8>) {
    out.extend_from_slice(&source.port().to_be_bytes());
    out.extend_from_slice(&destination.port().to_be_bytes());
}

fn as_v6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(v4) => Ipv4Addr::to_ipv6_mapped(&v4),
        IpAddr::V6(v6) => v6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(version: u8, source: &str, destination: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let address = |text: &str| text.parse().expect("an address");
        write(version, address(source), address(destination), &mut out);
        out
    }

    #[test]
    fn what_is_written_is_read_and_every_prefix_is_partial() {
        for version in [1, 2] {
            for (source, destination) in [
                ("10.1.2.3:4567", "192.0.2.1:443"),
                ("[2001:db8::1]:65535", "[::1]:1"),
            ] {
                let mut bytes = told(version, source, destination);
                for end in 0..bytes.len() {
                    assert_eq!(read(&bytes[..end]), Opening::Partial, "{version} {end}");
                }
                let used = bytes.len();
                bytes.extend_from_slice(b"and more");
                let told = Some(Told {
                    source: source.parse().expect("an address"),
                    destination: destination.parse().expect("an address"),
                });
                assert_eq!(read(&bytes), Opening::Header { used, told });
            }
        }
        assert_eq!(
            told(1, "10.1.2.3:4567", "192.0.2.1:443"),
            b"PROXY TCP4 10.1.2.3 192.0.2.1 4567 443\r\n"
        );
        assert!(
            told(1, "[2001:db8::1]:5", "192.0.2.1:443").starts_with(b"PROXY TCP6 2001:db8::1 ")
        );
    }

    #[test]
    fn a_proxy_may_speak_for_itself_and_add_extensions() {
        let none = |used| Opening::Header { used, told: None };
        assert_eq!(read(b"PROXY UNKNOWN\r\n"), none(15));
        assert_eq!(read(b"PROXY UNKNOWN ffff::1 a b c\r\nGET"), none(29));
        let mut local = SIGNATURE.to_vec();
        local.extend([0x20, 0, 0, 3, 1, 2, 3]);
        assert_eq!(read(&local), none(19));
        let mut long = told(2, "10.1.2.3:4567", "192.0.2.1:443");
        long[15] += 4;
        long.extend([4, 0, 1, 9]);
        let told = Some(Told {
            source: ([10, 1, 2, 3], 4567).into(),
            destination: ([192, 0, 2, 1], 443).into(),
        });
        assert_eq!(read(&long), Opening::Header { used: 32, told });
    }

    #[test]
    fn what_is_broken_is_told() {
        let header = |version: u8, family: u8, length: u16, rest: &[u8]| {
            let mut bytes = SIGNATURE.to_vec();
            bytes.extend([version, family]);
            bytes.extend(length.to_be_bytes());
            bytes.extend(rest);
            bytes
        };
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"PROXY\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
            &[b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat(),
            &header(0x11, 0x11, 12, &[0; 12]),
            &header(0x22, 0x11, 12, &[0; 12]),
            &header(0x21, 0x11, 8, &[0; 8]),
            &header(0x21, 0x41, 12, &[0; 12]),
            &header(0x21, 0x11, 5000, &[]),
        ] {
            assert!(matches!(read(bytes), Opening::Malformed(_)), "{bytes:?}");
        }
    }

    #[test]
    fn no_garbage_panics() {
        for version in [1, 2] {
            let whole = told(version, "[2001:db8::1]:65535", "[::1]:1");
            for at in 0..whole.len() {
                for value in [0, 1, b' ', 0x7f, 0xff] {
                    let mut bytes = whole.clone();
                    bytes[at] = value;
                    std::hint::black_box(read(&bytes));
                }
            }
        }
    }
}
