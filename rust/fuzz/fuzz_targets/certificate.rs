//! Invariant: no certificate that a client shows, however odd, brings a panic where it is read; what is read of one is
//! read again from what was kept of it, and can be told to a backend.

#![no_main]

use libfuzzer_sys::fuzz_target;
use oto_core::tls::{ClientCertificate, chain_json, issuer_of, normalised};

fuzz_target!(|der: &[u8]| {
    let Some(read) = ClientCertificate::read(vec![der.to_vec()], false) else {
        assert_eq!(issuer_of(der), None);
        return;
    };
    assert!(issuer_of(der).is_some());
    assert_eq!(read.certificates(), [read.clone()]);
    assert!(chain_json(&read).is_array());
    assert_eq!(
        normalised(&read.subject).is_empty(),
        read.subject.is_empty()
    );
});
