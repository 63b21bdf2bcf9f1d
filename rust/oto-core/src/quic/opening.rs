//! Datagrams of one connection, opened and read many at once.

use super::keys::{Keys, LONGEST_NUMBER};
use super::varint;

/// Frames of a packet beside PADDING; a transfer has a few, of as many streams.
const MOST_FRAMES: usize = 32;
/// How many pieces back one is looked for that goes on where a frame begins.
const NEAR: usize = 16;

/// What the datagrams have to be to be read here.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The identifier in use.
    pub cid: &'a [u8],
    /// The key phase of these keys.
    pub phase: bool,
    /// The packet number that is expected next.
    pub expected: u64,
    /// The lowest packet number that is taken: the largest one seen so far and one more.
    pub lowest: u64,
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// A frame of few octets, as it was sent: ACK, or one about a limit.
    Frame {
        /// Its type.
        kind: u8,
        /// What is behind the type.
        body: Vec<u8>,
    },
    /// Data of a stream; that of several frames, where each goes on where the one before ends.
    Data {
        /// The stream.
        stream: u64,
        /// Where in the stream it begins.
        offset: u64,
        /// The data.
        data: Vec<u8>,
        /// Whether the stream ends behind it.
        fin: bool,
    },
}

/// What a run of datagrams held.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Octets of the run that were read. The datagram behind them is none that is read here.
    pub used: usize,
    /// Packet numbers, as ranges without their ends, in order.
    pub numbers: Vec<(u64, u64)>,
    /// Whether the peer wants some of them to be acknowledged.
    pub is_eliciting: bool,
    /// The spin bit of the last one.
    pub spin: bool,
    /// What was in them, in order.
    pub heard: Vec<Heard>,
}

/// A frame of an opened packet.
enum Frame<'a> {
    Ack(Ack<'a>),
    Limit(u8, &'a [u8]),
    Data(u64, u64, &'a [u8], bool),
}

impl Frame<'_> {
    fn is_of_same_stream(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Data(one, ..), Self::Data(other, ..)) => one == other,
            _ => false,
        }
    }
}

struct Ack<'a> {
    kind: u8,
    body: &'a [u8],
    ranges: Vec<(u64, u64)>,
}

impl Keys {
    /// Open a run of datagrams, each of `step` octets but the last, which may have fewer: see [`Self::open_runs`].
    #[must_use]
    pub fn open_run(&self, run: &[u8], step: usize, wanted: &Wanted<'_>) -> Opened {
        self.open_runs([(run, step)], wanted)
    }

    /// Open runs of datagrams that came together, each with the length of its datagrams but the last, which may be shorter.
    ///
    /// It ends at the first datagram that is not a packet with a short header, the wanted identifier and key phase, and a number
    /// above all before it, that opens with these keys and holds no frames but PADDING, PING, ACK, STREAM, MAX_DATA,
    /// MAX_STREAM_DATA, DATA_BLOCKED and STREAM_DATA_BLOCKED, each well-formed, as few as an honest transfer has. Of that one
    /// nothing is told.
    #[must_use]
    pub fn open_runs<'a>(
        &self,
        runs: impl IntoIterator<Item = (&'a [u8], usize)>,
        wanted: &Wanted<'_>,
    ) -> Opened {
        let mut opened = Opened::default();
        let mut wanted = *wanted;
        let mut newest_ack: Option<(usize, Vec<(u64, u64)>)> = None;
        let mut space = Vec::new();
        let datagrams = runs
            .into_iter()
            .flat_map(|(run, step)| run.chunks(step.max(1)));
        for datagram in datagrams {
            space.clear();
            space.extend_from_slice(datagram);
            let Some((number, first, plain)) = self.open_one(&mut space, &wanted) else {
                break;
            };
            let Some((frames, is_eliciting)) = read(plain) else {
                break;
            };
            for frame in frames {
                tell(frame, &mut opened.heard, &mut newest_ack);
            }
            match opened.numbers.last_mut() {
                Some((_, end)) if *end == number => *end += 1,
                _ => opened.numbers.push((number, number + 1)),
            }
            opened.is_eliciting |= is_eliciting;
            opened.spin = first & 0x20 != 0;
            opened.used += datagram.len();
            wanted.lowest = number + 1;
            wanted.expected = wanted.expected.max(number + 1);
        }
        opened
    }

    /// Open a packet in place; gives its number, its first octet and its frames.
    fn open_one<'p>(
        &self,
        packet: &'p mut [u8],
        wanted: &Wanted<'_>,
    ) -> Option<(u64, u8, &'p [u8])> {
        let at = 1 + wanted.cid.len();
        let first = *packet.first()?;
        if first & 0xc0 != 0x40 || packet.get(1..at)? != wanted.cid {
            return None;
        }
        let mask = self.mask(packet.get(at + LONGEST_NUMBER..)?)?;
        let (first_mask, number_mask) = mask.split_first()?;
        let first = first ^ first_mask & 0x1f;
        if first & 0x18 != 0 || (first & 0x04 != 0) != wanted.phase {
            return None;
        }
        *packet.first_mut()? = first;
        let length = usize::from(first & 0x03) + 1;
        let mut short = 0;
        for (octet, part) in packet.get_mut(at..at + length)?.iter_mut().zip(number_mask) {
            *octet ^= part;
            short = short << 8 | u64::from(*octet);
        }
        let number = whole_number(short, 8 * length as u32, wanted.expected);
        if number < wanted.lowest {
            return None;
        }
        let (header, payload) = packet.split_at_mut_checked(at + length)?;
        Some((number, first, self.open(number, header, payload)?))
    }
}

