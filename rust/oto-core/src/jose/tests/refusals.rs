//! One test for each way in which a token is refused.

use regex::Regex;
use serde_json::{Map, Value, json};

use crate::jose::{
    Algorithm, Algorithms, JoseError, MAX_TOKEN_BYTES, Rules, SigningKey, Verifier, VerifyingKey,
    encoding, jwk,
};

const NOW_S: f64 = 1_700_000_000.0;

fn signed(header: &Value, claims: &Value) -> String {
    let key = SigningKey::from_secret(b"secret", Algorithm::Hs256).expect("a key");
    let text = format!(
        "{}.{}",
        encoding::encode(header.to_string().as_bytes()),
        encoding::encode(claims.to_string().as_bytes())
    );
    let signature = key.sign_bytes(text.as_bytes()).expect("signed");
    format!("{text}.{}", encoding::encode(&signature))
}

fn hs256() -> Value {
    json!({"alg": "HS256"})
}

fn verify_as(verifier: &Verifier, token: &str) -> Result<Value, JoseError> {
    let key = VerifyingKey::from_secret(b"secret", Algorithms::ALL).expect("a key");
    let verified = verifier.verify(token, &key, NOW_S)?;
    Ok((*verified.claims).clone())
}

fn verify(token: &str, rules: Rules) -> Result<Value, JoseError> {
    let algorithms = Algorithms::only(Algorithm::Hs256);
    verify_as(&Verifier { algorithms, rules }, token)
}

#[test]
fn a_good_token_is_accepted() {
    let claims = json!({"sub": "jo", "exp": NOW_S + 60.0, "nbf": NOW_S, "iat": NOW_S});
    let verified = verify(&signed(&hs256(), &claims), Rules::default());
    assert_eq!(verified, Ok(claims));
}

#[test]
fn headers_that_are_refused() {
    let claims = json!({});
    let cases = [
        (json!({}), JoseError::UnknownAlgorithm),
        (json!({"alg": "none"}), JoseError::UnknownAlgorithm),
        (json!({"alg": "None"}), JoseError::UnknownAlgorithm),
        (json!({"alg": "hs256"}), JoseError::UnknownAlgorithm),
        (json!({"alg": 7}), JoseError::UnknownAlgorithm),
        (json!({"alg": ["HS256"]}), JoseError::UnknownAlgorithm),
        (
            json!({"alg": "HS512"}),
            JoseError::AlgorithmNotAllowed(Algorithm::Hs512),
        ),
        (
            json!({"alg": "RS256"}),
            JoseError::AlgorithmNotAllowed(Algorithm::Rs256),
        ),
        (
            json!({"alg": "HS256", "crit": ["exp"]}),
            JoseError::Critical,
        ),
        (json!({"alg": "HS256", "crit": []}), JoseError::Critical),
        (json!({"alg": "HS256", "b64": false}), JoseError::Critical),
        (json!({"alg": "HS256", "b64": true}), JoseError::Critical),
    ];
    for (header, expected) in cases {
        let token = signed(&header, &claims);
        assert_eq!(verify(&token, Rules::default()), Err(expected), "{header}");
    }
    for name in ["kid", "typ", "cty"] {
        let token = signed(&json!({"alg": "HS256", name: 1}), &claims);
        let refused = verify(&token, Rules::default());
        assert!(matches!(refused, Err(JoseError::Malformed(_))), "{name}");
    }
}

#[test]
fn shapes_that_are_refused() {
    let good = signed(&hs256(), &json!({}));
    let parts: Vec<&str> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    let twice = encoding::encode(br#"{"alg":"HS256","alg":"HS256"}"#);
    let cases = [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        format!("{header}.{payload}"),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{signature}.{signature}"),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}.{signature}="),
        format!(" {good}"),
        format!("{good} "),
        format!("{good}\n"),
        format!("{twice}.{payload}.{signature}"),
        format!("{}.{payload}.{signature}", encoding::encode(b"[]")),
        format!("{}.{payload}.{signature}", encoding::encode(b"\xff")),
        format!("{header}.{payload}.{}", "A".repeat(1400)),
    ];
    for token in cases {
        let refused = verify(&token, Rules::default());
        assert!(
            matches!(refused, Err(JoseError::Malformed(_))),
            "{token:?}: {refused:?}"
        );
    }
    let long = format!("{header}.{}.{signature}", "A".repeat(MAX_TOKEN_BYTES));
    assert_eq!(verify(&long, Rules::default()), Err(JoseError::TooLong));
}

