//! Verifiers in exchanges: every strategy, place and refusal, through the native steps.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::http1::{HeadLimits, Request, ResponseHead, Version};
use crate::jose::{Algorithm, Algorithms, Jws, SigningKey, VerifyingKey};
use crate::plan::{Change, Downstream, Flow, Moment, Next, Outcome, PythonStep, Snapshot};

const NOW_S: f64 = 1_700_000_000.0;

pub(super) fn hs(secret: &str) -> Value {
    json!({"type": "HSAlgoSettings", "size": 256, "secret": secret, "base64": false})
}

pub(super) fn header() -> Value {
    json!({"type": "InHeader", "name": "Authorization", "remove": "Bearer "})
}

pub(super) fn pass(fields: Value) -> Value {
    json!({"type": "PassThrough", "verificationSettings": {"fields": fields, "arrayFields": {}}})
}

pub(super) fn verifier(source: Value, strategy: Value) -> Value {
    json!({"id": "v", "strict": true, "source": source, "algoSettings": hs("in"), "strategy": strategy})
}

pub(super) fn token(secret: &str, claims: Value) -> String {
    let key = SigningKey::from_secret(secret.as_bytes(), Algorithm::Hs256).expect("a key");
    let Value::Object(claims) = claims else {
        panic!("no object")
    };
    key.sign(&Map::new(), &claims).expect("signed")
}

fn read(token: &str, secret: &str) -> Value {
    let key = VerifyingKey::from_secret(secret.as_bytes(), Algorithms::ALL).expect("a key");
    let jws = Jws::parse(token).expect("a token");
    (*jws.verified(&key).expect("its signature").claims).clone()
}

pub(super) struct Case {
    snapshot: Arc<Snapshot>,
}

impl Case {
    pub(super) fn new(verifiers: &[Value], steps: Value) -> Self {
        let route =
            json!({"id": "r", "frontend": {"domains": ["a.b"]}, "steps": steps}).to_string();
        let texts: Vec<(String, String)> = verifiers
            .iter()
            .map(|it| (it["id"].as_str().unwrap_or("").to_owned(), it.to_string()))
            .collect();
        let entities: Vec<(&str, &str, Option<&[u8]>)> = texts
            .iter()
            .map(|(id, json)| ("jwt-verifiers", id.as_str(), Some(json.as_bytes())))
            .collect();
        let change = Change {
            routes: &[route.as_bytes()],
            entities: &entities,
            ..Change::default()
        };
        let snapshot = Snapshot::default().apply(&change).expect("valid");
        Self {
            snapshot: Arc::new(snapshot),
        }
    }

    pub(super) fn one(verifier: Value) -> Self {
        Self::new(&[verifier], plan(&["v"]))
    }

    pub(super) fn ask(&self, target: &str, fields: &[(&str, &str)]) -> (Flow, Next) {
        let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
        self.ask_octets(target, &fields.collect::<Vec<_>>())
    }

    pub(super) fn ask_octets(&self, target: &str, fields: &[(&str, &[u8])]) -> (Flow, Next) {
        let mut all: Vec<(&[u8], &[u8])> = vec![(b"host", b"a.b"), (b"accept", b"*/*")];
        all.extend(fields.iter().map(|(name, value)| (name.as_bytes(), *value)));
        let limits = HeadLimits::default();
        let request = Request::from_parts(
            b"GET",
            target.as_bytes(),
            all.into_iter(),
            Version::Http11,
            &limits,
        )
        .expect("valid");
        let downstream = Downstream {
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST).into(),
            secured: false,
            listener: Arc::from("standard-listener"),
            is_exclusive: false,
            client_cert: None,
        };
        let moment = Moment {
            mono_s: 5.0,
            unix_s: NOW_S,
            random: 0,
        };
        let snapshot = Arc::clone(&self.snapshot);
        let response = ResponseHead::default();
        let mut flow = Flow::begin(1, request, response, downstream, snapshot, moment);
        let next = flow.advance();
        (flow, next)
    }

    pub(super) fn with_token(&self, token: &str) -> (Flow, Next) {
        self.ask("/", &[("authorization", &format!("Bearer {token}"))])
    }

    pub(super) fn refusal(&self, fields: &[(&str, &str)]) -> (u16, String) {
        let (mut flow, next) = self.ask("/", fields);
        assert_eq!(next, Next::Reply);
        let body = flow.take_body().unwrap_or_default();
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        let message = body["Otoroshi-Error"].as_str().or(body["error"].as_str());
        (flow.response.status, message.unwrap_or("").to_owned())
    }
}

