//! The static table (RFC 7541 appendix A), and how an encoder finds its way in it.

/// Names and values; the first has index 1.
#[rustfmt::skip]
const ENTRIES: [(&[u8], &[u8]); 61] = [
    (b":authority", b""),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    (b":status", b"200"),
    (b":status", b"204"),
    (b":status", b"206"),
    (b":status", b"304"),
    (b":status", b"400"),
    (b":status", b"404"),
    (b":status", b"500"),
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
    (b"accept-language", b""),
    (b"accept-ranges", b""),
    (b"accept", b""),
    (b"access-control-allow-origin", b""),
    (b"age", b""),
    (b"allow", b""),
    (b"authorization", b""),
    (b"cache-control", b""),
    (b"content-disposition", b""),
    (b"content-encoding", b""),
    (b"content-language", b""),
    (b"content-length", b""),
    (b"content-location", b""),
    (b"content-range", b""),
    (b"content-type", b""),
    (b"cookie", b""),
    (b"date", b""),
    (b"etag", b""),
    (b"expect", b""),
    (b"expires", b""),
    (b"from", b""),
    (b"host", b""),
    (b"if-match", b""),
    (b"if-modified-since", b""),
    (b"if-none-match", b""),
    (b"if-range", b""),
    (b"if-unmodified-since", b""),
    (b"last-modified", b""),
    (b"link", b""),
    (b"location", b""),
    (b"max-forwards", b""),
    (b"proxy-authenticate", b""),
    (b"proxy-authorization", b""),
    (b"range", b""),
    (b"referer", b""),
    (b"refresh", b""),
    (b"retry-after", b""),
    (b"server", b""),
    (b"set-cookie", b""),
    (b"strict-transport-security", b""),
    (b"transfer-encoding", b""),
    (b"user-agent", b""),
    (b"vary", b""),
    (b"via", b""),
    (b"www-authenticate", b""),
];

/// How many entries there are: dynamic indices begin behind them.
pub(super) const COUNT: usize = ENTRIES.len();

/// Slots of the table of names, filled at compile time.
const SLOTS: usize = 256;

/// By hash of a name: the index of the first entry of that name, 0 when there is none.
static FIRST_OF_NAME: [u8; SLOTS] = first_of_name();

#[allow(clippy::cast_possible_truncation, reason = "61 entries")]
const fn first_of_name() -> [u8; SLOTS] {
    let mut slots = [0; SLOTS];
    let mut at = 0;
    while at < ENTRIES.len() {
        // Entries of one name stand together; only the first gets a slot.
        if at == 0 || !same(ENTRIES[at].0, ENTRIES[at - 1].0) {
            let mut slot = slot_of(hash(ENTRIES[at].0));
            while slots[slot] != 0 {
                slot = (slot + 1) % SLOTS;
            }
            slots[slot] = at as u8 + 1;
        }
        at += 1;
    }
    slots
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

const fn slot_of(hash: u32) -> usize {
    (hash >> 24) as usize % SLOTS
}

/// A hash of a name or a value: quick, the same at compile time; collisions cost a comparison.
#[allow(clippy::cast_possible_truncation, reason = "the high half is kept")]
pub(super) const fn hash(text: &[u8]) -> u32 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut mixed: u64 = FACTOR ^ text.len() as u64;
    let mut rest = text;
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        mixed = (mixed ^ u64::from_le_bytes(*word)).wrapping_mul(FACTOR);
        mixed ^= mixed >> 29;
        rest = after;
    }
    let mut word: u64 = 0;
    while let Some((&octet, after)) = rest.split_first() {
        word = (word << 8) | octet as u64;
        rest = after;
    }
    mixed = (mixed ^ word).wrapping_mul(FACTOR);
    (mixed >> 32) as u32
}

/// The entry of an index from 1.
pub(super) fn get(index: usize) -> Option<(&'static [u8], &'static [u8])> {
    ENTRIES.get(index.checked_sub(1)?).copied()
}

/// Where a name stands in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// The entry has the value too.
    Field(usize),
    /// Only the name is the same.
    Name(usize),
}

/// Find a field; `name_hash` is the hash of the name.
#[inline]
pub(super) fn find(name: &[u8], name_hash: u32, value: &[u8]) -> Option<Found> {
    let mut slot = slot_of(name_hash);
    loop {
        let first = usize::from(FIRST_OF_NAME[slot]);
        if first == 0 {
            return None;
        }
        if ENTRIES[first - 1].0 == name {
            return Some(
                ENTRIES[first - 1..]
                    .iter()
                    .take_while(|entry| entry.0 == name)
                    .position(|entry| entry.1 == value)
                    .map_or(Found::Name(first), |after| Found::Field(first + after)),
            );
        }
        slot = (slot + 1) % SLOTS;
    }
}

#[cfg(test)]
mod tests {
    use super::{ENTRIES, Found, find, get, hash};

    #[test]
    fn every_entry_is_found_by_its_name_and_value() {
        for (at, (name, value)) in ENTRIES.iter().enumerate() {
            assert_eq!(find(name, hash(name), value), Some(Found::Field(at + 1)));
            assert_eq!(get(at + 1), Some((*name, *value)));
            let first = ENTRIES.iter().position(|entry| entry.0 == *name).unwrap();
            assert_eq!(
                find(name, hash(name), b"another value"),
                Some(Found::Name(first + 1))
            );
        }
        for name in [&b""[..], b"x-request-id", b":statu", b"Accept"] {
            assert_eq!(find(name, hash(name), b""), None);
        }
        assert_eq!(get(0), None);
        assert_eq!(get(62), None);
    }
}
