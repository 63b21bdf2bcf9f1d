//! DATA frames of HTTP/3 (RFC 9114 section 7.2.1), read many at once: most of what streams bring.
//!
//! What else there is on a stream is read elsewhere; here is what to skip between two pieces of a body.

use std::borrow::Cow;

use crate::quic::varint;

/// The type of DATA.
const DATA: u8 = 0x00;

/// What was read of a stream.
#[derive(Debug, PartialEq, Eq)]
pub struct Body<'a> {
    /// What the frames carry.
    pub body: Cow<'a, [u8]>,
    /// Octets that the frame at the end has still to come; 0 when it is whole.
    pub left: u64,
    /// Octets that were read. What is behind them is no plain frame of DATA, or its header is not whole.
    pub used: usize,
}

/// Read what goes on in the middle of a frame of DATA, `left` octets before its end, and the frames of DATA behind it. It ends before
/// any other frame, and before one of DATA without a payload.
#[must_use]
pub fn read_data_frames(data: &[u8], mut left: u64) -> Body<'_> {
    let mut rest = data;
    let mut body = Cow::Borrowed(&[][..]);
    loop {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
        let (now, behind) = rest.split_at(count);
        if body.is_empty() {
            body = Cow::Borrowed(now);
        } else if !now.is_empty() {
            body.to_mut().extend_from_slice(now);
        }
        rest = behind;
        left -= count as u64;
        let Some((&DATA, mut header)) = rest.split_first() else {
            break;
        };
        match varint::take(&mut header) {
            Some(size @ 1..) if left == 0 => {
                left = size;
                rest = header;
            }
            _ => break,
        }
    }
    Body {
        body,
        left,
        used: data.len() - rest.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(data: &[u8], left: u64) -> (Vec<u8>, u64, usize) {
        let Body { body, left, used } = read_data_frames(data, left);
        (body.into_owned(), left, used)
    }

    #[test]
    fn a_piece_of_one_frame_is_lent() {
        let found = read_data_frames(b"abc", 5);
        assert!(matches!(found.body, Cow::Borrowed(b"abc")));
        assert_eq!((found.left, found.used), (2, 3));
    }

    #[test]
    fn the_payloads_of_frames_are_joined() {
        assert_eq!(
            read(b"ab\0\x03cde\0\x40\x02f", 2),
            (b"abcdef".into(), 1, 11)
        );
        assert_eq!(read(b"\0\x01a\0\x01b", 0), (b"ab".into(), 0, 6));
    }

    #[test]
    fn what_is_no_plain_frame_of_data_is_left() {
        for other in [
            &b"\x01\x02hi"[..],
            b"\x21\0",
            b"\0\0",
            b"\0",
            b"\0\x40",
            b"\x40\0\x01a",
            b"",
        ] {
            assert_eq!(
                read(&[b"ab", other].concat(), 2),
                (b"ab".into(), 0, 2),
                "{other:?}"
            );
        }
    }

    #[test]
    fn a_header_at_the_end_opens_the_frame() {
        assert_eq!(read(b"a\0\x05", 1), (b"a".into(), 5, 3));
    }
}
