//! Integers of variable length (RFC 9000 section 16).

/// The largest one.
pub(super) const MOST: u64 = (1 << 62) - 1;

/// Take an integer off the front; nothing when it is not whole.
#[inline]
pub(crate) fn take(data: &mut &[u8]) -> Option<u64> {
    let (&first, rest) = data.split_first()?;
    let more = (1_usize << (first >> 6)) - 1;
    let (octets, rest) = rest.split_at_checked(more)?;
    *data = rest;
    let start = u64::from(first & 0x3f);
    Some(
        octets
            .iter()
            .fold(start, |value, &octet| value << 8 | u64::from(octet)),
    )
}

/// How many octets an integer takes.
#[inline]
pub(super) fn size(value: u64) -> usize {
    match value {
        0..0x40 => 1,
        0x40..0x4000 => 2,
        0x4000..0x4000_0000 => 4,
        _ => 8,
    }
}

/// Write an integer, which is [`MOST`] at most.
#[inline]
pub(super) fn put(value: u64, out: &mut Vec<u8>) {
    let octets = value.to_be_bytes();
    let (length, mark) = match size(value) {
        1 => (1, 0),
        2 => (2, 0x40),
        4 => (4, 0x80),
        _ => (8, 0xc0),
    };
    let at = out.len();
    out.extend_from_slice(octets.get(8 - length..).unwrap_or_default());
    if let Some(first) = out.get_mut(at) {
        *first |= mark;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for value in [0, 1, 63, 64, 16383, 16384, (1 << 30) - 1, 1 << 30, MOST] {
            let mut out = Vec::new();
            put(value, &mut out);
            assert_eq!(out.len(), size(value));
            let mut left = &*out;
            assert_eq!((take(&mut left), left.len()), (Some(value), 0));
            let mut short = &out[..out.len() - 1];
            assert_eq!(take(&mut short), None);
        }
    }

    #[test]
    fn the_examples_of_the_rfc() {
        let mut long = &[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c][..];
        assert_eq!(take(&mut long), Some(151_288_809_941_952_652));
        let mut short = &[0x40, 0x25][..];
        assert_eq!(take(&mut short), Some(37), "a longer form than is needed");
    }
}
