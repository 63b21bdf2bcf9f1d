//! Where the frames of a WebSocket begin whose bytes pass through a tunnel (RFC 6455 section 5.2).
//!
//! Theory of operation. A close frame of our own may be put between two frames of the backend, fragments of one message
//! included, and nowhere else. So the heads of the backend's frames are looked at from the first one on, of each chunk that
//! is read: two bytes say mostly how many others are passed over. Payloads are not looked at, nor is what the client sends.

/// The longest head: two bytes, eight of length, four of a mask.
const LONGEST_HEAD: usize = 14;
/// The bit of the second byte that says that a mask follows; those of a backend have none, but count all the same.
const MASKED: u8 = 0x80;
const OPCODE: u8 = 0x0f;
const CLOSE: u8 = 0x08;

/// What a client is told when the gateway goes: a close frame with 1001 and a reason, not masked.
pub const GOING_AWAY: &[u8] = b"\x88\x1b\x03\xe9the gateway is going away";

/// Where the backend is within its frames, and whether the client was told that this is the end.
#[derive(Debug, Default)]
pub struct Frames {
    /// Bytes of the present frame's payload that are still to come.
    left: u64,
    /// What is there of the next frame's head.
    head: [u8; LONGEST_HEAD],
    head_len: usize,
    /// The backend said its own close frame, or has begun to.
    is_closed: bool,
    leaving: Leaving,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Leaving {
    #[default]
    No,
    /// Our close frame goes where the next frame would begin.
    Wanted,
    /// The client has our close frame; what the backend says comes too late.
    Said,
}

impl Frames {
    /// Take in what the backend said. Returns how many of these bytes go to the client, and whether
    /// [`GOING_AWAY`] goes behind them.
    pub fn pass(&mut self, bytes: &[u8]) -> (usize, bool) {
        if self.leaving == Leaving::Said {
            return (0, false);
        }
        let mut rest = bytes;
        loop {
            let skipped =
                usize::try_from(self.left).map_or(rest.len(), |left| left.min(rest.len()));
            self.left -= skipped as u64;
            rest = rest.get(skipped..).unwrap_or_default();
            if self.says_now() {
                return (bytes.len() - rest.len(), true);
            }
            let Some((&byte, behind)) = rest.split_first() else {
                return (bytes.len(), false);
            };
            rest = match head_of(rest) {
                Some((size, length)) if self.head_len == 0 => {
                    self.begin(byte, length);
                    rest.get(size..).unwrap_or_default()
                }
                _ => {
                    self.take_head(byte);
                    behind
                }
            };
        }
    }

    /// The client is to be told that this is the end; whether that is now.
    pub fn leave(&mut self) -> bool {
        if self.leaving == Leaving::No {
            self.leaving = Leaving::Wanted;
        }
        self.says_now()
    }

    /// Whether our close frame goes here; it goes once.
    fn says_now(&mut self) -> bool {
        let is_now = self.leaving == Leaving::Wanted
            && self.left == 0
            && self.head_len == 0
            && !self.is_closed;
        if is_now {
            self.leaving = Leaving::Said;
        }
        is_now
    }

    /// Take in a byte of a head that comes in pieces; it may be the last.
    fn take_head(&mut self, byte: u8) {
        if let Some(place) = self.head.get_mut(self.head_len) {
            *place = byte;
            self.head_len += 1;
        }
        let there = self.head.get(..self.head_len).unwrap_or_default();
        if let Some((_, length)) = head_of(there) {
            self.begin(self.head[0], length);
        }
    }