#[test]
fn every_changed_byte_is_noticed() {
    let good = signed(&hs256(), &json!({"sub": "jo", "admin": false}));
    for at in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).expect("ASCII");
        assert!(verify(&changed, Rules::default()).is_err(), "byte {at}");
        assert!(
            verify(&good[..at], Rules::default()).is_err(),
            "cut at {at}"
        );
    }
}

#[test]
fn payloads_that_are_refused() {
    let key = SigningKey::from_secret(b"secret", Algorithm::Hs256).expect("a key");
    let Value::Object(header) = hs256() else {
        unreachable!()
    };
    for payload in [
        &br#"{"a":1,"a":2}"#[..],
        br#"{"a":{"b":1,"b":2}}"#,
        b"[]",
        b"null",
        b"\"text\"",
        b"{",
        b"{} {}",
        b"\xff\xfe",
        b"",
    ] {
        let token = key.sign_payload(&header, payload).expect("signed");
        let refused = verify(&token, Rules::default());
        assert!(
            matches!(refused, Err(JoseError::Malformed(_))),
            "{payload:?}"
        );
    }
}

#[test]
fn times_are_held_to_the_second_with_the_leeway() {
    let cases = [
        (json!({"exp": NOW_S - 9.0}), None),
        (json!({"exp": NOW_S - 10.0}), Some(JoseError::Expired)),
        (json!({"exp": 0}), Some(JoseError::Expired)),
        (json!({"exp": -1}), Some(JoseError::Expired)),
        (json!({"nbf": NOW_S + 10.0}), None),
        (json!({"nbf": NOW_S + 11.0}), Some(JoseError::NotYetValid)),
        (json!({"iat": NOW_S + 10.0}), None),
        (
            json!({"iat": NOW_S + 11.0}),
            Some(JoseError::IssuedInFuture),
        ),
        (
            json!({"exp": "soon"}),
            Some(JoseError::BadClaim("exp".into())),
        ),
        (
            json!({"nbf": true}),
            Some(JoseError::BadClaim("nbf".into())),
        ),
        (json!({"iat": [1]}), Some(JoseError::BadClaim("iat".into()))),
    ];
    for (claims, expected) in cases {
        let result = verify(&signed(&hs256(), &claims), Rules::default());
        assert_eq!(result.err(), expected, "{claims}");
    }
}

#[test]
fn claims_are_held_to_the_rules() {
    let rules = || Rules {
        leeway_s: 0.0,
        required: vec!["sub".into()],
        issuers: vec!["a".into(), "b".into()],
        audiences: vec!["me".into()],
        max_age_s: Some(60.0),
        patterns: vec![("tier".into(), Regex::new("^(?:gold|1)$").expect("valid"))],
    };
    let good = json!({"sub": "jo", "iss": "b", "aud": ["x", "me"], "iat": NOW_S - 60.0, "tier": 1});
    assert!(verify(&signed(&hs256(), &good), rules()).is_ok());
    let missing = |name: &str| JoseError::MissingClaim(name.into());
    let bad = |name: &str| JoseError::BadClaim(name.into());
    let cases = [
        ("sub", None, missing("sub")),
        ("sub", Some(Value::Null), missing("sub")),
        ("iss", None, missing("iss")),
        ("iss", Some(json!("c")), bad("iss")),
        ("iss", Some(json!(["a"])), bad("iss")),
        ("aud", None, missing("aud")),
        ("aud", Some(json!("you")), bad("aud")),
        ("aud", Some(json!([])), bad("aud")),
        ("aud", Some(json!([["me"]])), bad("aud")),
        ("iat", None, missing("iat")),
        ("iat", Some(json!(NOW_S - 61.0)), JoseError::TooOld),
        ("tier", None, missing("tier")),
        ("tier", Some(json!("silver")), bad("tier")),
        ("tier", Some(json!("golden")), bad("tier")),
        ("tier", Some(json!(["gold"])), bad("tier")),
    ];
    for (name, value, expected) in cases {
        let mut claims = good.clone();
        match value {
            Some(value) => claims[name] = value,
            None => {
                claims.as_object_mut().expect("an object").remove(name);
            }
        }
        let result = verify(&signed(&hs256(), &claims), rules());
        assert_eq!(result.err(), Some(expected), "{name}");
    }
}