fn plan(ids: &[&str]) -> Value {
    json!([
        {"phase": "access", "kind": "jwt_verification", "verifiers": ids,
         "twin": {"slot": 3, "inline": false}},
        {"phase": "transform_request", "kind": "jwt_verification", "verifiers": ids},
    ])
}

fn sent(flow: &Flow, name: &str) -> Option<String> {
    let value = flow.request.headers.find(name.as_bytes())?;
    Some(String::from_utf8_lossy(value).into_owned())
}

#[test]
fn a_good_token_passes_and_its_claims_are_known() {
    let case = Case::one(verifier(header(), pass(json!({}))));
    let good = token("in", json!({"sub": "jo", "exp": NOW_S + 5.0}));
    let (flow, next) = case.with_token(&good);
    assert_eq!(next, Next::Forward);
    assert_eq!(flow.attrs.claims.as_deref().expect("claims")["sub"], "jo");
    assert_eq!(flow.attrs.token_in.as_deref(), Some(good.as_str()));
    assert_eq!(sent(&flow, "authorization"), Some(format!("Bearer {good}")));
}

#[test]
fn refusals_have_otoroshis_words() {
    let case = Case::one(verifier(header(), pass(json!({}))));
    let bearer = |token: &str| format!("Bearer {token}");
    let expected = |fields: &[(&str, &str)]| case.refusal(fields);
    assert_eq!(
        expected(&[]),
        (400, "error.expected.token.not.found".to_owned())
    );
    let bad = (400, "error.bad.token".to_owned());
    for wrong in [
        token("other", json!({})),
        token("in", json!({"exp": NOW_S - 11.0})),
        token("in", json!({"nbf": NOW_S + 11.0})),
        "x".to_owned(),
        String::new(),
    ] {
        assert_eq!(expected(&[("authorization", &bearer(&wrong))]), bad);
    }
    let unknown = Case::new(&[], plan(&["v"]));
    assert_eq!(
        unknown.refusal(&[]),
        (500, "error.bad.globaljwtverifier.id".to_owned())
    );
    let none = Case::new(&[], plan(&[]));
    assert_eq!(none.refusal(&[]), (400, "bad request".to_owned()));
}

#[test]
fn a_verifier_that_is_not_strict_lets_those_without_token_pass() {
    let mut entity = verifier(header(), pass(json!({})));
    entity["strict"] = json!(false);
    let case = Case::one(entity);
    assert_eq!(case.ask("/", &[]).1, Next::Forward);
    let wrong = token("other", json!({}));
    assert_eq!(case.with_token(&wrong).1, Next::Reply);
}

#[test]
fn tokens_are_found_in_query_cookie_and_header() {
    let good = token("in", json!({}));
    let query = Case::one(verifier(
        json!({"type": "InQueryParam", "name": "t"}),
        pass(json!({})),
    ));
    assert_eq!(query.ask(&format!("/?a=1&t={good}"), &[]).1, Next::Forward);
    let escaped = good.replace('.', "%2E");
    assert_eq!(query.ask(&format!("/?t={escaped}"), &[]).1, Next::Forward);
    assert_eq!(query.ask(&format!("/?tt={good}"), &[]).1, Next::Reply);
    assert_eq!(query.ask("/?t=%2", &[]).1, Next::Reply);
    let cookie = Case::one(verifier(
        json!({"type": "InCookie", "name": "t"}),
        pass(json!({})),
    ));
    let line = format!("a=1; t={good}; b=2");
    assert_eq!(cookie.ask("/", &[("cookie", &line)]).1, Next::Forward);
    assert_eq!(cookie.ask("/", &[("cookie", "a=1")]).1, Next::Reply);
    let pattern = json!({"type": "InHeader", "name": "X-T", "remove": "(Jwt|Tok)\\s+"});
    let header = Case::one(verifier(pattern, pass(json!({}))));
    for word in ["Jwt ", "Tok   "] {
        let value = format!("{word}{good}");
        assert_eq!(header.ask("/", &[("x-t", &value)]).1, Next::Forward);
    }
}

