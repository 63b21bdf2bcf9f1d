//! The Huffman code of HPACK and QPACK (RFC 7541 section 5.2 and appendix B).
//!
//! The code is canonical: the lengths alone say it. Both tables are made from them at compile time.

use super::HpackError;

/// Bits of the code of each octet, and of the end of string.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

/// The symbol that ends a string; only its first bits may be there, as padding.
const END: usize = 256;
/// Codes up to this length are found with one look.
const SHORT: u32 = 8;
const LONGEST: usize = 30;

/// What is needed for both directions.
struct Tables {
    /// Codes by octet, in the low bits.
    codes: [u32; 257],
    /// By the next eight bits: the symbol and the length of its code; length 0 when it is longer.
    short: [(u8, u8); 1 << SHORT],
    /// The symbols in the order of their codes.
    ordered: [u16; 257],
    /// By length: the first code of the next length, aligned to the left of 32 bits; beyond it no code is.
    limit: [u64; LONGEST + 1],
    /// By length: what to add to a code to have its place in `ordered`, wrapping.
    offset: [u32; LONGEST + 1],
}

static TABLES: Tables = tables();

#[allow(clippy::cast_possible_truncation, reason = "values are below 257")]
const fn tables() -> Tables {
    let mut made = Tables {
        codes: [0; 257],
        short: [(0, 0); 1 << SHORT],
        ordered: [0; 257],
        limit: [0; LONGEST + 1],
        offset: [0; LONGEST + 1],
    };
    let mut code: u32 = 0;
    let mut place = 0;
    let mut length = 1;
    while length <= LONGEST {
        code <<= 1;
        made.offset[length] = (place as u32).wrapping_sub(code);
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                made.codes[symbol] = code;
                made.ordered[place] = symbol as u16;
                place += 1;
                if length <= SHORT as usize {
                    let spare = SHORT as usize - length;
                    let first = (code as usize) << spare;
                    let mut low = 0;
                    while low < 1 << spare {
                        made.short[first + low] = (symbol as u8, length as u8);
                        low += 1;
                    }
                }
                code += 1;
            }
            symbol += 1;
        }
        made.limit[length] = (code as u64) << (32 - length);
        length += 1;
    }
    made
}

/// How many octets the coded text takes.
#[must_use]
pub fn coded_len(text: &[u8]) -> usize {
    let bits: usize = text
        .iter()
        .map(|&octet| usize::from(LENGTHS[usize::from(octet)]))
        .sum();
    bits.div_ceil(8)
}

/// Write the coded text.
pub fn encode(text: &[u8], out: &mut Vec<u8>) {
    let mut bits: u64 = 0;
    let mut held: u32 = 0;
    for &octet in text {
        let length = u32::from(LENGTHS[usize::from(octet)]);
        bits = (bits << length) | u64::from(TABLES.codes[usize::from(octet)]);
        held += length;
        // At most 31 bits are held before a code of at most 30.
        if held >= 32 {
            held -= 32;
            let word = u32::try_from((bits >> held) & 0xffff_ffff).unwrap_or_default();
            out.extend_from_slice(&word.to_be_bytes());
        }
    }
    if held > 0 {
        // The padding is the beginning of the end of string: ones.
        let padded = (bits << (32 - held)) | ((1_u64 << (32 - held)) - 1);
        let word = u32::try_from(padded & 0xffff_ffff).unwrap_or_default();
        let octets = usize::try_from(held.div_ceil(8)).unwrap_or(4);
        out.extend_from_slice(&word.to_be_bytes()[..octets]);
    }
}

/// Write the text that coded octets stand for, at most `room` octets of it.
///
/// # Errors
/// The end of string is in it, the padding is not ones or is longer than seven bits, or there is more
/// text than room: then `OutOfRoom`, before it is written.
pub fn decode(coded: &[u8], room: usize, out: &mut Vec<u8>) -> Result<(), HpackError> {
    let end = out.len().saturating_add(room);
    let mut input = coded.iter();
    // The next bits are the high ones.
    let mut bits: u64 = 0;
    let mut held: u32 = 0;
    loop {
        while held <= 56 {
            let Some(&octet) = input.next() else { break };
            bits |= u64::from(octet) << (56 - held);
            held += 8;
        }
        if held == 0 {
            return Ok(());
        }
        let (symbol, length) = match TABLES.short[top(bits, SHORT)] {
            (_, 0) => match long(bits) {
                Some((symbol, length)) if length <= held && symbol < END => (symbol, length),
                _ => break,
            },
            (symbol, length) => (usize::from(symbol), u32::from(length)),
        };
        if length > held {
            break;
        }
        if out.len() == end {
            return Err(HpackError::OutOfRoom);
        }
        out.push(u8::try_from(symbol).unwrap_or_default());
        bits <<= length;
        held -= length;
    }
    // What is left is no whole code: padding of less than an octet, or nonsense.
    let ones = held < 8 && bits == !(u64::MAX >> held);
    if ones {
        Ok(())
    } else {
        Err(HpackError::BadHuffman)
    }
}

