//! Invariant: of a backend's octets, in whatever pieces they come, the client gets all up to the end of a frame, and the gateway's
//! close frame there, where that is the first end since it was wanted and no close frame of the backend has begun.

#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use oto_core::websocket::{Frames, GOING_AWAY};

#[derive(Arbitrary, Debug)]
enum Said<'a> {
    Octets(&'a [u8]),
    Frame {
        first: u8,
        masked: bool,
        form: u8,
        payload: &'a [u8],
    },
}

fuzz_target!(|input: (Vec<Said<'_>>, Vec<u8>, Option<u16>)| {
    let (said, cuts, wanted) = input;
    let all = written(&said);
    let mut frames = Frames::default();
    let mut got = Vec::new();
    let mut passed = 0;
    let mut cuts = cuts.iter().cycle();
    let wanted = wanted.map(|at| usize::from(at) % (all.len() + 1));
    let mut is_wanted = false;
    loop {
        if wanted == Some(passed) && !is_wanted {
            is_wanted = true;
            if frames.leave() {
                got.extend_from_slice(GOING_AWAY);
            }
        }
        if passed == all.len() {
            break;
        }
        let until_wanted = wanted.filter(|at| *at > passed).unwrap_or(all.len());
        let piece = cuts.next().map_or(usize::MAX, |cut| usize::from(*cut));
        let end = until_wanted.min(passed.saturating_add(piece.max(1)));
        let (count, closes) = frames.pass(&all[passed..end]);
        got.extend_from_slice(&all[passed..passed + count]);
        if closes {
            got.extend_from_slice(GOING_AWAY);
        }
        passed = end;
    }
    assert!(!frames.leave() || wanted.is_none());
    assert_eq!(got, told(&all, wanted));
});

fn written(said: &[Said<'_>]) -> Vec<u8> {
    let mut all = Vec::new();
    for it in said {
        match it {
            Said::Octets(octets) => all.extend_from_slice(octets),
            Said::Frame {
                first,
                masked,
                form,
                payload,
            } => {
                let mask = if *masked { 0x80 } else { 0 };
                let length = payload.len();
                all.push(*first);
                match form % 3 {
                    0 if length < 126 => all.push(mask | length as u8),
                    1 => {
                        all.push(mask | 126);
                        all.extend_from_slice(&(length as u16).to_be_bytes());
                    }
                    _ => {
                        all.push(mask | 127);
                        all.extend_from_slice(&(length as u64).to_be_bytes());
                    }
                }
                if *masked {
                    all.extend_from_slice(b"mask");
                }
                all.extend_from_slice(payload);
            }
        }
    }
    all
}

/// What the client is to get, read frame by frame out of the whole.
fn told(all: &[u8], wanted: Option<usize>) -> Vec<u8> {
    let mut at = 0;
    loop {
        if wanted.is_some_and(|wanted| wanted <= at) {
            return [&all[..at], GOING_AWAY].concat();
        }
        let is_close = all.get(at).is_some_and(|first| first % 16 == 8);
        match end_of_frame(all, at) {
            Some(end) if !is_close => at = end,
            _ => return all.to_vec(),
        }
    }
}

/// Where the frame that begins there ends; none where it is not whole.
fn end_of_frame(all: &[u8], at: usize) -> Option<usize> {
    let second = *all.get(at + 1)?;
    let octets = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mut length = u128::from(second & 0x7f);
    if octets > 0 {
        length = 0;
        for octet in all.get(at + 2..at + 2 + octets)? {
            length = length * 256 + u128::from(*octet);
        }
    }
    let mask = if second >= 0x80 { 4 } else { 0 };
    let end = at as u128 + 2 + octets as u128 + mask + length;
    usize::try_from(end).ok().filter(|end| *end <= all.len())
}
