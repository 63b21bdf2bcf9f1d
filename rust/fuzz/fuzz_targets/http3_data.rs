//! Invariant: frames of DATA that are read many at once are those that are read one at a time, octet by octet; and a stream that is
//! cut anywhere, and goes on where reading ended, brings the same body.

#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use oto_core::http3::read_data_frames;

#[derive(Arbitrary, Debug)]
enum Sent<'a> {
    Octets(&'a [u8]),
    /// A frame whose type and length are written in a form of this many octets each, as a power of two.
    Frame(u8, u8, &'a [u8]),
    Data(u8, &'a [u8]),
}

fuzz_target!(|input: (Vec<Sent<'_>>, u64, bool, u16)| {
    let (sent, left, is_large, cut) = input;
    let left = if is_large { left } else { left % 64 };
    let mut data = Vec::new();
    for it in &sent {
        match it {
            Sent::Octets(octets) => data.extend_from_slice(octets),
            Sent::Frame(kind, form, payload) => {
                write(u64::from(*kind), *form, &mut data);
                write(payload.len() as u64, form >> 2, &mut data);
                data.extend_from_slice(payload);
            }
            Sent::Data(form, payload) => {
                data.push(0);
                write(payload.len() as u64, *form, &mut data);
                data.extend_from_slice(payload);
            }
        }
    }
    let found = read_data_frames(&data, left);
    let simply = read(&data, left);
    assert_eq!(
        (&*found.body, found.left, found.used),
        (&*simply.0, simply.1, simply.2)
    );
    let cut = usize::from(cut) % (data.len() + 1);
    let first = read_data_frames(&data[..cut], left);
    let second = read_data_frames(&data[first.used..], first.left);
    assert_eq!([first.body, second.body].concat(), &*found.body);
    assert_eq!(
        (second.left, first.used + second.used),
        (found.left, found.used)
    );
});

fn write(value: u64, form: u8, out: &mut Vec<u8>) {
    let octets = 1_usize << (form % 4);
    let most = (1_u64 << (8 * octets - 2)) - 1;
    let mut written = value.min(most).to_be_bytes()[8 - octets..].to_vec();
    written[0] |= (form % 4) << 6;
    out.extend(written);
}

/// The body, what is left of the frame at the end, and how many octets that took.
fn read(data: &[u8], mut left: u64) -> (Vec<u8>, u64, usize) {
    let mut body = Vec::new();
    let mut at = 0;
    while at < data.len() {
        if left > 0 {
            body.push(data[at]);
            (at, left) = (at + 1, left - 1);
            continue;
        }
        match integer(data, at + 1) {
            Some((size, payload)) if data[at] == 0 && size > 0 => (at, left) = (payload, size),
            _ => break,
        }
    }
    (body, left, at)
}

/// An integer of variable length, and where it ends (RFC 9000 appendix A.1).
fn integer(data: &[u8], at: usize) -> Option<(u64, usize)> {
    let first = *data.get(at)?;
    let end = at + (1 << (first / 64));
    let mut value = u64::from(first % 64);
    for place in at + 1..end {
        value = value * 256 + u64::from(*data.get(place)?);
    }
    Some((value, end))
}
