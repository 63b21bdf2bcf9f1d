//! Otoroshi's exchange protocol, the challenge: a backend proves that it knows the gateway.
//!
//! The gateway sends a random state with the request, bare (V1) or in a signed token (V2); the backend
//! answers with the same state, bare or in a token of its own. A backend that cannot, or something that
//! answers in its place, is not let speak to the client.
//!
//! Source: Otoroshi's plugin OtoroshiChallenge.

use aws_lc_rs::{constant_time, rand};
use serde_json::{Map, Value, json};

use crate::jose::{JoseError, Rules, SigningKey};

/// Who signs, and who a backend's answer is for.
pub const ISSUER: &str = "Otoroshi";

/// Characters of a state: Otoroshi's alphabet.
const ALPHABET: &[u8] =
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789*$%)([]!=+-_:/;.><&";

/// How many characters a state has.
pub const STATE_CHARS: usize = 128;

/// A fresh state; none when the system has no randomness to give.
#[must_use]
pub fn random_state() -> Option<String> {
    let mut state = String::with_capacity(STATE_CHARS);
    // What lies above a multiple of the alphabet would make some characters likelier than others.
    let limit = u8::try_from(256 - 256 % ALPHABET.len()).ok()?;
    let mut bytes = [0; STATE_CHARS];
    while state.len() < STATE_CHARS {
        rand::fill(&mut bytes).ok()?;
        let fair = bytes.iter().filter(|byte| **byte < limit);
        let chars = fair.map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
        state.extend(chars.take(STATE_CHARS - state.len()));
    }
    Some(state)
}

/// A random UUID, version 4, for `jti`.
#[must_use]
pub fn random_uuid() -> Option<String> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).ok()?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    Some(parts.join("-"))
}

/// The claims that every token to a backend begins with. `nbr` is Otoroshi's spelling of `nbf`.
#[must_use]
pub fn base_claims(subject: &str, audience: &str, unix_s: i64, ttl_s: i64) -> Map<String, Value> {
    let claims = json!({
        "iss": ISSUER,
        "sub": subject,
        "aud": audience,
        "exp": unix_s.saturating_add(ttl_s),
        "iat": unix_s,
        "nbr": unix_s,
        "jti": random_uuid(),
    });
    match claims {
        Value::Object(claims) => claims,
        _ => Map::new(),
    }
}

/// The token that carries a state to a backend (V2).
///
/// # Errors
/// The library cannot sign.
pub fn token(
    key: &SigningKey,
    audience: &str,
    state: &str,
    unix_s: i64,
    ttl_s: i64,
) -> Result<String, JoseError> {
    let mut claims = base_claims(ISSUER, audience, unix_s, ttl_s);
    claims.insert("state".to_owned(), state.into());
    key.sign(&Map::new(), &claims)
}

/// Why a backend's answer does not prove anything.
#[derive(Clone, Debug, PartialEq)]
pub struct Unproven {
    /// In Otoroshi's words.
    pub reason: String,
    /// Claims of the answer that tell why: `extracted_state`, `iat`, `exp`, `nbf`.
    pub claims: Map<String, Value>,
}

impl Unproven {
    /// Only a reason.
    #[must_use]
    pub fn because(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            claims: Map::new(),
        }
    }
}

/// Check a bare answer (V1).
///
/// # Errors
/// It is another state.
pub fn check_bare(state: &str, answer: &[u8]) -> Result<(), Unproven> {
    if is_same(state, answer) {
        return Ok(());
    }
    let answer = shown(&String::from_utf8_lossy(answer));
    Err(Unproven::because(format!(
        "V1 - state from response does not match request one ({answer} != {state})"
    )))
}

/// Check the claims of an answer whose signature is good (V2).
///
/// # Errors
/// Which claim is wrong.
pub fn check_claims(
    claims: &Map<String, Value>,
    state: &str,
    unix_s: f64,
    ttl_s: i64,
    leeway_s: i64,
) -> Result<(), Unproven> {
    let seconds = |name: &str| claims.get(name).and_then(Value::as_f64);
    let refuse = |reason: String| {
        let mut told = Map::new();
        let answered = claims.get("state-resp").and_then(Value::as_str);
        told.insert("extracted_state".to_owned(), answered.map(shown).into());
        for name in ["iat", "exp", "nbf"] {
            let time = claims.get(name).filter(|time| time.is_number());
            told.insert(name.to_owned(), time.cloned().unwrap_or_default());
        }
        Err(Unproven {
            reason,
            claims: told,
        })
    };
    let undecodable = |message: &str| format!("V2 - error while decoding token - {message}");
    let rules = Rules {
        leeway_s: leeway_s as f64,
        audiences: vec![ISSUER.into()],
        ..Rules::default()
    };
    if let Err(error) = rules.check(claims, unix_s) {
        return refuse(undecodable(&error.to_string()));
    }
    let answered = claims.get("state-resp").and_then(Value::as_str);
    if !answered.is_some_and(|answered| is_same(state, answered.as_bytes())) {
        return refuse(undecodable(
            "state-resp: the claim is not the state of the request",
        ));
    }
    let (Some(expires), Some(issued)) = (seconds("exp"), seconds("iat")) else {
        return refuse("V2 - exp / iat is empty".to_owned());
    };
    let lasts = expires - issued;
    if lasts > ttl_s as f64 {
        return refuse(format!(
            "V2 - response token ttl too big - {lasts} seconds (({expires} - {issued}) > {ttl_s})"
        ));
    }
    Ok(())
}

