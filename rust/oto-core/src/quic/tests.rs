use super::*;

const CID: &[u8] = b"twelve bytes";

fn keys() -> Keys {
    Keys::new(Suite::Aes128, &[1; 16], &[2; 12], &[3; 16]).unwrap()
}

fn shape(size: usize) -> Shape<'static> {
    Shape {
        cid: CID,
        flags: 0,
        number: 70_000,
        size,
        room: usize::MAX,
        most: 64,
    }
}

fn wanted() -> Wanted<'static> {
    Wanted {
        cid: CID,
        phase: false,
        expected: 70_000,
        lowest: 70_000,
    }
}

fn whole(packets: &[Packet]) -> Vec<u8> {
    packets.iter().flat_map(|it| it.datagram.clone()).collect()
}

fn piece(stream: u64, offset: u64, data: &[u8], fin: bool) -> Piece<'_> {
    Piece {
        stream,
        offset,
        data,
        fin,
    }
}

fn data(stream: u64, offset: u64, data: &[u8], fin: bool) -> Heard {
    Heard::Data {
        stream,
        offset,
        data: data.to_vec(),
        fin,
    }
}

#[test]
fn the_packet_of_the_rfc_opens() {
    // RFC 9001 section A.5: ChaCha20, no identifier, a packet number of three octets, one PING.
    let hex = |text: &str| -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    };
    let keys = Keys::new(
        Suite::ChaCha20,
        &hex("c6d98ff3441c3fe1b2182094f69caa2ed4b716b65488960a7a984979fb23e1c8"),
        &hex("e0459b3474bdd0e44a41c144"),
        &hex("25a282b9e82f06f21f488917a4fc8f1b73573685608597d0efcb076b0ab7a7a4"),
    )
    .unwrap();
    let packet = hex("4cfe4189655e5cd55c41f69080575d7999c25a5bfb");
    let wanted = Wanted {
        cid: b"",
        phase: false,
        expected: 654_360_560,
        lowest: 0,
    };
    let opened = keys.open_run(&packet, packet.len(), &wanted);
    assert_eq!(opened.used, packet.len());
    assert_eq!(opened.numbers, [(654_360_564, 654_360_565)]);
    assert!(opened.is_eliciting && opened.heard.is_empty());
}

#[test]
fn a_flight_is_read_as_it_was_written() {
    for suite in [Suite::Aes128, Suite::Aes256, Suite::ChaCha20] {
        let long = if suite == Suite::Aes128 { 16 } else { 32 };
        let keys = Keys::new(suite, &[1; 32][..long], &[2; 12], &[3; 32][..long]).unwrap();
        let body: Vec<u8> = (0..10_000_u32).map(|it| it as u8).collect();
        let pieces = [
            piece(0, 0, b"head", false),
            piece(4, 99, &body, true),
            piece(8, 7, b"", true),
        ];
        let packets = keys.seal_flight(&shape(1200), &[0x01], &pieces);
        let (last, full) = packets.split_last().unwrap();
        assert!(full.iter().all(|it| it.datagram.len() == 1200) && last.datagram.len() <= 1200);
        let opened = keys.open_run(&whole(&packets), 1200, &wanted());
        assert_eq!(opened.used, whole(&packets).len());
        assert_eq!(opened.numbers, [(70_000, 70_000 + packets.len() as u64)]);
        assert_eq!(
            opened.heard,
            [
                data(0, 0, b"head", false),
                data(4, 99, &body, true),
                data(8, 7, b"", true)
            ]
        );
        let carried: u64 = packets
            .iter()
            .flat_map(|it| &it.frames)
            .map(|it| it.stop - it.start)
            .sum();
        assert_eq!(carried, 10_004);
        let ends: Vec<_> = packets
            .iter()
            .flat_map(|it| &it.frames)
            .filter(|it| it.fin)
            .collect();
        assert_eq!(
            ends.iter()
                .map(|it| (it.piece, it.stop))
                .collect::<Vec<_>>(),
            [(1, 10_099), (2, 7)]
        );
    }
}

#[test]
fn a_flight_keeps_to_its_room() {
    let body = [5; 5000];
    let pieces = [piece(0, 0, &body, true)];
    let send = |room, most| {
        keys().seal_flight(
            &Shape {
                room,
                most,
                ..shape(1200)
            },
            b"",
            &pieces,
        )
    };
    assert_eq!(send(3000, 64).len(), 2, "a third one would not be full");
    assert_eq!(send(1199, 64).len(), 0);
    assert_eq!(send(usize::MAX, 3).len(), 3);
    let short = [piece(0, 0, b"short", true)];
    let fits = keys().seal_flight(
        &Shape {
            room: 100,
            ..shape(1200)
        },
        b"",
        &short,
    );
    assert_eq!(
        fits.len(),
        1,
        "what is all there is need not fill a datagram"
    );
}