/// The packet number whose end was sent (RFC 9000 section A.3).
fn whole_number(short: u64, bits: u32, expected: u64) -> u64 {
    let window = 1_u64 << bits;
    let candidate = expected & !(window - 1) | short;
    if candidate + window / 2 <= expected && candidate < (1 << 62) - window {
        candidate + window
    } else if candidate > expected + window / 2 && candidate >= window {
        candidate - window
    } else {
        candidate
    }
}

/// The frames of a packet, and whether it wants to be acknowledged; nothing when there is one that is not read here, or
/// not what an honest transfer is made of: none at all, many of them, PING or ACK twice, no data, a stream twice.
fn read(mut plain: &[u8]) -> Option<(Vec<Frame<'_>>, bool)> {
    let mut frames = Vec::new();
    let (mut has_ping, mut has_ack, mut is_eliciting) = (false, false, false);
    if plain.is_empty() {
        return None;
    }
    while let Some((&kind, rest)) = plain.split_first() {
        plain = rest;
        match kind {
            0x00 => continue,
            0x01 if !has_ping => {
                has_ping = true;
                is_eliciting = true;
            }
            0x02 | 0x03 if !has_ack => {
                has_ack = true;
                frames.push(Frame::Ack(take_ack(kind, &mut plain)?));
            }
            0x08..=0x0f => {
                let frame = take_data(kind, &mut plain)?;
                if frames.iter().any(|it| it.is_of_same_stream(&frame)) {
                    return None;
                }
                frames.push(frame);
                is_eliciting = true;
            }
            // About the connection; about a stream.
            0x10 | 0x11 | 0x14 | 0x15 => {
                let body = plain;
                for _ in 0..=(kind & 1) {
                    varint::take(&mut plain)?;
                }
                frames.push(Frame::Limit(kind, taken(body, plain)));
                is_eliciting = true;
            }
            _ => return None,
        }
        if frames.len() > MOST_FRAMES {
            return None;
        }
    }
    Some((frames, is_eliciting))
}

/// What was there and is no more.
fn taken<'a>(before: &'a [u8], after: &[u8]) -> &'a [u8] {
    before.get(..before.len() - after.len()).unwrap_or_default()
}

fn take_ack<'a>(kind: u8, plain: &mut &'a [u8]) -> Option<Ack<'a>> {
    let body = *plain;
    let largest = varint::take(plain)?;
    varint::take(plain)?; // the delay
    let more = varint::take(plain)?;
    let mut low = largest.checked_sub(varint::take(plain)?)?;
    let mut ranges = vec![(low, largest)];
    for _ in 0..more {
        let high = low.checked_sub(varint::take(plain)?)?.checked_sub(2)?;
        low = high.checked_sub(varint::take(plain)?)?;
        ranges.push((low, high));
    }
    if kind == 0x03 {
        for _ in 0..3 {
            varint::take(plain)?;
        }
    }
    let body = taken(body, plain);
    Some(Ack { kind, body, ranges })
}

fn take_data<'a>(kind: u8, plain: &mut &'a [u8]) -> Option<Frame<'a>> {
    let stream = varint::take(plain)?;
    let offset = if kind & 4 != 0 {
        varint::take(plain)?
    } else {
        0
    };
    let length = if kind & 2 != 0 {
        usize::try_from(varint::take(plain)?).ok()?
    } else {
        plain.len()
    };
    let (data, rest) = plain.split_at_checked(length)?;
    let fin = kind & 1 != 0;
    if offset + length as u64 > varint::MOST || (data.is_empty() && !fin) {
        return None;
    }
    *plain = rest;
    Some(Frame::Data(stream, offset, data, fin))
}

/// Add a frame to what was heard, to something that was heard just before where it can be.
fn tell(
    frame: Frame<'_>,
    heard: &mut Vec<Heard>,
    newest_ack: &mut Option<(usize, Vec<(u64, u64)>)>,
) {
    match frame {
        Frame::Limit(kind, body) => heard.push(Heard::Frame {
            kind,
            body: body.to_vec(),
        }),
        Frame::Ack(ack) => {
            let fresh = Heard::Frame {
                kind: ack.kind,
                body: ack.body.to_vec(),
            };
            // What says all that an earlier one said takes its place: all came at the same time.
            match newest_ack {
                Some((at, before)) if covers(&ack.ranges, before) => {
                    if let Some(old) = heard.get_mut(*at) {
                        *old = fresh;
                    }
                    *before = ack.ranges;
                }
                _ => {
                    *newest_ack = Some((heard.len(), ack.ranges));
                    heard.push(fresh);
                }
            }
        }
        Frame::Data(stream, offset, data, fin) => {
            let before = heard.iter_mut().rev().take(NEAR).find_map(|it| match it {
                Heard::Data {
                    stream: of,
                    offset: from,
                    data: held,
                    fin: ended,
                } if *of == stream => Some((*from, held, ended)),
                _ => None,
            });
            match before {
                Some((from, held, ended)) if !*ended && from + held.len() as u64 == offset => {
                    held.extend_from_slice(data);
                    *ended = fin;
                }
                _ => heard.push(Heard::Data {
                    stream,
                    offset,
                    data: data.to_vec(),
                    fin,
                }),
            }
        }
    }
}

/// Whether all of the second ranges is in the first ones; both go down.
fn covers(ranges: &[(u64, u64)], of: &[(u64, u64)]) -> bool {
    let mut ranges = ranges.iter().peekable();
    of.iter().all(|&(low, high)| {
        while ranges.next_if(|it| it.0 > high).is_some() {}
        ranges.peek().is_some_and(|it| it.0 <= low && high <= it.1)
    })
}
