//! Packets with the data of streams, made many at once.

use std::collections::VecDeque;

use super::keys::{Keys, LONGEST_NUMBER, TAG};
use super::varint;

/// Octets of the packet numbers that are sent; what is in flight is far from half of what they tell apart.
const NUMBER: usize = 2;
/// Octets of a frame's length.
const LENGTH: usize = 2;
/// The longest data of a frame whose length takes so many octets.
const LONGEST: usize = 0x3fff;
/// What the header of a frame takes, at most.
const FRAME_HEADER: usize = 1 + 8 + 8 + LENGTH;

/// Data of a stream that is to be sent.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    /// The stream.
    pub stream: u64,
    /// Where in the stream it begins.
    pub offset: u64,
    /// The data.
    pub data: &'a [u8],
    /// Whether the stream ends behind it.
    pub fin: bool,
}

/// What the packets of a flight have in common, and how much of it there may be.
#[derive(Debug, Clone, Copy)]
pub struct Shape<'a> {
    /// The identifier that the peer gave the connection.
    pub cid: &'a [u8],
    /// The spin bit and the key phase, where they are in the first octet.
    pub flags: u8,
    /// The number of the first packet.
    pub number: u64,
    /// Octets of a datagram, at most.
    pub size: usize,
    /// Octets of all datagrams, at most; what leads is sent in any case.
    pub room: usize,
    /// Datagrams, at most.
    pub most: usize,
}

/// What of a piece a packet carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carried {
    /// Which piece.
    pub piece: usize,
    /// Where in the stream it begins.
    pub start: u64,
    /// Where in the stream it ends.
    pub stop: u64,
    /// Whether the stream ends with it.
    pub fin: bool,
}

/// A datagram that holds one packet.
#[derive(Debug)]
pub struct Packet {
    /// What to send.
    pub datagram: Vec<u8>,
    /// What of the pieces is in it.
    pub frames: Vec<Carried>,
}

impl Keys {
    /// Make datagrams of pieces, in their order, until one of the bounds is reached. `lead` holds frames that are written
    /// already; they go first. Every datagram but the last is of the full size. Gives none when a bound leaves no room, and
    /// ends before one that only the room makes smaller.
    #[must_use]
    pub fn seal_flight(&self, shape: &Shape<'_>, lead: &[u8], pieces: &[Piece<'_>]) -> Vec<Packet> {
        let mut left: VecDeque<(usize, Piece<'_>)> = pieces.iter().copied().enumerate().collect();
        let mut rest: usize = pieces
            .iter()
            .map(|piece| piece.data.len() + FRAME_HEADER)
            .sum();
        let mut room = shape.room;
        let mut packets = Vec::new();
        let header = 1 + shape.cid.len() + NUMBER;
        while packets.len() < shape.most {
            let lead = if packets.is_empty() { lead } else { &[] };
            if left.is_empty() && lead.is_empty() {
                break;
            }
            let limit = shape.size.min(room);
            let is_cut = limit < shape.size && header + lead.len() + rest + TAG > limit;
            if is_cut && lead.is_empty() {
                break;
            }
            let mut packet = Packet {
                datagram: Vec::with_capacity(shape.size),
                frames: Vec::new(),
            };
            let number = shape.number + packets.len() as u64;
            let out = &mut packet.datagram;
            let first = 0x40 | shape.flags & 0x24 | (NUMBER as u8 - 1);
            out.push(first);
            out.extend_from_slice(shape.cid);
            out.extend_from_slice(&(number as u16).to_be_bytes());
            out.extend_from_slice(lead);
            if !is_cut {
                rest -= fill(&mut packet, limit.saturating_sub(TAG), &mut left);
            }
            let out = &mut packet.datagram;
            if out.len() == header {
                break;
            }
            while out.len() < header + LONGEST_NUMBER - NUMBER {
                out.push(0); // PADDING: the sample for the header's protection is behind it
            }
            if self.protect(number, header, out).is_none() {
                break;
            }
            room = room.saturating_sub(out.len());
            packets.push(packet);
        }
        packets
    }

    /// Seal what is behind the header, and mask the header.
    fn protect(&self, number: u64, header: usize, out: &mut Vec<u8>) -> Option<()> {
        let (head, payload) = out.split_at_mut_checked(header)?;
        let tag = self.seal(number, head, payload)?;
        out.extend_from_slice(tag.as_ref());
        let at = header - NUMBER;
        let mask = self.mask(out.get(at + LONGEST_NUMBER..)?)?;
        let (first, hidden) = mask.split_first()?;
        *out.first_mut()? ^= first & 0x1f;
        for (octet, part) in out.iter_mut().skip(at).take(NUMBER).zip(hidden) {
            *octet ^= part;
        }
        Some(())
    }
}

/// Put frames of the pieces behind what is there, up to a length; gives what they took of the pieces.
fn fill(packet: &mut Packet, limit: usize, left: &mut VecDeque<(usize, Piece<'_>)>) -> usize {
    let mut taken = 0;
    let out = &mut packet.datagram;
    while let Some((index, piece)) = left.front_mut() {
        let offset_size = if piece.offset > 0 {
            varint::size(piece.offset)
        } else {
            0
        };
        let overhead = 1 + varint::size(piece.stream) + offset_size + LENGTH;
        let Some(space) = limit.saturating_sub(out.len()).checked_sub(overhead) else {
            break;
        };
        let count = piece.data.len().min(space).min(LONGEST);
        if count == 0 && !piece.data.is_empty() {
            break;
        }
        let (data, rest) = piece.data.split_at(count);
        let fin = piece.fin && rest.is_empty();
        let has_offset = if piece.offset > 0 { 4 } else { 0 };
        out.push(0x08 | has_offset | 2 | u8::from(fin));
        varint::put(piece.stream, out);
        if piece.offset > 0 {
            varint::put(piece.offset, out);
        }
        out.extend_from_slice(&(count as u16 | 0x4000).to_be_bytes());
        out.extend_from_slice(data);
        let stop = piece.offset + count as u64;
        packet.frames.push(Carried {
            piece: *index,
            start: piece.offset,
            stop,
            fin,
        });
        taken += count;
        piece.data = rest;
        piece.offset = stop;
        if rest.is_empty() {
            taken += FRAME_HEADER;
            left.pop_front();
        }
    }
    taken
}
