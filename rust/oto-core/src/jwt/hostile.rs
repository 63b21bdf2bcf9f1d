//! What a hostile client tries with tokens.

use serde_json::{Value, json};

use super::Source;
use super::tests::{Case, header, hs, pass, token, verifier};
use crate::http1::{HeadLimits, Request, Version};
use crate::plan::Next;

const BAD_TOKEN: (u16, &str) = (400, "error.bad.token");

#[test]
fn a_token_that_stands_twice_is_refused_wherever_it_stands() {
    // The gateway would check one of them, and the backend might read the other.
    let good = token("in", json!({"sub": "jo"}));
    let evil = token("evil", json!({"sub": "root"}));
    let case = Case::one(verifier(header(), pass(json!({}))));
    let (one, other) = (format!("Bearer {good}"), format!("Bearer {evil}"));
    for (first, second) in [(&one, &other), (&other, &one), (&one, &one)] {
        let refused = case.refusal(&[("authorization", first), ("Authorization", second)]);
        assert_eq!((refused.0, &*refused.1), BAD_TOKEN);
    }
    let place = json!({"type": "InCookie", "name": "t"});
    let case = Case::one(verifier(place, pass(json!({}))));
    let line = format!("t={good}; a=b; t={evil}");
    let refused = case.refusal(&[("cookie", &line)]);
    assert_eq!((refused.0, &*refused.1), BAD_TOKEN);
    let (line, more) = (format!("t={good}"), format!("t={evil}"));
    let refused = case.refusal(&[("cookie", &line), ("cookie", &more)]);
    assert_eq!((refused.0, &*refused.1), BAD_TOKEN);
    let place = json!({"type": "InQueryParam", "name": "t"});
    let case = Case::one(verifier(place, pass(json!({}))));
    for target in [
        format!("/?t={good}&t={evil}"),
        format!("/?%74={evil}&t={good}"),
    ] {
        assert_eq!(case.ask(&target, &[]).1, Next::Reply, "{target}");
    }
    assert_eq!(case.ask(&format!("/?t={good}"), &[]).1, Next::Forward);
}

#[test]
fn a_token_is_not_hidden_by_what_is_no_text() {
    // The gateway would see no token, or one of two, and the backend might read the other.
    let good = token("in", json!({"sub": "jo"})).into_bytes();
    let evil = token("evil", json!({"sub": "root"})).into_bytes();
    let lenient = |place: Value| {
        let mut settings = verifier(place, pass(json!({})));
        settings["strict"] = json!(false);
        Case::one(settings)
    };
    let cookies = lenient(json!({"type": "InCookie", "name": "t"}));
    let asked = |fields: &[(&str, &[u8])]| cookies.ask_octets("/", fields).1;
    let line = [b"t=", &*good].concat();
    for hiding in [
        [b"a=\xff; t=", &*evil].concat(),
        [b"t=", &*evil, b"\xff"].concat(),
        [b"\xa0t=", &*evil].concat(),
    ] {
        assert_eq!(asked(&[("cookie", &hiding)]), Next::Reply);
        let both = [("cookie", &*line), ("cookie", &*hiding)];
        assert_eq!(asked(&both), Next::Reply);
    }
    let beside = [b"a=\xff; t=", &*good].concat();
    assert_eq!(asked(&[("cookie", &beside)]), Next::Forward);
    assert_eq!(asked(&[("cookie", b"a=\xff")]), Next::Forward);
    let headers = lenient(header());
    let value = [b"Bearer ", &*evil, b"\xff"].concat();
    let (_, next) = headers.ask_octets("/", &[("authorization", &value)]);
    assert_eq!(next, Next::Reply);
    let queries = lenient(json!({"type": "InQueryParam", "name": "t"}));
    let evil = String::from_utf8_lossy(&evil);
    for tail in ["%FF", "%C3%A9"] {
        let (_, next) = queries.ask(&format!("/?t={evil}{tail}"), &[]);
        assert_eq!(next, Next::Reply, "{tail}");
    }
}

