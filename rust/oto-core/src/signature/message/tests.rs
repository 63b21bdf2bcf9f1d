//! The examples of RFC 9421, sections 2 and appendix B, and everything that must not verify.

use super::*;
use crate::jose::{Algorithms, SigningKey, VerifyingKey};
use crate::signature::structured::{Member, dictionary};

const SECRET: &str =
    "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";
const TEST_KEY_RSA_PSS: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr4tmm3r20Wd/PbqvP1s2
+QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct+Lh1GH45x28Rw3Ry53mm+
oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHq
gDsznjPFmTOtCEcN2Z1FpWgchwuYLPL+Wokqltd11nqqzi+bJ9cvSKADYdUAAN5W
Utzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4
aOT9v6d+nb4bnNkQVklLQ3fVAvJm+xdDOp9LCNCN48V2pnDOkFV6+U9nV5oyc6XI
2wIDAQAB
-----END PUBLIC KEY-----";
const TEST_KEY_RSA: &str = "-----BEGIN RSA PUBLIC KEY-----
MIIBCgKCAQEAhAKYdtoeoy8zcAcR874L8cnZxKzAGwd7v36APp7Pv6Q2jdsPBRrw
WEBnez6d0UDKDwGbc6nxfEXAy5mbhgajzrw3MOEt8uA5txSKobBpKDeBLOsdJKFq
MGmXCQvEG7YemcxDTRPxAleIAgYYRjTSd/QBwVW9OwNFhekro3RtlinV0a75jfZg
kne/YiktSvLG34lw2zqXBDTC5NHROUqGTlML4PlNZS5Ri2U4aCNx2rUPRcKIlE0P
uKxI4T+HIaFpv8+rdV6eUgOrB2xeI1dSFFn/nnv5OoZJEIB+VmuKn3DCUcCZSFlQ
PSXSfBDiUGhwOw76WuSSsf1D4b/vLoJ10wIDAQAB
-----END RSA PUBLIC KEY-----";
const TEST_KEY_ECC_P256: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf
w0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==
-----END PUBLIC KEY-----";
const TEST_KEY_ED25519: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----";

/// Appendix B.2: `Signature-Input` and `Signature`.
const EXAMPLES: [(&str, &str); 6] = [
    (
        r#"sig-b21=();created=1618884473;keyid="test-key-rsa-pss";nonce="b3k2pp5k7z-50gnwp.yemd""#,
        "sig-b21=:d2pmTvmbncD3xQm8E9ZV2828BjQWGgiwAaw5bAkgibUopemLJcWDy/lkbbHAve4cRAtx31Iq786U7it++wgGxbtRxf8Udx7zFZsckzXaJMkA7ChG52eSkFxykJeNqsrWH5S+oxNFlD4dzVuwe8DhTSja8xxbR/Z2cOGdCbzR72rgFWhzx2VjBqJzsPLMIQKhO4DGezXehhWwE56YCE+O6c0mKZsfxVrogUvA4HELjVKWmAvtl6UnCh8jYzuVG5WSb/QEVPnP5TmcAnLH1g+s++v6d4s8m0gCw1fV5/SITLq9mhho8K3+7EPYTU8IU1bLhdxO5Nyt8C8ssinQ98Xw9Q==:",
    ),
    (
        r#"sig-b22=("@authority" "content-digest");created=1618884473;keyid="test-key-rsa-pss""#,
        "sig-b22=:Fee1uy9YGZq5UUwwYU6vz4dZNvfw3GYrFl1L6YlVIyUMuWswWDNSvql4dVtSeidYjYZUm7SBCENIb5KYy2ByoC3bI+7gydd2i4OAT5lyDtmeapnAa8uP/b9xUpg+VSPElbBs6JWBIQsd+nMdHDe+ls/IwVMwXktC37SqsnbNyhNp6kcvcWpevjzFcD2VqdZleUz4jN7P+W5A3wHiMGfIjIWn36KXNB+RKyrlGnIS8yaBBrom5rcZWLrLbtg6VlrH1+/07RV+kgTh/l10h8qgpl9zQHu7mWbDKTq0tJ8K4ywcPoC4s2I4rU88jzDKDGdTTQFZoTVZxZmuTM1FvHfzIw==:",
    ),
    (
        r#"sig-b23=("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-rsa-pss""#,
        "sig-b23=:bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFkeGt683+qRpRRU5p2voTp768ZrCUb38K0fUxN0O0iC59DzYx8DFll5GmydPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH1pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/CCoC1xMy7JA1ipwvKvfrs65ldmlu9bpG6A9BmzhuzF8Eim5f8ui9eH8LZH896+QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZAFL2FUo5fTIztsDZKEgM4cUA==:",
    ),
    (
        r#"sig-b24=("@status" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-ecc-p256""#,
        "sig-b24=:wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==:",
    ),
    (
        r#"sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#,
        "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:",
    ),
    (
        r#"sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519""#,
        "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:",
    ),
];