#[inline]
fn top(bits: u64, count: u32) -> usize {
    usize::try_from(bits >> (64 - count)).unwrap_or_default()
}

/// The symbol of a code of more than eight bits, and the code's length.
fn long(bits: u64) -> Option<(usize, u32)> {
    let ahead = bits >> 32;
    for length in SHORT + 1..=30 {
        let at = length as usize;
        if ahead < TABLES.limit[at] {
            let code = u32::try_from(ahead >> (32 - length)).ok()?;
            let place = code.wrapping_add(TABLES.offset[at]);
            let symbol = TABLES.ordered.get(place as usize)?;
            return Some((usize::from(*symbol), length));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{HpackError, coded_len, decode, encode};

    fn coded(text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode(text, &mut out);
        out
    }

    fn plain(coded: &[u8], room: usize) -> Result<Vec<u8>, HpackError> {
        let mut out = Vec::new();
        decode(coded, room, &mut out).map(|()| out)
    }

    #[test]
    fn the_examples_of_the_rfc_are_read_and_written() {
        // RFC 7541, C.4.1 and C.6.1.
        for (text, hex) in [
            (&b"www.example.com"[..], "f1e3c2e5f23a6ba0ab90f4ff"),
            (b"no-cache", "a8eb10649cbf"),
            (
                b"Mon, 21 Oct 2013 20:13:21 GMT",
                "d07abe941054d444a8200595040b8166e082a62d1bff",
            ),
        ] {
            let octets: Vec<u8> = (0..hex.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
                .collect();
            assert_eq!(coded(text), octets);
            assert_eq!(coded_len(text), octets.len());
            assert_eq!(plain(&octets, 100).as_deref(), Ok(text));
        }
    }

    #[test]
    fn every_octet_alone_and_together_comes_back() {
        let all: Vec<u8> = (0..=255).collect();
        for octet in 0..=255 {
            for count in 1..9 {
                let text = vec![octet; count];
                assert_eq!(coded(&text).len(), coded_len(&text));
                assert_eq!(plain(&coded(&text), 100), Ok(text));
            }
        }
        for cut in 0..=256 {
            let text = &all[..cut];
            assert_eq!(plain(&coded(text), cut).as_deref(), Ok(text));
        }
    }

    #[test]
    fn padding_is_ones_and_less_than_an_octet() {
        assert_eq!(plain(&[0b0001_1111], 9), Ok(b"a".to_vec()));
        assert_eq!(plain(&[0b0001_1110], 9), Err(HpackError::BadHuffman));
        assert_eq!(plain(&[0b0001_1111, 0xff], 9), Err(HpackError::BadHuffman));
        assert_eq!(plain(&[0xff], 9), Err(HpackError::BadHuffman));
        // The end of string itself.
        assert_eq!(
            plain(&[0xff, 0xff, 0xff, 0xff], 9),
            Err(HpackError::BadHuffman)
        );
        assert_eq!(
            plain(&[0xff, 0xff, 0xff, 0xfc, 0xff], 9),
            Err(HpackError::BadHuffman)
        );
        assert_eq!(plain(&[], 9), Ok(Vec::new()));
    }

    #[test]
    fn no_more_is_written_than_there_is_room() {
        let octets = coded(b"aaaaaaaa");
        assert_eq!(plain(&octets, 8).map(|text| text.len()), Ok(8));
        let mut out = b"kept".to_vec();
        assert_eq!(decode(&octets, 7, &mut out), Err(HpackError::OutOfRoom));
        assert_eq!(out.len(), 4 + 7);
    }
}
