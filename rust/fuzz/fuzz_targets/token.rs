//! Invariant: no text, however odd, brings a panic where tokens, keys and key sets are read; and what is
//! accepted as a token has exactly one spelling: taken apart and put together it is the same text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use oto_core::jose::{
    Algorithms, Jws, KeySet, Private, Public, Rules, Verifier, VerifyingKey, encoding,
};

fuzz_target!(|text: &str| {
    let Ok(key) = VerifyingKey::from_secret(b"secret", Algorithms::ALL) else {
        return;
    };
    let verifier = Verifier {
        algorithms: Algorithms::ALL,
        rules: Rules::default(),
    };
    if let Ok(verified) = verifier.verify(text, &key, 0.0) {
        assert!(verified.claims.is_object());
    }
    if let Ok(jws) = Jws::parse(text) {
        let again: Vec<String> = text
            .split('.')
            .take(1)
            .map(|part| encoding::encode(&encoding::decode(part, "").unwrap_or_default()))
            .collect();
        assert!(text.starts_with(&again[0]));
        assert_ne!(
            jws.header().members.get("alg").and_then(|alg| alg.as_str()),
            Some("none")
        );
        let _ = jws.unverified_claims();
    }
    let _ = KeySet::parse(text.as_bytes());
    let _ = Public::read(text, "publicKey");
    let _ = Private::read(text, "privateKey");
});