fn fields(pairs: &[(&str, &str)]) -> Headers {
    let mut headers = Headers::default();
    for (name, value) in pairs {
        headers.add(name.as_bytes(), value.as_bytes());
    }
    headers
}

fn request() -> Headers {
    fields(&[
        ("Host", "example.com"),
        ("Date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("Content-Type", "application/json"),
        (
            "Content-Digest",
            "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:",
        ),
        ("Content-Length", "18"),
    ])
}

fn response() -> Headers {
    fields(&[
        ("Date", "Tue, 20 Apr 2021 02:07:56 GMT"),
        ("Content-Type", "application/json"),
        (
            "Content-Digest",
            "sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:",
        ),
        ("Content-Length", "23"),
    ])
}

fn message<'a>(headers: &'a Headers, response: Option<&'a Headers>) -> Message<'a> {
    Message {
        method: "POST",
        scheme: "https",
        authority: "example.com",
        path: "/foo",
        query: Some("param=Value&Pet=dog"),
        headers,
        response: response.map(|headers| (200, headers)),
    }
}

fn key(keyid: &str, key: VerifyingKey) -> Key {
    Key {
        keyid: Some(keyid.to_owned()),
        algorithm: None,
        key: key.into(),
    }
}

fn keys() -> Vec<Key> {
    use base64::Engine as _;
    let secret = base64::engine::general_purpose::STANDARD
        .decode(SECRET)
        .expect("base64");
    let pem = |text| VerifyingKey::from_pem(text, Algorithms::ALL).expect("a key");
    vec![
        key(
            "test-shared-secret",
            VerifyingKey::from_secret(&secret, Algorithms::ALL).expect("a secret"),
        ),
        key("test-key-rsa-pss", pem(TEST_KEY_RSA_PSS)),
        key("test-key-rsa", pem(TEST_KEY_RSA)),
        key("test-key-ecc-p256", pem(TEST_KEY_ECC_P256)),
        key("test-key-ed25519", pem(TEST_KEY_ED25519)),
    ]
}

fn policy() -> Policy {
    Policy {
        required: Vec::new(),
        allowed: ALGORITHMS.to_vec(),
        require_keyid: true,
        max_age_s: Some(300),
        skew_s: 30,
        label: None,
        mandatory: true,
    }
}

const CREATED: i64 = 1_618_884_473;

fn judged(
    input: &str,
    signature: &str,
    policy: &Policy,
    unix_s: i64,
    change: &dyn Fn(&mut Headers),
) -> Result<Option<Verified>, Rejection> {
    let is_response = input.contains("@status");
    let mut request = request();
    let mut response = response();
    let signed = if is_response {
        &mut response
    } else {
        &mut request
    };
    signed.add(b"Signature-Input", input.as_bytes());
    signed.add(b"Signature", signature.as_bytes());
    change(signed);
    let message = message(&request, is_response.then_some(&response));
    verify(&message, policy, &keys(), unix_s)
}

#[test]
fn the_examples_of_the_appendix_hold() {
    for (at, (input, signature)) in EXAMPLES.iter().enumerate() {
        let verified = judged(input, signature, &policy(), CREATED + 5, &|_| {});
        let verified = verified.unwrap_or_else(|error| panic!("B.2.{}: {error:?}", at + 1));
        let verified = verified.expect("a signature");
        assert_eq!(verified.label, format!("sig-b2{}", at + 1));
        assert_eq!(verified.covers_digest, input.contains("content-digest"));
    }
}

#[test]
fn whatever_is_changed_on_the_way_is_noticed() {
    let (input, signature) = EXAMPLES[2];
    for name in ["date", "content-type", "content-digest", "content-length"] {
        let changed = judged(input, signature, &policy(), CREATED, &|headers| {
            headers.set(name.as_bytes(), b"other");
        });
        assert_eq!(
            details(changed),
            "no matching key verified signature",
            "{name}"
        );
        let gone = judged(input, signature, &policy(), CREATED, &|headers| {
            headers.remove(name.as_bytes());
        });
        assert!(details(gone).contains("no such field"), "{name}");
    }
    let mut headers = request();
    headers.add(b"Signature-Input", input.as_bytes());
    headers.add(b"Signature", signature.as_bytes());
    let good = message(&headers, None);
    assert!(verify(&good, &policy(), &keys(), CREATED).is_ok());
    for changed in [
        Message {
            method: "PUT",
            ..good
        },
        Message {
            path: "/bar",
            ..good
        },
        Message {
            authority: "example.com:8443",
            ..good
        },
        Message {
            query: None,
            ..good
        },
        Message {
            query: Some("param=Value&Pet=cat"),
            ..good
        },
    ] {
        assert!(
            verify(&changed, &policy(), &keys(), CREATED).is_err(),
            "{changed:?}"
        );
    }
}

fn details(outcome: Result<Option<Verified>, Rejection>) -> String {
    outcome.expect_err("refused").details
}

fn made(parameters: &str) -> (String, String) {
    use base64::Engine as _;
    let input = format!("a=(\"@method\"){parameters}");
    let Ok(members) = dictionary(input.as_bytes()) else {
        panic!("{input}");
    };
    let [(_, Member::Inner(covered))] = &members[..] else {
        panic!("{input}");
    };
    let headers = request();
    let text = base(&message(&headers, None), covered).expect("a base");
    let secret = base64::engine::general_purpose::STANDARD
        .decode(SECRET)
        .expect("base64");
    let key = SigningKey::from_secret(&secret, jose::Algorithm::Hs256).expect("a secret");
    let signature = key.sign_bytes(&text).expect("signed");
    let signature = base64::engine::general_purpose::STANDARD.encode(signature);
    (input, format!("a=:{signature}:"))
}

fn outcome(parameters: &str, policy: &Policy, unix_s: i64) -> Result<(), String> {
    let (input, signature) = made(parameters);
    judged(&input, &signature, policy, unix_s, &|_| {})
        .map(|_| ())
        .map_err(|rejection| rejection.details)
}

#[test]
fn every_parameter_is_checked() {
    const ID: &str = ";keyid=\"test-shared-secret\"";
    let at = |parameters: &str, unix_s| outcome(&format!("{parameters}{ID}"), &policy(), unix_s);
    assert_eq!(at(";created=1000", 1000), Ok(()));
    assert_eq!(at(";created=1000", 1330), Ok(()), "the skew");
    assert_eq!(at(";created=1000", 970), Ok(()), "the skew");
    assert_eq!(at(";created=1000;expires=1010", 1040), Ok(()), "the skew");
    assert_eq!(
        at(
            ";created=1000;nonce=\"n\";tag=\"t\";alg=\"hmac-sha256\"",
            1000
        ),
        Ok(())
    );
    for (parameters, unix_s, word) in [
        (";created=1000", 1331, "is older than 300 seconds"),
        (";created=1000", 969, "created in the future"),
        (";created=1000;expires=1010", 1041, "has expired"),
        ("", 1000, "has no created"),
        (";created=\"1000\"", 1000, "has a created that is none"),
        (";created=1000.0", 1000, "has a created that is none"),
        (
            ";created=1000;expires=?1",
            1000,
            "has a expires that is none",
        ),
        (";created=1000;nonce=1", 1000, "has a nonce that is none"),
        (";created=1000;tag=x", 1000, "has a tag that is none"),
        (
            ";created=1000;alg=\"none\"",
            1000,
            "uses disallowed algorithm 'none'",
        ),
        (
            ";created=1000;alg=\"ed25519\"",
            1000,
            "no matching key verified signature",
        ),
    ] {
        let problem = at(parameters, unix_s).expect_err(parameters);
        assert!(problem.contains(word), "{parameters}: {problem}");
    }
    let problem = outcome(";created=1000", &policy(), 1000).expect_err("no keyid");
    assert!(problem.contains("has no keyid"));
    let problem = outcome(";created=1000;keyid=\"x\"", &policy(), 1000).expect_err("no key");
    assert_eq!(problem, "no key configured for keyid 'x'");
    let problem = outcome(";created=1000;keyid=\"test-key-rsa\"", &policy(), 1000);
    assert_eq!(
        problem,
        Err("no matching key verified signature".to_owned())
    );
}

#[test]
fn a_policy_says_what_must_be_covered_and_by_what() {
    const GOOD: &str = ";created=1000;keyid=\"test-shared-secret\"";
    let required = |text: &str| {
        let item = component_item(text).expect(text);
        Policy {
            required: vec![Component::read(&item).expect(text)],
            ..policy()
        }
    };
    assert_eq!(outcome(GOOD, &required("@method"), 1000), Ok(()));
    let problem = outcome(GOOD, &required("@path"), 1000).expect_err("not covered");
    assert!(problem.contains("does not cover required components"));
    let only_ed = Policy {
        allowed: Algorithm::named("ed25519").into_iter().collect(),
        ..policy()
    };
    assert!(outcome(GOOD, &only_ed, 1000).is_err());
    let other = Policy {
        label: Some("b".to_owned()),
        ..policy()
    };
    assert_eq!(
        outcome(GOOD, &other, 1000),
        Err("no signature with label 'b'".to_owned())
    );
    let ageless = Policy {
        max_age_s: None,
        ..policy()
    };
    assert_eq!(
        outcome(";keyid=\"test-shared-secret\"", &ageless, 1000),
        Ok(())
    );
}

#[test]
fn headers_that_are_none_are_told_apart_from_signatures_that_do_not_hold() {
    let (input, signature) = made(";created=1000;keyid=\"test-shared-secret\"");
    let judge = |input: &str, signature: &str| {
        judged(input, signature, &policy(), 1000, &|_| {}).expect_err(input)
    };
    for (input, signature) in [
        ("a=(\"@method\"", &*signature),
        ("a=1", &*signature),
        (&*input, "a=1"),
        (&*input, "a=:*:"),
        (&*input, "a=(:AA:)"),
    ] {
        let rejection = judge(input, signature);
        assert_eq!(rejection.status, 400);
        assert!(
            rejection
                .details
                .starts_with("malformed signature headers: ")
        );
    }
    let rejection = judge(&input, "b=:AA==:");
    assert_eq!(rejection.status, 401);
    assert_eq!(rejection.details, "signature dict is missing label 'a'");
    for covered in [
        "(\"@method\" \"@method\")",
        "(\"@nothing\")",
        "(\"Date\")",
        "(\"@method\";sf)",
        "(\"@status\")",
        "(\"date\";req)",
        "(\"date\";tr)",
        "(\"@query-param\")",
        "(\"date\";name=\"a\")",
        "(date)",
        "(\"date\";bs;sf)",
        "(\"x-absent\")",
        "(\"@query-param\";name=\"absent\")",
        "(\"date\";key=\"a\")",
    ] {
        let input = format!("a={covered};created=1000;keyid=\"test-shared-secret\"");
        assert_eq!(judge(&input, &signature).status, 401, "{covered}");
    }
    let many = (0..17).map(|at| format!("a{at}=()"));
    let rejection = judge(&many.collect::<Vec<_>>().join(", "), &signature);
    assert!(rejection.details.contains("more than 16"));
}

#[test]
fn a_message_without_a_signature_passes_unless_it_must_have_one() {
    let headers = request();
    let bare = message(&headers, None);
    let lax = Policy {
        mandatory: false,
        ..policy()
    };
    assert_eq!(verify(&bare, &lax, &keys(), 1000), Ok(None));
    let rejection = verify(&bare, &policy(), &keys(), 1000).expect_err("none");
    assert_eq!(
        rejection.details,
        "missing Signature-Input or Signature header"
    );
    assert_eq!(rejection.body()["error"], "invalid_http_signature");
}

#[test]
fn a_list_without_end_is_refused_before_it_is_worked_through() {
    let keys: String = (0..65).map(|at| format!("k{at}=1, ")).collect();
    let listed: String = (0..65).map(|at| format!("\"x\";key=\"k{at}\" ")).collect();
    let input = format!(
        "a=({});created={CREATED};keyid=\"test-key-rsa\"",
        listed.trim()
    );
    let refused = judged(&input, "a=:AA==:", &policy(), CREATED, &|headers| {
        headers.add(b"X", keys.trim_end_matches(", ").as_bytes());
    });
    assert_eq!(
        details(refused),
        "signature 'a' covers more than 64 components"
    );
}

fn line(message: &Message<'_>, identifier: &str) -> String {
    let field = format!("a=({identifier})");
    let members = dictionary(field.as_bytes()).expect(identifier);
    let [(_, Member::Inner(covered))] = &members[..] else {
        panic!("{identifier}");
    };
    let text = base(message, covered).expect(identifier);
    let text = String::from_utf8(text).expect("text");
    text.lines().next().expect("a line").to_owned()
}

#[test]
fn the_examples_of_section_2_are_written_as_there() {
    let headers = fields(&[
        ("Host", "www.example.com"),
        ("X-OWS-Header", "   Leading and trailing whitespace.   "),
        ("Cache-Control", "max-age=60"),
        ("Cache-Control", "    must-revalidate"),
        ("Example-Dict", "  a=1,    b=2;x=1;y=2,   c=(a   b   c)"),
        ("Example-Header", "value, with, lots"),
        ("Example-Header", "of, commas"),
        ("X-Empty", ""),
    ]);
    let query = "param=value&foo=bar&baz=batman&qux=&bar=with+plus+whitespace&var=this%20is%20a%20big%0Amultiline%20value&fa%C3%A7ade%22%3A%20=something";
    let message = Message {
        method: "POST",
        scheme: "https",
        authority: "WWW.example.com:443",
        path: "/path",
        query: Some(query),
        headers: &headers,
        response: None,
    };
    for expected in [
        r#""@method": POST"#,
        r#""@authority": www.example.com"#,
        r#""@scheme": https"#,
        r#""@path": /path"#,
        r#""x-ows-header": Leading and trailing whitespace."#,
        r#""cache-control": max-age=60, must-revalidate"#,
        r#""example-dict": a=1,    b=2;x=1;y=2,   c=(a   b   c)"#,
        r#""example-dict";sf: a=1, b=2;x=1;y=2, c=(a b c)"#,
        r#""example-dict";key="a": 1"#,
        r#""example-dict";key="b": 2;x=1;y=2"#,
        r#""example-dict";key="c": (a b c)"#,
        r#""example-header": value, with, lots, of, commas"#,
        r#""example-header";bs: :dmFsdWUsIHdpdGgsIGxvdHM=:, :b2YsIGNvbW1hcw==:"#,
        r#""x-empty": "#,
        r#""@query-param";name="baz": batman"#,
        r#""@query-param";name="qux": "#,
        r#""@query-param";name="param": value"#,
        r#""@query-param";name="var": this%20is%20a%20big%0Amultiline%20value"#,
        r#""@query-param";name="bar": with%20plus%20whitespace"#,
        r#""@query-param";name="fa%C3%A7ade%22%3A%20": something"#,
    ] {
        let (identifier, _) = expected.split_once(": ").expect("a line");
        assert_eq!(line(&message, identifier), expected);
    }
    let whole = line(&message, r#""@target-uri""#);
    assert_eq!(
        whole,
        format!("\"@target-uri\": https://www.example.com/path?{query}")
    );
    let bare = Message {
        query: None,
        ..message
    };
    assert_eq!(line(&bare, r#""@query""#), r#""@query": ?"#);
    assert_eq!(
        line(&bare, r#""@request-target""#),
        r#""@request-target": /path"#
    );
    let status = Message {
        response: Some((200, &headers)),
        ..message
    };
    assert_eq!(line(&status, r#""@status""#), r#""@status": 200"#);
    assert_eq!(line(&status, r#""@method";req"#), r#""@method";req: POST"#);
}
