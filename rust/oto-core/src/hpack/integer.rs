//! Integers with a prefix (RFC 7541 section 5.1), as HPACK and QPACK write them.

use super::HpackError;

/// Octets that may follow the prefix. Five carry any length or index that can be meant (35 bits).
const MOST_OCTETS: usize = 5;

/// Read an integer whose prefix is the low bits of the first octet.
///
/// Returns the value and how many octets it took.
///
/// # Errors
/// The octets end too early, or there are more than any sane value needs.
#[inline]
pub fn read(data: &[u8], prefix_bits: u32) -> Result<(usize, usize), HpackError> {
    let mask = (1_u64 << prefix_bits) - 1;
    let (&first, rest) = data.split_first().ok_or(HpackError::Truncated)?;
    let low = u64::from(first) & mask;
    if low < mask {
        return Ok((usize::try_from(low).unwrap_or(usize::MAX), 1));
    }
    let mut value = low;
    for (position, &octet) in rest.iter().enumerate() {
        if position == MOST_OCTETS {
            return Err(HpackError::IntegerTooLong);
        }
        value += u64::from(octet & 0x7f) << (7 * position);
        if octet < 0x80 {
            let value = usize::try_from(value).map_err(|_| HpackError::IntegerTooLong)?;
            return Ok((value, position + 2));
        }
    }
    if rest.len() >= MOST_OCTETS {
        return Err(HpackError::IntegerTooLong);
    }
    Err(HpackError::Truncated)
}

/// Write an integer; `pattern` holds the bits above the prefix.
#[inline]
pub fn write(out: &mut Vec<u8>, value: usize, prefix_bits: u32, pattern: u8) {
    let mask = (1_usize << prefix_bits) - 1;
    if value < mask {
        out.push(pattern | low_octet(value));
        return;
    }
    out.push(pattern | low_octet(mask));
    let mut rest = value - mask;
    while rest >= 0x80 {
        out.push(0x80 | low_octet(rest & 0x7f));
        rest >>= 7;
    }
    out.push(low_octet(rest));
}

fn low_octet(value: usize) -> u8 {
    value.to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::{HpackError, read, write};

    #[test]
    fn the_examples_of_the_rfc_are_read_and_written() {
        // RFC 7541, C.1.1 to C.1.3.
        for (value, prefix, octets) in [
            (10, 5, &[0b01010][..]),
            (1337, 5, &[0b11111, 0b1001_1010, 0b1010]),
            (42, 8, &[0b10_1010]),
        ] {
            let mut out = Vec::new();
            write(&mut out, value, prefix, 0);
            assert_eq!(out, octets);
            assert_eq!(read(octets, prefix), Ok((value, octets.len())));
        }
    }

    #[test]
    fn every_prefix_reads_what_it_wrote() {
        for prefix in 1..=8 {
            for value in [0, 1, 30, 31, 126, 127, 128, 254, 255, 256, 16_383, 1 << 28] {
                let pattern = if prefix < 8 { 0x80 } else { 0 };
                let mut out = Vec::new();
                write(&mut out, value, prefix, pattern);
                let length = out.len();
                out.push(0xff);
                assert_eq!(read(&out, prefix), Ok((value, length)), "{prefix} {value}");
                for cut in 0..length {
                    assert_eq!(read(&out[..cut], prefix), Err(HpackError::Truncated));
                }
            }
        }
    }

    #[test]
    fn an_integer_without_end_is_refused() {
        assert_eq!(
            read(&[0x1f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00], 5),
            Err(HpackError::IntegerTooLong)
        );
        assert_eq!(
            read(&[0x1f, 0xff, 0xff, 0xff, 0xff, 0xff], 5),
            Err(HpackError::IntegerTooLong)
        );
        assert_eq!(
            read(&[0x1f, 0x80, 0x80, 0x80, 0x80, 0x01], 5),
            Ok((31 + (1 << 28), 6))
        );
    }
}