#[test]
fn claims_are_checked_in_every_notation() {
    let claims = json!({
        "iss": "me", "aud": ["a", "b"], "role": "admin", "level": 7, "on": true,
        "tags": ["red", "blue"], "deep": {"x": 1}, "nothing": null
    });
    let token = token("in", claims);
    let accepted = |fields: Value, arrays: Value| {
        let strategy = json!({"type": "PassThrough",
            "verificationSettings": {"fields": fields, "arrayFields": arrays}});
        let case = Case::one(verifier(header(), strategy));
        case.with_token(&token).1 == Next::Forward
    };
    for (name, text) in [
        ("iss", "me"),
        ("aud", "b"),
        ("role", "admin"),
        ("role", "Regex(ad.*)"),
        ("role", "RegexNot(user)"),
        ("role", "Wildcard(*min)"),
        ("role", "WildcardNot(*x)"),
        ("role", "Not(user)"),
        ("role", "Contains(dmi)"),
        ("role", "ContainsNot(user)"),
        ("role", "ContainedIn(user, admin)"),
        ("role", "NotContainedIn(user, guest)"),
        ("role", "ContainsOneOf(x,adm)"),
        ("role", "ContainsAll(ad,min)"),
        ("role", "ContainsNotAll(ad,x)"),
        ("role", "ContainsNotOneOf(x,y)"),
        ("tags", "Contains(red)"),
        ("tags", "ContainsOneOf(green,blue)"),
        ("tags", "ContainsNot(green)"),
        ("level", "7"),
        ("on", "true"),
        ("role", "${req.headers.x-none:admin}"),
    ] {
        assert!(accepted(json!({ name: text }), json!({})), "{name} {text}");
    }
    for (name, text) in [
        ("iss", "you"),
        ("aud", "c"),
        ("sub", "x"),
        ("jti", ""),
        ("role", "user"),
        ("role", "Regex(min)"),
        ("role", "RegexNot(ad.*)"),
        ("role", "Wildcard(min*)"),
        ("role", "WildcardNot(*min)"),
        ("role", "Not(admin)"),
        ("role", "Contains(user)"),
        ("role", "ContainsNot(dmi)"),
        ("role", "ContainedIn(user)"),
        ("role", "NotContainedIn(admin)"),
        ("role", "ContainsOneOf(x,y)"),
        ("role", "ContainsAll(ad,x)"),
        ("role", "ContainsNotAll(ad,min)"),
        ("role", "ContainsNotOneOf(x,min)"),
        ("tags", "Contains(re)"),
        ("tags", "red"),
        ("tags", "Not(red)"),
        ("deep", "Not(x)"),
        ("nothing", "Not(x)"),
        ("absent", "Not(x)"),
        ("absent", "ContainsNot(x)"),
        ("role", "${req.headers.x-none:user}"),
    ] {
        assert!(!accepted(json!({ name: text }), json!({})), "{name} {text}");
    }
    assert!(accepted(json!({}), json!({"tags": "red, blue"})));
    assert!(!accepted(json!({}), json!({"tags": "red, green"})));
    assert!(!accepted(json!({}), json!({"role": "admin"})));
    assert!(!accepted(json!({}), json!({"absent": "x"})));
}

#[test]
fn signing_gives_the_backend_the_same_claims_under_another_key() {
    let strategy = json!({"type": "Sign", "verificationSettings": {"fields": {}, "arrayFields": {}},
        "algoSettings": hs("out")});
    let case = Case::one(verifier(header(), strategy));
    let (flow, next) = case.with_token(&token("in", json!({"sub": "jo"})));
    assert_eq!(next, Next::Forward);
    let value = sent(&flow, "authorization").expect("a token");
    let value = value.strip_prefix("Bearer ").expect("the scheme");
    assert_eq!(read(value, "out"), json!({"sub": "jo"}));
    assert_eq!(flow.attrs.token_out.as_deref(), Some(value));
}

fn transform(location: Value) -> Value {
    json!({"type": "Transform", "verificationSettings": {"fields": {}, "arrayFields": {}},
        "transformSettings": {"location": location, "mappingSettings": {
            "map": {"sub": "subject", "absent": "x"},
            "values": {"from": "${in_jwt.sub}", "n": 1, "gone": null, "exp": "${exp}"},
            "remove": ["secret"]}},
        "algoSettings": hs("out")})
}

#[test]
fn transforming_renames_adds_and_removes_claims() {
    let case = Case::one(verifier(header(), transform(header())));
    let claims = json!({"sub": "jo", "secret": 1, "kept": [1]});
    let (flow, next) = case.with_token(&token("in", claims));
    assert_eq!(next, Next::Forward);
    let value = sent(&flow, "authorization").expect("a token");
    let value = value.strip_prefix("Bearer ").expect("the scheme");
    let exp = NOW_S as i64 + 60;
    assert_eq!(
        read(value, "out"),
        json!({"subject": "jo", "from": "jo", "n": 1, "kept": [1], "exp": exp})
    );
}