#[test]
fn another_secret_and_a_missing_signature_are_refused() {
    let token = signed(&hs256(), &json!({}));
    let algorithms = Algorithms::only(Algorithm::Hs256);
    let verifier = Verifier {
        algorithms,
        rules: Rules::default(),
    };
    let other = VerifyingKey::from_secret(b"Secret", algorithms).expect("a key");
    let refused = verifier.verify(&token, &other, NOW_S).err();
    assert_eq!(refused, Some(JoseError::BadSignature));
    let (unsigned, _) = token.rsplit_once('.').expect("three parts");
    let refused = verify(&format!("{unsigned}."), Rules::default());
    assert_eq!(refused, Err(JoseError::BadSignature));
}

#[test]
fn a_public_key_is_never_a_secret() {
    let pem = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
        -----END PUBLIC KEY-----\n";
    let key = VerifyingKey::from_pem(pem, Algorithms::ALL).expect("a key");
    assert_eq!(key.algorithms(), Algorithms::only(Algorithm::EdDsa));
    let forger = SigningKey::from_secret(pem.as_bytes(), Algorithm::Hs256).expect("a key");
    let token = forger.sign(&Map::new(), &Map::new()).expect("signed");
    let verifier = Verifier {
        algorithms: Algorithms::ALL,
        rules: Rules::default(),
    };
    let refused = verifier.verify(&token, &key, NOW_S).err();
    assert_eq!(refused, Some(JoseError::KeyMismatch(Algorithm::Hs256)));
    assert!(VerifyingKey::from_pem(pem, Algorithms::only(Algorithm::Hs256)).is_err());
    assert!(SigningKey::from_pem(pem, Algorithm::EdDsa).is_err());
}

#[test]
fn public_numbers_that_make_no_safe_key_are_refused() {
    let n = encoding::encode(&[0xc5; 256]);
    let b = |byte: u8| encoding::encode(&[byte; 32]);
    for key in [
        // With the exponent 1 every signature is its own message; an even one is none.
        json!({"kty": "RSA", "n": n, "e": "AQ"}),
        json!({"kty": "RSA", "n": n, "e": "Ag"}),
        json!({"kty": "RSA", "n": n, "e": ""}),
        json!({"kty": "RSA", "n": n, "e": encoding::encode(&[0xc5; 64])}),
        json!({"kty": "RSA", "n": encoding::encode(&[0xc5; 128]), "e": "AQAB"}),
        json!({"kty": "RSA", "n": encoding::encode(&[0xc5; 1025]), "e": "AQAB"}),
        json!({"kty": "EC", "crv": "P-256", "x": b(1), "y": b(1)}),
        json!({"kty": "EC", "crv": "P-256", "x": b(0), "y": b(0)}),
        json!({"kty": "EC", "crv": "P-256", "x": b(255), "y": b(255)}),
        json!({"kty": "EC", "crv": "P-384", "x": b(1), "y": b(1)}),
        json!({"kty": "oct", "k": ""}),
    ] {
        let Value::Object(members) = &key else {
            unreachable!()
        };
        assert!(
            jwk::verifying_key(members, Algorithms::ALL).is_err(),
            "{key}"
        );
    }
}
