//! Invariant: whatever a request holds, credentials are looked for without a panic, and one that was taken away is not found
//! again where it was; and nobody signs for a secret that they do not know.

#![no_main]

use libfuzzer_sys::fuzz_target;
use oto_core::apikeys::{ExtractSpec, Extractors, Proof, Shown, cookie, without_cookie};
use oto_core::http1::{HeadLimits, Request, Version};
use oto_core::signature::hmac;

const NAMES: &[&[u8]] = &[
    b"authorization",
    b"proxy-authorization",
    b"cookie",
    b"x-api-key",
    b"otoroshi-authorization",
    b"otoroshi-token",
    b"otoroshi-client-id",
    b"otoroshi-client-secret",
    b"date",
];

fuzz_target!(|input: (&str, Vec<(u8, &[u8])>)| {
    let (query, fields) = input;
    let target = format!("/a?{query}");
    let named = fields
        .iter()
        .filter_map(|(which, value)| Some((*NAMES.get(usize::from(*which) % 9)?, *value)));
    let host = [(&b"host"[..], &b"a"[..])];
    let limits = HeadLimits::default();
    let request = Request::from_parts(
        b"GET",
        target.as_bytes(),
        host.into_iter().chain(named),
        Version::Http11,
        &limits,
    );
    let Ok(mut request) = request else { return };
    assert!(!hmac::verify(
        &request.headers,
        None,
        b"a secret that nobody knows"
    ));
    let extractors = Extractors::new(ExtractSpec::default());
    // Each is taken away, and the next is found: there are only so many places.
    for turn in 0..64 {
        let shown = Shown {
            request: &request,
            params: &[],
        };
        let Some((credential, found)) = extractors.find(&shown) else {
            return;
        };
        assert!(turn < 40, "{credential:?} at {found:?} stays");
        if let Proof::Bearer(token) = &credential.proof {
            assert!(token.contains(&*credential.client_id));
        }
        for text in extractors.texts(found, &shown) {
            assert!(text.len() <= target.len() || !text.is_empty());
        }
        extractors.wipe(found, &mut request, &mut None);
    }
    for (_, field) in &fields {
        if let Some(left) = without_cookie(field, "a") {
            assert_eq!(cookie(&left, "a"), None);
        }
    }
});