/// Whether two states are the same, without telling how far they agree.
fn is_same(state: &str, answer: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(state.as_bytes(), answer).is_ok()
}

/// A peer's text, cut to what an event may hold.
fn shown(text: &str) -> String {
    text.chars().take(2 * STATE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_of_the_alphabet_and_never_the_same() {
        let (one, other) = (
            random_state().expect("random"),
            random_state().expect("random"),
        );
        assert_eq!(one.len(), STATE_CHARS);
        assert_ne!(one, other);
        assert!(one.bytes().all(|byte| ALPHABET.contains(&byte)));
        let all: String = (0..400).filter_map(|_| random_state()).collect();
        for byte in ALPHABET {
            // 51,200 draws of 81 characters: about 632 of each.
            let times = all.bytes().filter(|drawn| drawn == byte).count();
            assert!(
                (450..850).contains(&times),
                "{} came {times} times",
                char::from(*byte)
            );
        }
    }

    #[test]
    fn ids_have_the_form_of_a_random_uuid() {
        let id = random_uuid().expect("random");
        let lengths: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(&id[14..15], "4");
        assert!("89ab".contains(&id[19..20]));
        assert_ne!(Some(id), random_uuid());
    }

    #[test]
    fn a_bare_answer_must_be_the_state() {
        assert_eq!(check_bare("abc", b"abc"), Ok(()));
        for wrong in [&b""[..], b"ab", b"abcd", b"abC", b"\xff\xfe\xfd"] {
            let unproven = check_bare("abc", wrong).expect_err("another state");
            assert!(
                unproven
                    .reason
                    .starts_with("V1 - state from response does not match")
            );
        }
        let long = check_bare("abc", &[b'x'; 9000]).expect_err("another state");
        assert!(
            long.reason.len() < 400,
            "an event does not grow with what a backend sends"
        );
    }

    fn answer(changes: Value) -> Map<String, Value> {
        let claims =
            json!({"aud": "Otoroshi", "state-resp": "s", "iat": 1000, "nbf": 1000, "exp": 1030});
        let (Value::Object(mut claims), Value::Object(changes)) = (claims, changes) else {
            panic!("objects");
        };
        claims.extend(changes);
        claims.retain(|_, value| !value.is_null());
        claims
    }

    fn reason(changes: Value, unix_s: f64) -> Option<String> {
        check_claims(&answer(changes), "s", unix_s, 30, 10)
            .err()
            .map(|unproven| unproven.reason)
    }

    #[test]
    fn claims_that_prove_it() {
        for changes in [
            json!({}),
            json!({"nbf": null}),
            json!({"aud": ["a", "Otoroshi"]}),
            json!({"iat": 1000.5}),
            json!({"exp": 1020}),
        ] {
            assert_eq!(reason(changes.clone(), 1001.0), None, "{changes}");
        }
        assert_eq!(reason(json!({}), 1039.9), None, "the leeway");
        assert_eq!(reason(json!({}), 990.0), None, "the leeway");
    }

    #[test]
    fn every_claim_that_is_wrong_is_named() {
        for (changes, word) in [
            (json!({"aud": "other"}), "aud"),
            (json!({"aud": null}), "aud"),
            (json!({"aud": ["other"]}), "aud"),
            (json!({"state-resp": "t"}), "state-resp"),
            (json!({"state-resp": null}), "state-resp"),
            (json!({"state-resp": 1}), "state-resp"),
            (json!({"exp": null}), "exp / iat is empty"),
            (json!({"iat": null}), "exp / iat is empty"),
            (
                json!({"exp": 1031}),
                "ttl too big - 31 seconds ((1031 - 1000) > 30)",
            ),
            (json!({"exp": "1030"}), "exp"),
            (json!({"iat": 1020, "exp": 1050}), "iat"),
            (json!({"nbf": 1020}), "nbf"),
        ] {
            let reason = reason(changes.clone(), 1001.0).expect("refused");
            assert!(
                reason.starts_with("V2 - ") && reason.contains(word),
                "{changes}: {reason}"
            );
        }
        assert!(reason(json!({}), 1040.0).is_some_and(|reason| reason.contains("exp")));
    }

    #[test]
    fn what_the_answer_said_is_kept_for_the_event() {
        let unproven = check_claims(&answer(json!({"exp": 2000})), "s", 1001.0, 30, 10);
        let claims = Value::Object(unproven.expect_err("too long").claims);
        let expected = json!({"extracted_state": "s", "iat": 1000, "exp": 2000, "nbf": 1000});
        assert_eq!(claims, expected);
    }
}
