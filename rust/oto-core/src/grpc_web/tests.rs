use super::*;

fn message(bytes: &[u8]) -> Vec<u8> {
    let mut frame = vec![0];
    frame.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    frame.extend_from_slice(bytes);
    frame
}

#[test]
fn content_types_are_read_and_written() {
    for (text, asked_for, to_backend) in [
        (
            &b"application/grpc-web"[..],
            (Form::Binary, &b""[..]),
            &b"application/grpc"[..],
        ),
        (
            b"application/grpc-web+proto",
            (Form::Binary, b"+proto"),
            b"application/grpc+proto",
        ),
        (
            b"Application/gRPC-Web+json; charset=utf-8",
            (Form::Binary, b"+json"),
            b"application/grpc+json",
        ),
        (
            b"application/grpc-web-text",
            (Form::Text, b""),
            b"application/grpc+proto",
        ),
        (
            b"application/grpc-web-text+json",
            (Form::Text, b"+json"),
            b"application/grpc+json",
        ),
    ] {
        let (form, format) = asked(text).expect("a call");
        assert_eq!((form, format), asked_for);
        assert_eq!(content_type_in(form, format), to_backend);
    }
    for other in [
        &b"application/grpc"[..],
        b"application/grpc-website",
        b"application/grpc-web-texts",
        b"application/json",
        b"",
    ] {
        assert_eq!(asked(other), None, "{other:?}");
    }
    for (form, from, to) in [
        (
            Form::Binary,
            &b"application/grpc"[..],
            &b"application/grpc-web"[..],
        ),
        (
            Form::Binary,
            b"application/grpc+proto",
            b"application/grpc-web+proto",
        ),
        (
            Form::Text,
            b"application/grpc",
            b"application/grpc-web-text+proto",
        ),
        (
            Form::Text,
            b"application/grpc+json",
            b"application/grpc-web-text+json",
        ),
    ] {
        assert_eq!(content_type_out(form, from).as_deref(), Some(to));
    }
    for other in [&b"text/html"[..], b"application/grpc-web"] {
        assert_eq!(content_type_out(Form::Binary, other), None);
    }
}

#[test]
fn what_is_no_base64_is_refused() {
    for bad in [
        "A", "AA", "AAA", "A===", "=AAA", "AA=A", "AA==A", "AA-_", "AAAA\r\n", "AA===",
    ] {
        assert_eq!(decoded(bad.as_bytes()), Err(NotBase64), "{bad}");
    }
    assert_eq!(decoded(b"").as_deref(), Ok(&b""[..]));
    assert_eq!(decoded(b"YQ==YWI=YWJj").as_deref(), Ok(&b"aababc"[..]));
}

#[test]
fn trailers_are_a_frame() {
    let lines = b"Grpc-Status: 0\r\ngrpc-message:  fine \r\nConnection: x\r\n";
    let block = b"grpc-status:0\r\ngrpc-message:fine\r\n";
    let mut expected = vec![0x80, 0, 0, 0, block.len() as u8];
    expected.extend_from_slice(block);
    let mut out = Vec::new();
    Answer::new(Form::Binary).finish(lines, &mut out);
    assert_eq!(out, expected);
    let mut out = Vec::new();
    Answer::new(Form::Text).finish(lines, &mut out);
    assert_eq!(decoded(&out), Ok(expected));
    let mut out = Vec::new();
    Answer::new(Form::Text).finish(b"", &mut out);
    assert!(out.is_empty());
}

/// Messages of every length up to some, of bytes that differ.
fn messages() -> Vec<Vec<u8>> {
    let byte = |at: usize| (at * 37 % 256) as u8;
    let lengths = [0, 1, 2, 3, 4, 5, 6, 7, 0, 255, 256, 300, 1];
    let of = |(index, length): (usize, &usize)| (0..*length).map(|at| byte(at + index)).collect();
    lengths.iter().enumerate().map(of).collect()
}

#[test]
fn base64_is_read_however_it_is_cut() {
    let parts = messages();
    let text: String = parts.iter().map(|part| BASE64.encode(part)).collect();
    for step in 1..20 {
        let (mut decoder, mut out) = (Decoder::default(), Vec::new());
        for piece in text.as_bytes().chunks(step) {
            decoder.push(piece, &mut out).expect("base64");
        }
        assert_eq!(decoder.finish(), Ok(()));
        assert_eq!(out, parts.concat());
    }
}

#[test]
fn each_message_is_written_by_itself_and_at_once() {
    let frames: Vec<_> = messages().iter().map(|bytes| message(bytes)).collect();
    let expected: String = frames.iter().map(|frame| BASE64.encode(frame)).collect();
    for step in 1..20 {
        let (mut answer, mut out) = (Answer::new(Form::Text), Vec::new());
        for piece in frames.concat().chunks(step) {
            answer.push(piece, &mut out);
        }
        // Nothing waits for the end.
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }
}

#[test]
fn what_is_no_message_is_written_too() {
    let bytes: Vec<u8> = (0..=255).chain(0..100).collect();
    for count in 0..bytes.len() {
        let bytes = &bytes[..count];
        let (mut answer, mut out) = (Answer::new(Form::Text), Vec::new());
        for piece in bytes.chunks(7) {
            answer.push(piece, &mut out);
        }
        answer.finish(b"", &mut out);
        assert_eq!(decoded(&out).as_deref(), Ok(bytes));
    }
}
