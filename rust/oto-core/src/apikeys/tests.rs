//! Credentials found in requests, taken away from them, and checked.

use serde_json::{Map, Value, json};

use super::*;
use crate::http1::{HeadLimits, Request, Version};
use crate::jose::{Algorithm, SigningKey};
use crate::plan::Table;
use crate::tls::Certificates;

const NOW_S: f64 = 1_700_000_000.0;

fn request(target: &str, fields: &[(&str, &str)]) -> Request {
    let mut all: Vec<(&[u8], &[u8])> = vec![(b"host", b"api.test:8080")];
    all.extend(fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())));
    let limits = HeadLimits::default();
    let (target, all) = (target.as_bytes(), all.into_iter());
    Request::from_parts(b"GET", target, all, Version::Http11, &limits).expect("valid")
}

fn extractors(json: &Value) -> Extractors {
    Extractors::new(serde_json::from_value(json.clone()).expect("a spec"))
}

fn basic(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn token(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
    let key = SigningKey::from_secret(secret.as_bytes(), algorithm).expect("a key");
    let claims = claims.as_object().expect("claims");
    key.sign(&Map::new(), claims).expect("signed")
}

fn params() -> Vec<(Box<str>, Box<str>)> {
    vec![
        ("apikey_simple_id".into(), "p%20id".into()),
        ("apikey_basic".into(), basic("p:s").into()),
        ("apikey_bearer".into(), "otoapk_p_00".into()),
        ("apikey_jwt".into(), jwt("p").into()),
    ]
}

fn jwt(client_id: &str) -> String {
    token(Algorithm::Hs256, "s", &json!({"clientId": client_id}))
}

/// Extractor, target, fields and client id.
type Case = (
    &'static str,
    String,
    Vec<(&'static str, String)>,
    &'static str,
);

/// Each place of each extractor.
fn places() -> Vec<Case> {
    let token = jwt("c");
    let (pair, bearer) = (basic("c:s:t"), "otoapk_c_00".to_owned());
    vec![
        (
            "client_id",
            "/".into(),
            vec![("X-Api-Key", "c".into())],
            "c",
        ),
        ("client_id", "/?x-api-key=b&x-api-key=c".into(), vec![], "c"),
        (
            "client_id",
            "/".into(),
            vec![("Cookie", "a=1; x-api-key=c".into())],
            "c",
        ),
        (
            "custom_headers",
            "/".into(),
            vec![
                ("Otoroshi-Client-Id", "c".into()),
                ("Otoroshi-Client-Secret", "s".into()),
            ],
            "c",
        ),
        (
            "jwt",
            "/".into(),
            vec![("Otoroshi-Token", token.clone())],
            "c",
        ),
        (
            "jwt",
            "/".into(),
            vec![("Authorization", format!("Bearer {token}"))],
            "c",
        ),
        ("jwt", format!("/?a=1&bearer_auth={token}"), vec![], "c"),
        (
            "jwt",
            "/".into(),
            vec![("Cookie", format!("access_token={token}"))],
            "c",
        ),
        (
            "basic",
            "/".into(),
            vec![("Otoroshi-Authorization", pair.clone())],
            "c",
        ),
        (
            "basic",
            "/".into(),
            vec![("Otoroshi-Authorization", format!("Basic {pair}"))],
            "c",
        ),
        (
            "basic",
            "/".into(),
            vec![("Authorization", format!("Basic {pair}"))],
            "c",
        ),
        (
            "basic",
            format!("/?basic_auth={}", pair.replace('=', "%3D")),
            vec![],
            "c",
        ),
        (
            "basic",
            "/".into(),
            vec![("Cookie", format!("basic_auth={pair}"))],
            "c",
        ),
        (
            "oto_bearer",
            "/".into(),
            vec![("Otoroshi-Token", bearer.clone())],
            "c",
        ),
        (
            "oto_bearer",
            "/".into(),
            vec![("Authorization", format!("Bearer {bearer}"))],
            "c",
        ),
        ("oto_bearer", format!("/?bearer_auth={bearer}"), vec![], "c"),
        ("oto_bearer", format!("/?x-api-key={bearer}"), vec![], "c"),
        (
            "oto_bearer",
            "/".into(),
            vec![("X-Api-Key", bearer.clone())],
            "c",
        ),
        (
            "oto_bearer",
            "/".into(),
            vec![("Cookie", format!("bearer={bearer}"))],
            "c",
        ),
    ]
}

const KINDS: [&str; 5] = ["client_id", "custom_headers", "jwt", "basic", "oto_bearer"];

fn only(kind: &str) -> Value {
    let all = KINDS.map(|name| (name.to_owned(), json!({"enabled": name == kind})));
    Value::Object(all.into_iter().collect())
}

#[test]
fn every_place_is_looked_at_by_its_extractor_and_wiped() {
    for (kind, target, fields, client_id) in places() {
        let fields: Vec<_> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let mut request = request(&target, &fields);
        let shown = Shown {
            request: &request,
            params: &[],
        };
        let all = extractors(&json!({}));
        let (credential, found) = all.find(&shown).expect(kind);
        assert_eq!(
            credential.client_id, client_id,
            "{kind} {target} {fields:?}"
        );
        for name in KINDS.iter().filter(|name| **name != kind) {
            // `x-api-key` is looked at by two: a token there is an id to the one that knows no tokens.
            let one = extractors(&only(name)).find(&shown);
            let is_shared = kind == "oto_bearer" && *name == "client_id";
            assert!(
                one.is_none() || is_shared,
                "{name} took {target} {fields:?}"
            );
        }
        let mut edited = request.query().map(Into::into);
        all.wipe(found, &mut request, &mut edited);
        assert_eq!(
            edited.as_deref().unwrap_or(""),
            request.query().unwrap_or("")
        );
        let shown = Shown {
            request: &request,
            params: &[],
        };
        assert!(
            all.find(&shown).is_none(),
            "{kind} {target} {fields:?} is left"
        );
        assert_eq!(request.headers.find(b"host"), Some(&b"api.test:8080"[..]));
        if target.contains("a=1") {
            assert_eq!(request.query(), Some("a=1"));
        }
    }
}

#[test]
fn path_parameters_are_looked_at_and_stay() {
    for (kind, client_id) in [
        ("client_id", "p id"),
        ("basic", "p"),
        ("oto_bearer", "p"),
        ("jwt", "p"),
    ] {
        let mut request = request("/", &[]);
        let params = params();
        let shown = Shown {
            request: &request,
            params: &params,
        };
        let one = extractors(&only(kind));
        let (credential, found) = one.find(&shown).expect(kind);
        assert_eq!(credential.client_id, client_id);
        one.wipe(found, &mut request, &mut None);
        assert_eq!(request.path(), "/");
    }
}

#[test]
fn configured_names_take_the_place_of_the_usual_ones() {
    let spec = json!({
        "client_id": {"header_name": "X-Id", "query_name": "id", "cookie_name": "ck", "path_name": " "},
        "custom_headers": {"client_id_header_name": "A", "client_secret_header_name": "B"},
        "basic": {"cookie_name": "bc", "header_name": ""},
    });
    let all = extractors(&spec);
    for (target, fields, found) in [
        ("/", vec![("x-id", "c")], true),
        ("/?id=c", vec![], true),
        ("/", vec![("Cookie", "ck=c")], true),
        ("/", vec![("A", "c"), ("B", "s")], true),
        ("/", vec![("Cookie", "bc=YzpzOnQ")], true),
        ("/", vec![("Otoroshi-Authorization", "YzpzOnQ")], true),
        ("/", vec![("x-api-key", "c")], false),
        ("/?x-api-key=c", vec![], false),
        (
            "/",
            vec![("Otoroshi-Client-Id", "c"), ("Otoroshi-Client-Secret", "s")],
            false,
        ),
    ] {
        let request = request(target, &fields);
        let shown = Shown {
            request: &request,
            params: &[],
        };
        assert_eq!(all.find(&shown).is_some(), found, "{target} {fields:?}");
    }
    assert_eq!(all.usual_headers(), (false, false));
}

#[test]
fn the_first_in_otoroshis_order_wins() {
    let basic = format!("Basic {}", basic("by-basic:s"));
    let token = jwt("by-jwt");
    let mut fields = vec![
        ("X-Api-Key", "by-id"),
        ("Otoroshi-Client-Id", "by-headers"),
        ("Otoroshi-Client-Secret", "s"),
        ("Otoroshi-Token", &token),
        ("Authorization", &basic),
        ("Cookie", "bearer=otoapk_by-bearer_00"),
    ];
    for (wanted, gone) in [
        ("by-id", 1),
        ("by-headers", 2),
        ("by-jwt", 1),
        ("by-basic", 1),
        ("by-bearer", 1),
    ] {
        let request = request("/", &fields);
        let shown = Shown {
            request: &request,
            params: &[],
        };
        let (credential, _) = extractors(&json!({})).find(&shown).expect(wanted);
        assert_eq!(credential.client_id, wanted);
        fields.drain(..gone);
    }
}

#[test]
fn what_is_malformed_is_no_credential() {
    let bare = basic("nocolon");
    let nameless = basic(":s");
    let long = "c".repeat(20_000);
    for (target, fields) in [
        ("/", vec![("Authorization", "Basic !!!".to_owned())]),
        ("/", vec![("Authorization", format!("Basic {bare}"))]),
        ("/", vec![("Authorization", format!("Basic {nameless}"))]),
        ("/", vec![("Authorization", "Bearer a.b".to_owned())]),
        ("/", vec![("Authorization", "Bearer a.b.c".to_owned())]),
        ("/", vec![("Authorization", "Bearer a.b.c.d".to_owned())]),
        ("/", vec![("Authorization", "Bearer otoapk_c".to_owned())]),
        ("/", vec![("Authorization", "Bearer otoapk__00".to_owned())]),
        ("/", vec![("Authorization", "Digest x".to_owned())]),
        ("/", vec![("Otoroshi-Client-Id", "c".to_owned())]),
        ("/", vec![("Otoroshi-Client-Secret", "s".to_owned())]),
        ("/", vec![("X-Api-Key", String::new())]),
        ("/", vec![("X-Api-Key", long)]),
        ("/?x-api-key=", vec![]),
        ("/?x-api-key=%ff", vec![]),
    ] {
        let fields: Vec<_> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let request = request(target, &fields);
        let shown = Shown {
            request: &request,
            params: &[],
        };
        assert!(
            extractors(&json!({})).find(&shown).is_none(),
            "{target} {fields:?}"
        );
    }
}

// ------------------------------------------------------------------------------ checking

fn key(more: &Value) -> ApiKey {
    let mut json = json!({"clientId": "c", "clientSecret": "s", "clientName": "n"});
    let more = more.as_object().expect("an object").clone();
    json.as_object_mut().expect("an object").extend(more);
    ApiKey::read(json.to_string().as_bytes()).expect("a key")
}

fn asking(certificates: &Certificates) -> Asking<'_> {
    Asking {
        unix_s: NOW_S,
        secured: false,
        method: "GET",
        host: "api.test:8080",
        path: "/a",
        query: Some("b=1"),
        xsrf_token: Some(b"x"),
        certificates,
    }
}

const RULES: JwtRules = JwtRules {
    secret_signed: true,
    keypair_signed: true,
    include_request_attrs: false,
    max_lifespan_s: None,
};

fn check(key: &ApiKey, proof: Proof<'_>, rules: &JwtRules) -> Result<bool, Refused> {
    let credential = Credential {
        client_id: "c".into(),
        proof,
    };
    let certificates = Certificates::default();
    let checked = key.check(&credential, rules, &asking(&certificates));
    checked.map(|claims| claims.is_some())
}

#[test]
fn secrets_and_bearers_are_checked_with_both_secrets_while_rotating() {
    let plain = key(&json!({}));
    let rotating = key(&json!({"rotation": {"enabled": true, "nextSecret": "t"}}));
    let disabled = key(&json!({"enabled": false}));
    for (key, secret, outcome) in [
        (&plain, "s", Ok(false)),
        (&plain, "t", Err(Refused::Secret)),
        (&plain, "", Err(Refused::Secret)),
        (&plain, "ss", Err(Refused::Secret)),
        (&rotating, "s", Ok(false)),
        (&rotating, "t", Ok(false)),
        (&rotating, "u", Err(Refused::Secret)),
        (&disabled, "s", Err(Refused::Secret)),
    ] {
        assert_eq!(check(key, Proof::Secret(secret.into()), &RULES), outcome);
        let outcome = outcome.map_err(|_| {
            let is_disabled = !key.is_enabled(NOW_S);
            if is_disabled {
                Refused::Disabled
            } else {
                Refused::Bearer
            }
        });
        if !secret.is_empty() {
            let bearer = bearer_of("c", secret);
            assert_eq!(check(key, Proof::Bearer(bearer.into()), &RULES), outcome);
        }
    }
    for bad in ["otoapk_c_", "otoapk_c_zz", "otoapk_d_00", "otoapk_c_+1"] {
        let outcome = check(&plain, Proof::Bearer(bad.into()), &RULES);
        assert_eq!(outcome, Err(Refused::Bearer), "{bad}");
    }
}

#[test]
fn the_id_alone_needs_leave() {
    let outcome = |more| check(&key(&more), Proof::Nothing, &RULES);
    assert_eq!(outcome(json!({"allowClientIdOnly": true})), Ok(false));
    assert_eq!(outcome(json!({})), Err(Refused::Unmatched));
    assert_eq!(
        outcome(json!({"allowClientIdOnly": true, "enabled": false})),
        Err(Refused::Disabled)
    );
}

#[test]
fn signed_tokens_are_checked_in_every_claim() {
    let free = RULES;
    let short = JwtRules {
        max_lifespan_s: Some(60.0),
        ..RULES
    };
    let bound = JwtRules {
        include_request_attrs: true,
        ..RULES
    };
    let unsigned = JwtRules {
        secret_signed: false,
        ..RULES
    };
    let here = json!({"httpPath": "/a?b=1", "httpVerb": "get", "httpHost": "api.test:8080"});
    for (claims, rules, outcome) in [
        (json!({}), &free, Ok(true)),
        (json!({}), &unsigned, Err(Refused::Algorithm)),
        (json!({"exp": NOW_S - 9.0}), &free, Ok(true)),
        (json!({"exp": NOW_S - 11.0}), &free, Err(Refused::Jwt)),
        (json!({"nbf": NOW_S + 9.0}), &free, Ok(true)),
        (json!({"nbf": NOW_S + 11.0}), &free, Err(Refused::Jwt)),
        (json!({"aud": "somebody"}), &free, Ok(true)),
        (json!({"aud": "http://api.test:8080/a"}), &free, Ok(true)),
        (
            json!({"aud": ["x", "http://api.test:8080/"]}),
            &free,
            Ok(true),
        ),
        (
            json!({"aud": "https://api.test:8080/a"}),
            &free,
            Err(Refused::Jwt),
        ),
        (
            json!({"aud": "http://other.test/"}),
            &free,
            Err(Refused::Jwt),
        ),
        (json!({"xsrfToken": "x"}), &free, Ok(true)),
        (json!({"xsrfToken": "y"}), &free, Err(Refused::Jwt)),
        (json!({}), &short, Err(Refused::Jwt)),
        (json!({"exp": NOW_S + 60.0, "iat": NOW_S}), &short, Ok(true)),
        (
            json!({"exp": NOW_S + 61.0, "iat": NOW_S}),
            &short,
            Err(Refused::Jwt),
        ),
        (json!({"exp": NOW_S + 1.0}), &short, Err(Refused::Jwt)),
        (here.clone(), &bound, Ok(true)),
        (json!({}), &bound, Err(Refused::Jwt)),
    ] {
        for algorithm in [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512] {
            let token = token(algorithm, "s", &claims);
            let outcome_ = check(&key(&json!({})), Proof::Jwt(token.into()), rules);
            assert_eq!(outcome_, outcome, "{claims}");
        }
    }
    for (name, value) in [
        ("httpPath", "/a"),
        ("httpVerb", "PUT"),
        ("httpHost", "api.test"),
    ] {
        let mut wrong = here.clone();
        wrong[name] = value.into();
        let token = token(Algorithm::Hs256, "s", &wrong);
        let outcome = check(&key(&json!({})), Proof::Jwt(token.into()), &bound);
        assert_eq!(outcome, Err(Refused::Jwt), "{name}");
    }
}

#[test]
fn a_token_of_another_secret_or_without_signature_is_refused() {
    let rotating = key(&json!({"rotation": {"enabled": true, "nextSecret": "t"}}));
    let check = |token: String| check(&rotating, Proof::Jwt(token.into()), &RULES);
    assert_eq!(check(token(Algorithm::Hs256, "t", &json!({}))), Ok(true));
    assert_eq!(
        check(token(Algorithm::Hs256, "u", &json!({}))),
        Err(Refused::Jwt)
    );
    let good = token(Algorithm::Hs256, "s", &json!({}));
    let payload = good.split('.').nth(1).expect("three parts");
    let none = format!("eyJhbGciOiJub25lIn0.{payload}.");
    assert_eq!(check(none), Err(Refused::Algorithm));
    let disabled = key(&json!({"enabled": false}));
    let credential = Credential {
        client_id: "c".into(),
        proof: Proof::Jwt(good.into()),
    };
    let certificates = Certificates::default();
    let outcome = disabled.check(&credential, &RULES, &asking(&certificates));
    assert_eq!(outcome, Err(Refused::Disabled));
}

#[test]
fn a_key_pair_must_be_known_and_the_one_the_key_names() {
    let certificates = Certificates::default();
    let token = "eyJhbGciOiJSUzI1NiIsImtpZCI6Im5vbmUifQ.e30.AAAA";
    let key = key(&json!({}));
    let credential = Credential {
        client_id: "c".into(),
        proof: Proof::Jwt(token.into()),
    };
    let asking = asking(&certificates);
    assert_eq!(key.check(&credential, &RULES, &asking), Err(Refused::Jwt));
    let closed = JwtRules {
        keypair_signed: false,
        ..RULES
    };
    assert_eq!(
        key.check(&credential, &closed, &asking),
        Err(Refused::Algorithm)
    );
}

#[test]
fn no_reason_tells_the_proof() {
    for refused in [
        Refused::Disabled,
        Refused::Secret,
        Refused::Bearer,
        Refused::Unmatched,
    ] {
        assert!(refused.reason("the-id").contains("the-id"));
    }
    assert_eq!(
        Refused::Unmatched.reason("c"),
        r#"unmatched ApikeyTuple({"clientId":"c"})"#
    );
}

#[test]
fn a_table_finds_keys_by_id() {
    let mut keys = ApiKeys::default();
    let json = br#"{"clientId":"c","clientSecret":"s","clientName":"n"}"#;
    keys.put("c", json).expect("a key");
    assert!(keys.get("c").is_some_and(|key| key.has_secret("s")));
}