    /// A frame begins; these are its first byte and the length of its payload.
    fn begin(&mut self, first: u8, length: u64) {
        self.left = length;
        self.head_len = 0;
        self.is_closed |= first & OPCODE == CLOSE;
    }
}

/// The size of the head that these bytes begin with, and the length of the payload behind it; none when it is not all there.
fn head_of(bytes: &[u8]) -> Option<(usize, u64)> {
    let [_, second, behind @ ..] = bytes else {
        return None;
    };
    let (size, length) = match second & !MASKED {
        126 => (4, u64::from(u16::from_be_bytes(*behind.first_chunk()?))),
        127 => (10, u64::from_be_bytes(*behind.first_chunk()?)),
        length => (2, u64::from(length)),
    };
    let size = size + if second & MASKED == 0 { 0 } else { 4 };
    (bytes.len() >= size).then_some((size, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame with a payload of nothing but 0x88, which looks like the beginning of a close frame.
    fn frame(first: u8, length: usize, mask: bool) -> Vec<u8> {
        let bit = if mask { MASKED } else { 0 };
        let mut frame = match length {
            0..=125 => vec![first, bit | length as u8],
            126..=0xffff => vec![first, bit | 126, (length >> 8) as u8, length as u8],
            _ => [&[first, bit | 127][..], &(length as u64).to_be_bytes()].concat(),
        };
        frame.extend(std::iter::repeat_n(0x88, length + if mask { 4 } else { 0 }));
        frame
    }

    /// Frames of all shapes, and where each ends.
    fn frames() -> (Vec<u8>, Vec<usize>) {
        let mut all = Vec::new();
        let mut ends = vec![0];
        for length in [
            0, 1, 2, 125, 126, 127, 255, 256, 300, 65_535, 65_536, 70_000, 0, 3,
        ] {
            for mask in [false, true] {
                all.extend(frame(if length == 2 { 0x01 } else { 0x82 }, length, mask));
                ends.push(all.len());
            }
        }
        (all, ends)
    }

    #[test]
    fn the_close_frame_goes_between_two_frames_wherever_it_is_asked_for() {
        let (all, ends) = frames();
        let interesting =
            |at: usize| ends.iter().any(|end| at.abs_diff(*end) < 20) || at % 997 == 0;
        for asked in (0..=all.len()).filter(|at| interesting(*at)) {
            let mut frames = Frames::default();
            assert_eq!(frames.pass(&all[..asked]), (asked, false));
            let next = *ends
                .iter()
                .find(|end| **end >= asked)
                .expect("the last one");
            let is_now = frames.leave();
            assert_eq!(is_now, next == asked, "asked for at {asked}");
            if !is_now {
                assert_eq!(
                    frames.pass(&all[asked..]),
                    (next - asked, true),
                    "asked for at {asked}"
                );
            }
            assert_eq!(
                frames.pass(&all[asked..]),
                (0, false),
                "nothing goes behind it"
            );
            assert!(!frames.leave(), "it goes once");
        }
    }

    #[test]
    fn pieces_of_any_size_make_no_difference() {
        let (all, ends) = frames();
        for size in [1, 2, 3, 7, 4096] {
            let mut frames = Frames::default();
            let mut passed = 0;
            for piece in all.chunks(size) {
                assert_eq!(frames.pass(piece), (piece.len(), false));
                passed += piece.len();
                let is_end = ends.contains(&passed);
                assert_eq!(
                    frames.left == 0 && frames.head_len == 0,
                    is_end,
                    "behind {passed}"
                );
            }
        }
    }

    #[test]
    fn a_backend_that_closed_by_itself_has_the_last_word() {
        let close = [0x88, 0x02, 0x03, 0xe8];
        for told in 1..=close.len() {
            let mut frames = Frames::default();
            assert_eq!(frames.pass(&close[..told]), (told, false));
            assert!(!frames.leave());
            let rest = &close[told..];
            // Of one byte nobody knows yet how long the frame is, but what it is.
            assert_eq!(frames.pass(rest), (rest.len(), false));
            assert_eq!(frames.pass(b"whatever"), (8, false));
        }
    }

    #[test]
    fn a_length_that_nobody_can_mean_is_no_end() {
        let mut frames = Frames::default();
        let head = [&[0x82, 127][..], &[0xff; 8]].concat();
        assert_eq!(frames.pass(&head), (10, false));
        assert!(!frames.leave());
        assert_eq!(frames.pass(&[0; 1000]), (1000, false));
    }

    #[test]
    fn what_is_said_is_a_close_frame() {
        assert_eq!(GOING_AWAY[0], 0x80 | CLOSE);
        assert_eq!(usize::from(GOING_AWAY[1]), GOING_AWAY.len() - 2);
        assert_eq!(u16::from_be_bytes([GOING_AWAY[2], GOING_AWAY[3]]), 1001);
    }
}
