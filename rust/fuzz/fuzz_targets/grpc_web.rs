//! Invariant: a body in base64 is decoded the same however it is cut, and as the library decodes it group by group; an answer
//! written in base64, in any pieces, decodes to what the binary form says.

#![no_main]

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use libfuzzer_sys::fuzz_target;
use oto_core::grpc_web::{
    Answer, Decoder, Form, asked, content_type_in, content_type_out, decoded,
};

const TWIN: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

fuzz_target!(|input: (Vec<&[u8]>, u8, &[u8], bool)| {
    let (pieces, step, trailers, as_base64) = input;
    let body = match as_base64 {
        true => TWIN.encode(pieces.concat()).into_bytes(),
        false => pieces.concat(),
    };
    let whole = decoded(&body).ok();
    assert_eq!(whole, twin(&body));
    let (mut decoder, mut out) = (Decoder::default(), Vec::new());
    let cut = body
        .chunks(usize::from(step).max(1))
        .all(|piece| decoder.push(piece, &mut out).is_ok());
    let cut = cut && decoder.finish().is_ok();
    assert_eq!(cut.then_some(out), whole);

    let said = |form| {
        let (mut answer, mut out) = (Answer::new(form), Vec::new());
        for piece in &pieces {
            answer.push(piece, &mut out);
        }
        answer.finish(trailers, &mut out);
        out
    };
    assert_eq!(decoded(&said(Form::Text)), Ok(said(Form::Binary)));

    if let Some((form, format)) = asked(&body) {
        let inside = content_type_in(form, format);
        assert!(content_type_out(form, &inside).is_some());
    }
});

/// Groups of four, each on its own.
fn twin(body: &[u8]) -> Option<Vec<u8>> {
    let groups = body.chunks(4).map(|group| TWIN.decode(group).ok());
    groups.collect::<Option<Vec<_>>>().map(|it| it.concat())
}
