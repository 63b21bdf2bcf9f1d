//! Invariant: what is read as a structured field is written in one form, and that form reads and writes
//! as itself. Verifying a signature never panics, whatever its headers hold.

#![no_main]

use libfuzzer_sys::fuzz_target;
use oto_core::http1::Headers;
use oto_core::signature::message::{ALGORITHMS, Message, Policy, verify};
use oto_core::signature::structured::{dictionary, item, list, write_dictionary, write_list};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(members) = dictionary(bytes) {
        let written = write_dictionary(&members);
        let again = dictionary(written.as_bytes()).expect("what is written can be read");
        assert_eq!(again, members);
        assert_eq!(write_dictionary(&again), written);
    }
    if let Ok(members) = list(bytes) {
        let written = write_list(&members);
        assert_eq!(
            list(written.as_bytes()).expect("what is written can be read"),
            members
        );
    }
    let _ = item(bytes);
    let mut headers = Headers::default();
    headers.add(b"Signature-Input", bytes);
    headers.add(b"Signature", b"a=:AA==:, b=:AA==:");
    headers.add(b"X-Other", bytes);
    let message = Message {
        method: "GET",
        scheme: "https",
        authority: "a",
        path: "/",
        query: Some("a=b&c"),
        headers: &headers,
        response: None,
    };
    let policy = Policy {
        required: Vec::new(),
        allowed: ALGORITHMS.to_vec(),
        require_keyid: false,
        max_age_s: None,
        skew_s: 30,
        label: None,
        mandatory: true,
    };
    assert!(
        verify(&message, &policy, &[], 0).is_err(),
        "no key, no signature"
    );
});
