//! Invariant: opening never panics and reads no further than the run; what it tells has no more octets than came, and what is
//! sealed opens to the same octets, in full datagrams.

#![no_main]

use libfuzzer_sys::fuzz_target;
use oto_core::quic::{Heard, Keys, Piece, Shape, Suite, Wanted};

const CID: &[u8] = b"twelve bytes";

fuzz_target!(|input: (Vec<&[u8]>, &[u8], u16, u64, bool)| {
    let (payloads, body, size, number, fin) = input;
    let keys =
        Keys::new(Suite::Aes128, &[1; 16], &[2; 12], &[3; 16]).expect("lengths of the suite");
    let number = number % (1 << 61);
    let size = usize::from(size % 1500) + 64;
    let shape = Shape {
        cid: CID,
        flags: 0,
        number,
        size,
        room: usize::MAX,
        most: 64,
    };
    let wanted = Wanted {
        cid: CID,
        phase: false,
        expected: number,
        lowest: number,
    };
    // Frames of a peer that has the keys, and may write what it likes.
    let longest = payloads.iter().map(|it| it.len()).max().unwrap_or(0);
    let mut run = Vec::new();
    for (at, payload) in payloads.iter().enumerate() {
        let mut lead = payload.to_vec();
        lead.resize(longest + 4, 0);
        let shape = Shape {
            number: number + at as u64,
            size: longest + 64,
            ..shape
        };
        for packet in keys.seal_flight(&shape, &lead, &[]) {
            run.extend(packet.datagram);
        }
    }
    let step = run.len() / payloads.len().max(1);
    let opened = keys.open_run(&run, step, &wanted);
    assert!(opened.used <= run.len());
    let told: usize = opened
        .heard
        .iter()
        .map(|it| match it {
            Heard::Frame { body, .. } => body.len(),
            Heard::Data { data, .. } => data.len(),
        })
        .sum();
    assert!(told <= opened.used);
    let _ = keys.open_run(body, size, &wanted);
    if body.is_empty() && !fin {
        return; // Nothing to say: no packet is made for that, and a reader wants none.
    }
    // What we write.
    let piece = Piece {
        stream: number,
        offset: number,
        data: body,
        fin,
    };
    let packets = keys.seal_flight(&shape, b"", &[piece]);
    let run: Vec<u8> = packets.iter().flat_map(|it| it.datagram.clone()).collect();
    let sent: usize = packets
        .iter()
        .flat_map(|it| &it.frames)
        .map(|it| (it.stop - it.start) as usize)
        .sum();
    let opened = keys.open_run(&run, size, &wanted);
    assert_eq!(opened.used, run.len());
    if let [Heard::Data { data, offset, .. }] = &*opened.heard {
        assert_eq!((&**data, *offset), (&body[..sent], number));
    } else {
        assert!(packets.is_empty());
    }
});
