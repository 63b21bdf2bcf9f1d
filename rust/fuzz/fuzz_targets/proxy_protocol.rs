//! Invariant: a header that is taken is taken whatever follows it, none of its beginnings is refused, and the connection that it
//! tells, told on, is the same connection.

#![no_main]

use std::net::{IpAddr, SocketAddr};

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use oto_core::tcp::proxy_protocol::{Opening, read, write};

#[derive(Arbitrary, Debug)]
enum Input<'a> {
    Raw(&'a [u8]),
    Line(&'a [u8]),
    Fixed(u8, u8, &'a [u8], &'a [u8]),
    Told(u8, (IpAddr, u16), (IpAddr, u16), &'a [u8]),
}

fuzz_target!(|input: Input<'_>| {
    let bytes = match input {
        Input::Raw(bytes) => bytes.to_vec(),
        Input::Line(words) => [b"PROXY ", words, b"\r\n"].concat(),
        Input::Fixed(version, family, told, behind) => {
            let length = (told.len() as u16).to_be_bytes();
            let fixed = [version, family, length[0], length[1]];
            [b"\r\n\r\n\0\r\nQUIT\n", &fixed[..], told, behind].concat()
        }
        Input::Told(version, source, destination, behind) => {
            let mut bytes = Vec::new();
            let (source, destination): (SocketAddr, SocketAddr) =
                (source.into(), destination.into());
            write(version % 3, source, destination, &mut bytes);
            let used = bytes.len();
            bytes.extend_from_slice(behind);
            let Opening::Header {
                used: of,
                told: Some(told),
            } = read(&bytes)
            else {
                panic!("{:?}", read(&bytes));
            };
            assert_eq!(of, used);
            for (read, written) in [(told.source, source), (told.destination, destination)] {
                assert_eq!(read.ip().to_canonical(), written.ip().to_canonical());
                assert_eq!(read.port(), written.port());
            }
            bytes
        }
    };
    let Opening::Header { used, told } = read(&bytes) else {
        return;
    };
    assert!((1..=bytes.len()).contains(&used));
    for end in (0..used).filter(|_| used <= 256) {
        assert_eq!(
            read(&bytes[..end]),
            Opening::Partial,
            "{end} of {used} bytes"
        );
    }
    assert_eq!(read(&bytes[..used]), Opening::Header { used, told });
});
