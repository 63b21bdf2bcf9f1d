//! The msgpack forms that records need.

pub(super) const NIL: u8 = 0xc0;

pub(super) fn array(len: usize, out: &mut Vec<u8>) {
    match len {
        0..=15 => out.push(0x90 | len as u8),
        16..=0xffff => {
            out.push(0xdc);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            out.push(0xdd);
            out.extend_from_slice(&(len as u32).to_be_bytes());
        }
    }
}

/// Text; bytes that are no UTF-8 are taken for Latin-1, as Python takes header values.
pub(super) fn text(bytes: &[u8], out: &mut Vec<u8>) {
    if std::str::from_utf8(bytes).is_ok() {
        raw(bytes, out);
    } else {
        let latin: String = bytes.iter().map(|byte| char::from(*byte)).collect();
        raw(latin.as_bytes(), out);
    }
}

fn raw(bytes: &[u8], out: &mut Vec<u8>) {
    match bytes.len() {
        0..=31 => out.push(0xa0 | bytes.len() as u8),
        32..=0xff => out.extend_from_slice(&[0xd9, bytes.len() as u8]),
        0x100..=0xffff => {
            out.push(0xda);
            out.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
        }
        _ => {
            out.push(0xdb);
            out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        }
    }
    out.extend_from_slice(bytes);
}

pub(super) fn maybe_text(text_or_none: Option<&str>, out: &mut Vec<u8>) {
    match text_or_none {
        Some(known) => text(known.as_bytes(), out),
        None => out.push(NIL),
    }
}

pub(super) fn float(number: f64, out: &mut Vec<u8>) {
    out.push(0xcb);
    out.extend_from_slice(&number.to_be_bytes());
}

pub(super) fn unsigned(number: u64, out: &mut Vec<u8>) {
    if number < 0x80 {
        out.push(number as u8);
    } else {
        out.push(0xcf);
        out.extend_from_slice(&number.to_be_bytes());
    }
}

pub(super) fn boolean(value: bool, out: &mut Vec<u8>) {
    out.push(if value { 0xc3 } else { 0xc2 });
}
