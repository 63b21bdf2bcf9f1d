//! Answers whose body is one piece sent very often: a block in memory, written as the client takes it.
//!
//! A connection writes one block a round of a turn and then waits for its turn again, so that a client
//! who takes all there is keeps nobody else waiting. One who takes nothing is given up as any slow reader.

use oto_core::http1::{Framing, Version, encode};

use crate::connection::Wait;
use crate::engine::{Engine, down_token};

/// Bytes written at once, about.
const BLOCK_BYTES: usize = 16 * 1024;

/// What is left of such an answer.
pub(crate) struct Repeat {
    /// Whole pieces.
    block: Vec<u8>,
    /// Bytes still to come.
    left: u64,
    chunked: bool,
}

impl Repeat {
    fn new(piece: &[u8], times: u64, chunked: bool) -> Self {
        let pieces = (BLOCK_BYTES / piece.len().max(1)).max(1) as u64;
        let pieces = pieces.min(times);
        Self {
            block: piece.repeat(pieces as usize),
            left: times.saturating_mul(piece.len() as u64),
            chunked,
        }
    }

    /// The next bytes as they go to the client.
    fn next(&mut self, out: &mut Vec<u8>) {
        let count = self.left.min(self.block.len() as u64);
        self.left -= count;
        let block = self.block.get(..count as usize).unwrap_or(&self.block);
        if !self.chunked {
            out.extend_from_slice(block);
            return;
        }
        encode::chunk_size(block.len(), out);
        out.extend_from_slice(block);
        out.extend_from_slice(b"\r\n");
        if self.left == 0 {
            out.extend_from_slice(b"0\r\n\r\n");
        }
    }
}

/// How a body of unknown length goes to a client of this version.
pub(crate) fn framing(version: Version) -> Framing {
    if version == Version::Http11 {
        Framing::Chunked
    } else {
        Framing::UntilClose
    }
}

impl Engine {
    /// The head is out: send a piece so often behind it.
    pub(crate) fn begin_repeat(&mut self, key: usize, piece: &[u8], times: u64) {
        let Some(exchange) = self
            .downs
            .get_mut(key)
            .and_then(|down| down.exchange.as_mut())
        else {
            return;
        };
        let chunked = framing(exchange.version) == Framing::Chunked;
        exchange.repeat = Some(Box::new(Repeat::new(piece, times, chunked)));
        exchange.wait = Wait::Nothing;
        // No backend takes part: only the client's patience ends it.
        exchange.end_by_s = f64::INFINITY;
        let idle = self.now_s + self.settings.body_idle_s;
        self.touch_exchange(key, idle);
        self.again.push_back(down_token(key));
    }

    /// Write one block, unless the client has not taken the last one. False when the exchange has no
    /// such answer.
    pub(crate) fn pump_repeat(&mut self, key: usize) -> bool {
        let idle = self.now_s + self.settings.body_idle_s;
        let Some(down) = self.downs.get_mut(key) else {
            return true;
        };
        let Some(exchange) = down.exchange.as_mut() else {
            return false;
        };
        let Some(repeat) = exchange.repeat.as_mut() else {
            return false;
        };
        if !down.output.is_empty() {
            return true;
        }
        if self.draining {
            // Cut off: a worker that ends waits for nobody who was not to be served.
            exchange.keep_alive = false;
            self.finish_exchange(key);
            return true;
        }
        let mut out = std::mem::take(&mut self.head_out);
        out.clear();
        repeat.next(&mut out);
        let is_over = repeat.left == 0;
        exchange.bytes_out += out.len() as u64;
        let sent = down.output.send(&mut down.stream, &out, &[]);
        self.head_out = out;
        if sent.is_err() {
            self.client_left(key);
            return true;
        }
        let is_taken = down.output.is_empty();
        if is_over {
            self.finish_exchange(key);
            return true;
        }
        self.touch_exchange(key, idle);
        if is_taken {
            self.again.push_back(down_token(key));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut repeat: Repeat) -> Vec<u8> {
        let mut out = Vec::new();
        while repeat.left > 0 {
            repeat.next(&mut out);
        }
        out
    }

    #[test]
    fn every_piece_is_sent_and_no_more() {
        for times in [1, 2, 5461, 5462, 12_345] {
            let repeat = Repeat::new(b"abc", times, false);
            assert!(repeat.block.len() <= BLOCK_BYTES);
            assert_eq!(all(repeat), b"abc".repeat(times as usize));
        }
        let large = vec![7; BLOCK_BYTES * 2];
        assert_eq!(all(Repeat::new(&large, 2, false)).len(), BLOCK_BYTES * 4);
    }

    #[test]
    fn chunks_end() {
        let out = all(Repeat::new(b"abc", 2, true));
        assert_eq!(out, b"6\r\nabcabc\r\n0\r\n\r\n");
    }
}