#[test]
fn a_token_that_moves_leaves_its_old_place() {
    let good = token("in", json!({}));
    let cookie = json!({"type": "InCookie", "name": "t"});
    let other = json!({"type": "InHeader", "name": "X-Out", "remove": ""});
    let case = Case::one(verifier(header(), transform(other.clone())));
    let (flow, _) = case.with_token(&good);
    assert_eq!(sent(&flow, "authorization"), None);
    assert!(sent(&flow, "x-out").is_some());
    let case = Case::one(verifier(header(), transform(cookie.clone())));
    let (flow, _) = case.with_token(&good);
    assert_eq!(sent(&flow, "authorization"), None);
    assert!(sent(&flow, "cookie").expect("a cookie").starts_with("t=ey"));
    let case = Case::one(verifier(cookie, transform(other)));
    let line = format!("a=1; t={good}; b=2");
    let (flow, _) = case.ask("/", &[("cookie", &line)]);
    assert_eq!(sent(&flow, "cookie").as_deref(), Some("a=1; b=2"));
    assert!(sent(&flow, "x-out").is_some());
}

#[test]
fn default_tokens_are_made_for_those_who_have_none() {
    let strategy = |strict: bool| {
        json!({"type": "DefaultToken", "strict": strict,
            "token": {"iss": "${token.iss}", "sub": "${token.sub}", "iat": "${iat}", "exp": "${exp}"},
            "verificationSettings": {"fields": {}, "arrayFields": {}}})
    };
    let case = Case::one(verifier(header(), strategy(true)));
    let (flow, next) = case.ask("/", &[]);
    assert_eq!(next, Next::Forward);
    let value = sent(&flow, "authorization").expect("a token");
    let value = value.strip_prefix("Bearer ").expect("the scheme");
    let now = NOW_S as i64;
    assert_eq!(
        read(value, "in"),
        json!({"iss": "Otoroshi", "sub": "anonymous", "iat": now, "exp": now + 60})
    );
    let own = format!("Bearer {}", token("in", json!({})));
    assert_eq!(
        case.refusal(&[("authorization", &own)]),
        (400, "error.token.already.present".to_owned())
    );
    let case = Case::one(verifier(header(), strategy(false)));
    assert_eq!(case.ask("/", &[("authorization", &own)]).1, Next::Forward);
}

#[test]
fn the_first_verifier_that_accepts_wins() {
    let mut other = verifier(header(), pass(json!({})));
    other["id"] = json!("w");
    other["algoSettings"] = hs("second");
    let case = Case::new(
        &[verifier(header(), pass(json!({}))), other],
        plan(&["v", "unknown", "w"]),
    );
    for secret in ["in", "second"] {
        assert_eq!(case.with_token(&token(secret, json!({}))).1, Next::Forward);
    }
    assert_eq!(case.with_token(&token("third", json!({}))).1, Next::Reply);
}

#[test]
fn an_answer_of_ones_own_replaces_the_refusal() {
    let steps = json!([{"phase": "access", "kind": "jwt_verification", "verifiers": ["v"],
        "custom_response": true, "custom_response_status": 418,
        "custom_response_headers": {"x-a": "b"}, "custom_response_body": "no"}]);
    let case = Case::new(&[verifier(header(), pass(json!({})))], steps);
    let (mut flow, next) = case.ask("/", &[]);
    assert_eq!((next, flow.response.status), (Next::Reply, 418));
    assert_eq!(flow.response.headers.find(b"x-a"), Some(&b"b"[..]));
    let kind = flow.response.headers.find(b"content-type");
    assert_eq!(kind, Some(&b"application/json"[..]));
    assert_eq!(flow.take_body(), Some(b"no".to_vec()));
}

#[test]
fn verification_only_may_let_those_without_token_pass() {
    let steps = |fail: bool| {
        json!([{"phase": "access", "kind": "jwt_verification_only", "verifier": "v",
            "fail_if_absent": fail}])
    };
    let entity = || verifier(header(), pass(json!({})));
    let lenient = Case::new(&[entity()], steps(false));
    assert_eq!(lenient.ask("/", &[]).1, Next::Forward);
    assert_eq!(lenient.with_token("x").1, Next::Reply);
    let strict = Case::new(&[entity()], steps(true));
    assert_eq!(strict.ask("/", &[]).1, Next::Reply);
    let unknown = Case::new(&[], steps(false));
    assert_eq!(unknown.refusal(&[]), (400, "bad request".to_owned()));
}