#[test]
fn what_leads_goes_without_room() {
    let packets = keys().seal_flight(
        &Shape {
            room: 0,
            ..shape(1200)
        },
        &[0x01],
        &[piece(0, 0, b"x", true)],
    );
    assert_eq!(packets.len(), 1);
    assert!(packets[0].frames.is_empty());
    let opened = keys().open_run(&packets[0].datagram, 1200, &wanted());
    assert!(opened.is_eliciting && opened.used == packets[0].datagram.len());
}

#[test]
fn a_run_ends_before_what_is_not_read_here() {
    let keys = keys();
    let packet = |number, lead: &[u8]| {
        keys.seal_flight(
            &Shape {
                number,
                ..shape(1200)
            },
            lead,
            &[],
        )
        .remove(0)
        .datagram
    };
    let good = packet(70_000, &[0x01, 0, 0, 0]);
    let read = |second: &[u8]| {
        assert_eq!(second.len(), good.len());
        keys.open_run(&[&good, second].concat(), good.len(), &wanted())
            .used
    };
    assert_eq!(read(&packet(70_001, &[0x01, 0, 0, 0])), 2 * good.len());
    assert_eq!(
        read(&packet(70_005, &[0x01, 0, 0, 0])),
        2 * good.len(),
        "one was lost"
    );
    assert_eq!(read(&good), good.len(), "it was there already");
    assert_eq!(
        read(&packet(70_001, &[0x1e, 0, 0, 0])),
        good.len(),
        "HANDSHAKE_DONE"
    );
    assert_eq!(
        read(&packet(70_001, &[0x0a, 0, 9, 0])),
        good.len(),
        "STREAM is cut off"
    );
    assert_eq!(
        read(&packet(70_001, &[0x02, 5, 0, 9])),
        good.len(),
        "ACK is cut off"
    );
    assert_eq!(
        read(&packet(70_001, &[0, 0, 0, 0])),
        2 * good.len(),
        "PADDING"
    );
    assert_eq!(
        read(&packet(70_001, &[1, 1, 0, 0])),
        good.len(),
        "PING twice"
    );
    let long = |payload: &[u8]| {
        let datagram = packet(70_000, payload);
        keys.open_run(&datagram, 1200, &wanted()).used == datagram.len()
    };
    assert!(long(&[2, 5, 0, 0, 5, 1]));
    assert!(!long(&[2, 5, 0, 0, 5, 2, 5, 0, 0, 5]), "ACK twice");
    assert!(long(&[0x0a, 4, 1, 9, 0x0a, 8, 1, 9]), "two streams");
    assert!(!long(&[0x0a, 4, 1, 9, 0x0e, 4, 1, 1, 9]), "a stream twice");
    assert!(long(&[0x0b, 4, 0, 0]), "the end of a stream");
    assert!(!long(&[0x0a, 4, 0, 0]), "no data and no end");
    assert!(!long(&[0x10, 4].repeat(40)), "many frames");
    for at in 0..good.len() {
        let mut broken = packet(70_001, &[0x01, 0, 0, 0]);
        broken[at] ^= 0x40;
        assert_eq!(read(&broken), good.len(), "octet {at} is another");
    }
    let phase = Shape {
        number: 70_001,
        flags: 0x04,
        ..shape(1200)
    };
    let other = keys
        .seal_flight(&phase, &[0x01, 0, 0, 0], &[])
        .remove(0)
        .datagram;
    assert_eq!(read(&other), good.len(), "the other key phase");
}

#[test]
fn the_newest_acknowledgement_stands_for_those_it_covers() {
    let keys = keys();
    let mut run = Vec::new();
    // ACK of 0-5, of 0-7, of 9-9 and 0-7, of 2-8.
    let acks: [&[u8]; 4] = [
        &[2, 5, 0, 0, 5, 0],
        &[2, 7, 0, 0, 7, 0],
        &[2, 9, 0, 1, 0, 0, 7],
        &[2, 8, 0, 0, 6, 0, 0],
    ];
    for (index, ack) in acks.iter().enumerate() {
        let mut lead = ack.to_vec();
        lead.resize(8, 0);
        let at = Shape {
            number: 70_000 + index as u64,
            ..shape(1200)
        };
        run.extend(keys.seal_flight(&at, &lead, &[]).remove(0).datagram);
    }
    let opened = keys.open_run(&run, run.len() / 4, &wanted());
    assert_eq!(opened.used, run.len());
    assert!(!opened.is_eliciting);
    let frame = |body: &[u8]| Heard::Frame {
        kind: 2,
        body: body.to_vec(),
    };
    assert_eq!(
        opened.heard,
        [frame(&[9, 0, 1, 0, 0, 7]), frame(&[8, 0, 0, 6])]
    );
}