#[test]
fn a_parameter_is_found_by_any_spelling_that_a_backend_reads_as_its_name() {
    // Backends leave a percent sign alone that escapes nothing.
    let evil = token("evil", json!({"sub": "root"}));
    for (name, written) in [
        ("100%", "100%"),
        ("100%", "100%25"),
        ("a%zzb", "%61%zzb"),
        ("a%", "%61%"),
        ("a%+4", "a%+4"),
    ] {
        let place = json!({"type": "InQueryParam", "name": name});
        let mut settings = verifier(place, pass(json!({})));
        settings["strict"] = json!(false);
        let case = Case::one(settings);
        let (_, next) = case.ask(&format!("/?{written}={evil}"), &[]);
        assert_eq!(next, Next::Reply, "{written}");
        assert_eq!(
            case.ask(&format!("/?x{written}={evil}"), &[]).1,
            Next::Forward
        );
    }
}

#[test]
fn what_escapes_nothing_is_no_part_of_a_token() {
    let place = Source::read(&json!({"type": "InQueryParam", "name": "t"})).expect("a place");
    for escaped in ["%+4", "%", "%4", "%zz", "%C3%A9"] {
        let target = format!("/?t=a{escaped}");
        let fields = [(&b"host"[..], &b"a.b"[..])].into_iter();
        let limits = HeadLimits::default();
        let request =
            Request::from_parts(b"GET", target.as_bytes(), fields, Version::Http11, &limits)
                .expect("valid");
        assert_eq!(place.find(&request).as_deref(), Some(""), "{escaped}");
    }
}

#[test]
fn what_a_request_says_is_never_read_as_a_condition() {
    let good = token("in", json!({"tenant": "acme"}));
    let fields = json!({"tenant": "${req.headers.x-tenant}"});
    let case = Case::one(verifier(header(), pass(fields)));
    let bearer = format!("Bearer {good}");
    let asked = |tenant: &str| {
        let fields = [("authorization", &*bearer), ("x-tenant", tenant)];
        case.ask("/", &fields).1 == Next::Forward
    };
    assert!(asked("acme"));
    for tenant in [
        "Regex(.*)",
        "Not(acm)",
        "ContainsOneOf(a,b)",
        "Wildcard(*)",
        "NotContainedIn(x)",
    ] {
        assert!(!asked(tenant), "{tenant}");
    }
    // The condition is the operator's, what it compares with the request's.
    let fields = json!({"tenant": "Not(${req.headers.x-tenant})"});
    let case = Case::one(verifier(header(), pass(fields)));
    let asked = |tenant: &str| {
        let fields = [("authorization", &*bearer), ("x-tenant", tenant)];
        case.ask("/", &fields).1 == Next::Forward
    };
    assert!(asked("other") && !asked("acme"));
}

fn with_secret(secret: &str) -> Value {
    let mut entity = verifier(header(), pass(json!({})));
    entity["algoSettings"] = hs(secret);
    entity
}

#[test]
fn a_secret_that_is_not_there_is_no_secret() {
    // What stands in for a missing value is the same everywhere, and so known to everybody.
    for (secret, known) in [
        ("${apikey.metadata.key}", "bad-expr"),
        ("${req.headers.x-key}", "no-header-x-key"),
        (
            "${req.headers.x-key || req.headers.x-other}",
            "no-chain-value",
        ),
        ("${nonsense}", "bad-expr"),
        ("${req.domain}${req.headers.x-key}", "a.bno-header-x-key"),
    ] {
        let case = Case::one(with_secret(secret));
        let forged = format!("Bearer {}", token(known, json!({"sub": "root"})));
        let refused = case.refusal(&[("authorization", &forged)]);
        let expected = (400, "error.bad.input.algorithm.name");
        assert_eq!((refused.0, &*refused.1), expected, "{secret}");
    }
    let case = Case::one(with_secret("${req.headers.x-key:in}"));
    assert_eq!(case.with_token(&token("in", json!({}))).1, Next::Forward);
}

#[test]
fn a_claim_of_several_lines_does_not_slip_through_a_pattern() {
    let sly = token("in", json!({"role": "admin\nx"}));
    for (condition, passes) in [("WildcardNot(admin*)", false), ("Wildcard(admin*)", true)] {
        let case = Case::one(verifier(header(), pass(json!({"role": condition}))));
        assert_eq!(
            case.with_token(&sly).1 == Next::Forward,
            passes,
            "{condition}"
        );
    }
}