#[test]
fn the_signer_gives_every_request_a_token() {
    let signer = |replace: bool, fail: bool| {
        json!([
            {"phase": "access", "kind": "jwt_signer", "verifier": "v",
             "replace_if_present": replace, "fail_if_present": fail},
            {"phase": "transform_request", "kind": "jwt_signer", "verifier": "v",
             "replace_if_present": replace, "fail_if_present": fail},
        ])
    };
    let strategy = json!({"type": "DefaultToken", "strict": true,
        "token": {"sub": "me", "more": "{iat}", "nbf": "{nbf}"}});
    let entity = || verifier(header(), strategy.clone());
    let case = Case::new(&[entity()], signer(true, false));
    let (flow, next) = case.with_token("old");
    assert_eq!(next, Next::Forward);
    let value = sent(&flow, "authorization").expect("a token");
    let claims = read(value.strip_prefix("Bearer ").expect("the scheme"), "in");
    let now = NOW_S as i64;
    for (name, wanted) in [
        ("iss", json!("Otoroshi")),
        ("aud", json!("backend")),
        ("sub", json!("me")),
        ("iat", json!(now)),
        ("nbf", json!(now)),
        ("exp", json!(now + 60)),
    ] {
        assert_eq!(claims[name], wanted, "{name}");
    }
    assert_eq!(claims["jti"].as_str().map(str::len), Some(36));
    let kept = Case::new(&[entity()], signer(false, false));
    let (flow, _) = kept.with_token("old");
    assert_eq!(sent(&flow, "authorization").as_deref(), Some("Bearer old"));
    let fails = Case::new(&[entity()], signer(true, true));
    assert_eq!(fails.with_token("old").1, Next::Reply);
    assert_eq!(fails.ask("/", &[]).1, Next::Forward);
    let unknown = Case::new(&[], signer(true, false));
    assert_eq!(unknown.refusal(&[]), (400, "bad request".to_owned()));
}

const SEED: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
const POINT: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

#[test]
fn a_key_set_that_is_not_there_is_left_to_the_hook_and_then_decided_here() {
    let mut entity = verifier(header(), pass(json!({})));
    entity["algoSettings"] = json!({"type": "JWKSAlgoSettings", "url": "https://keys.example/set",
        "timeout": 700, "headers": {"a": "b"}, "ttl": 1000, "kty": "OKP"});
    let case = Case::one(entity);
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "k", "d": SEED, "x": POINT});
    let Value::Object(jwk) = jwk else {
        panic!("no object")
    };
    let key = crate::jose::jwk::signing_key(&jwk, Algorithm::EdDsa).expect("a key");
    let good = key.sign(&Map::new(), &Map::new()).expect("signed");
    let (mut flow, next) = case.with_token(&good);
    let hook = PythonStep {
        slot: 3,
        inline: false,
    };
    assert_eq!(next, Next::Python(hook));
    let wanted = flow.attrs.wanted_key_set.clone().expect("settings");
    let wanted: Value = serde_json::from_str(&wanted).expect("JSON");
    assert_eq!(wanted["url"], "https://keys.example/set");
    assert_eq!(
        (&wanted["timeout"], &wanted["headers"]["a"]),
        (&json!(700), &json!("b"))
    );
    assert!(matches!(flow.decide_again(), Outcome::Python));
    let set = json!({"keys": [jwk]}).to_string();
    let sets = &case.snapshot.key_sets;
    let request = flow.attrs.wanted_key_set.clone().expect("settings");
    sets.put(&request, set.as_bytes(), 5.0).expect("a set");
    assert!(matches!(flow.decide_again(), Outcome::Continue));
    assert_eq!(flow.advance(), Next::Forward);
    // Another kind of key than the verifier asks for never starts a fetch.
    let hs = token("in", json!({}));
    assert_eq!(case.with_token(&hs).1, Next::Reply);
    let refused = case.refusal(&[("authorization", &format!("Bearer {hs}"))]);
    assert_eq!(refused, (400, "error.bad.input.algorithm.name".to_owned()));
}

#[test]
fn entities_that_cannot_be_used_say_which_field() {
    let good = verifier(header(), pass(json!({})));
    for (path, value, word) in [
        ("/source", json!({"type": "InBody", "name": "x"}), "source"),
        ("/source/name", json!(""), "source.name"),
        ("/algoSettings/size", json!(1), "algoSettings.size"),
        ("/algoSettings/secret", json!(""), "algoSettings.secret"),
        ("/strategy/type", json!("Odd"), "strategy.type"),
        (
            "/strategy/verificationSettings/fields",
            json!({"a": "Regex(()"}),
            "fields.a",
        ),
    ] {
        let mut entity = good.clone();
        *entity.pointer_mut(path).expect("a field") = value;
        let Value::Object(entity) = entity else {
            panic!("no object")
        };
        let problem = super::JwtVerifier::of_json("v", &entity).expect_err("refused");
        assert!(problem.contains(word), "{problem}");
    }
}
