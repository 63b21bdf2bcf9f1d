//! The entity, and what it decides of an exchange.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::checks::Checks;
use super::injection::Injection;
use super::source::Source;
use super::strategy::{Strategy, generate};
use crate::expression::Template;
use crate::jose::{Algo, AlgoSettings, Choice, Jws, Keyring, SigningKey, Verified, encoding};
use crate::plan::{Flow, TableEntity};

/// A verifier, ready for use.
#[derive(Debug)]
pub struct JwtVerifier {
    /// The entity's id.
    pub id: Box<str>,
    /// Whether a token must be there.
    pub strict: bool,
    /// Where the token is.
    pub source: Source,
    keys: Keys,
    checks: Checks,
    /// What happens then.
    pub strategy: Strategy,
}

/// What a verifier says of an exchange.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It may go on; what was found is in its attributes.
    Accept,
    /// It may not: status and message of the answer.
    Refuse(u16, &'static str),
    /// A key set has to be fetched first: its settings as JSON.
    Fetch(Arc<str>),
}

/// Settings of keys, ready or to be read for each request because they have expressions.
#[derive(Debug)]
pub enum Keys {
    /// Ready.
    Ready(Algo),
    /// With expressions.
    PerRequest(AlgoSettings),
}

impl Keys {
    pub(super) fn read(json: &Value) -> Result<Self, String> {
        let settings = AlgoSettings::read(json)?;
        if settings.has_expressions() {
            return Ok(Self::PerRequest(settings));
        }
        settings
            .prepare()
            .map(Self::Ready)
            .map_err(|error| error.to_string())
    }

    fn with<R>(&self, flow: &Flow, then: impl FnOnce(&Algo) -> Option<R>) -> Option<R> {
        match self {
            Self::Ready(algo) => then(algo),
            Self::PerRequest(settings) => {
                let mut settings = settings.clone();
                for text in settings.texts_mut() {
                    *text = Template::parse(text).ok()?.found(flow)?;
                }
                then(&settings.prepare().ok()?)
            }
        }
    }

    /// The key to sign with.
    #[must_use]
    pub fn signing(&self, flow: &Flow) -> Option<Arc<SigningKey>> {
        let certificates = &flow.snapshot.tables.certificates;
        self.with(flow, |algo| algo.signing(certificates))
    }
}

/// A good token, and the text it came as.
struct Accepted {
    verified: Verified,
    raw: Arc<str>,
}

/// A good token that a request has, before any strategy is applied.
#[derive(Debug)]
pub struct Identified {
    /// The token as it was sent.
    pub token: Arc<str>,
    /// Its claims, an object.
    pub claims: Arc<Value>,
}

enum Rejected {
    Algorithm,
    Token,
    Fetch(Arc<str>),
}

const BAD_INPUT: Verdict = Verdict::Refuse(400, "error.bad.input.algorithm.name");
const BAD_OUTPUT: Verdict = Verdict::Refuse(400, "error.bad.output.algorithm.name");
const BAD_TOKEN: Verdict = Verdict::Refuse(400, "error.bad.token");
const NO_TOKEN: Verdict = Verdict::Refuse(400, "error.expected.token.not.found");
const TOKEN_PRESENT: Verdict = Verdict::Refuse(400, "error.token.already.present");

impl TableEntity for JwtVerifier {
    fn read(id: &str, json: &[u8]) -> Result<Self, String> {
        let json = encoding::object(json, "no JSON object").map_err(|error| error.to_string())?;
        Self::of_json(id, &json)
    }
}

impl JwtVerifier {
    /// Make an entity's JSON ready.
    ///
    /// # Errors
    /// Field, problem and fix.
    pub fn of_json(id: &str, json: &Map<String, Value>) -> Result<Self, String> {
        let member = |name: &str| json.get(name).unwrap_or(&Value::Null);
        let (strategy, checks) =
            Strategy::read(member("strategy")).map_err(|it| format!("strategy.{it}"))?;
        Ok(Self {
            id: id.into(),
            strict: member("strict").as_bool().unwrap_or(false),
            source: Source::read(member("source")).map_err(|it| format!("source.{it}"))?,
            keys: Keys::read(member("algoSettings")).map_err(|it| format!("algoSettings.{it}"))?,
            checks,
            strategy,
        })
    }

    /// Whether the request has a token where this verifier looks.
    #[must_use]
    pub fn is_present(&self, flow: &Flow) -> bool {
        self.source.find(&flow.request).is_some()
    }

    /// Decide. On `Accept` the exchange's attributes hold the claims, and the injection for the
    /// backend.
    ///
    /// Cost: one copy of the token, one check of its signature, one JSON read of its claims.
    pub fn decide(&self, flow: &mut Flow) -> Verdict {
        let Some(token) = self.source.find(&flow.request) else {
            return match &self.strategy {
                Strategy::DefaultToken { token, .. } => {
                    let Some(key) = self.keys.signing(flow) else {
                        return BAD_OUTPUT;
                    };
                    let claims = generate(token, false, flow);
                    self.send_on(&key, claims, &self.source, flow)
                }
                _ if self.strict => NO_TOKEN,
                _ => Verdict::Accept,
            };
        };
        let raw: Arc<str> = token.strip_prefix("Bearer ").unwrap_or(&token).into();
        let accepted = match self.check(raw, flow) {
            Ok(accepted) => accepted,
            Err(Rejected::Algorithm) => return BAD_INPUT,
            Err(Rejected::Token) => return BAD_TOKEN,
            Err(Rejected::Fetch(settings)) => return Verdict::Fetch(settings),
        };
        if matches!(&self.strategy, Strategy::DefaultToken { strict: true, .. }) {
            return TOKEN_PRESENT;
        }
        let Value::Object(claims) = &*accepted.verified.claims else {
            return BAD_TOKEN;
        };
        flow.attrs.claims = Some(Arc::clone(&accepted.verified.claims));
        flow.attrs.token_header = Some(Arc::clone(&accepted.verified.header));
        flow.attrs.token_in = Some(Arc::clone(&accepted.raw));
        match &self.strategy {
            Strategy::PassThrough | Strategy::DefaultToken { .. } => {
                flow.attrs.claims_out = flow.attrs.claims.clone();
                flow.attrs.token_out = Some(accepted.raw);
                flow.attrs.injection = None;
                Verdict::Accept
            }
            Strategy::Sign(keys) => match keys.signing(flow) {
                Some(key) => self.send_on(&key, claims.clone(), &self.source, flow),
                None => BAD_OUTPUT,
            },
            Strategy::Transform(transform) => match transform.keys.signing(flow) {
                Some(key) => {
                    let claims = transform.claims(claims, flow);
                    self.send_on(&key, claims, &transform.location, flow)
                }
                None => BAD_OUTPUT,
            },
        }
    }

    /// Say whose token the request has, and leave the request and its attributes as they are but
    /// for `claims`.
    ///
    /// # Errors
    /// The verdict that refuses the token, or asks for a key set.
    pub fn identify(&self, flow: &mut Flow) -> Result<Option<Identified>, Verdict> {
        let Some(token) = self.source.find(&flow.request) else {
            return Ok(None);
        };
        let token: Arc<str> = token.strip_prefix("Bearer ").unwrap_or(&token).into();
        let verified = self.verify(&token, flow)?;
        if matches!(&self.strategy, Strategy::DefaultToken { strict: true, .. }) {
            return Err(TOKEN_PRESENT);
        }
        flow.attrs.claims = Some(Arc::clone(&verified.claims));
        Ok(Some(Identified {
            token,
            claims: verified.claims,
        }))
    }

    /// Check a token that came from anywhere: signature, times, claims.
    ///
    /// # Errors
    /// The verdict that refuses it, or asks for a key set.
    pub fn verify(&self, token: &str, flow: &Flow) -> Result<Verified, Verdict> {
        self.check(token.into(), flow)
            .map(|accepted| accepted.verified)
            .map_err(|rejected| match rejected {
                Rejected::Algorithm => BAD_INPUT,
                Rejected::Token => BAD_TOKEN,
                Rejected::Fetch(settings) => Verdict::Fetch(settings),
            })
    }

    fn check(&self, raw: Arc<str>, flow: &Flow) -> Result<Accepted, Rejected> {
        let jws = Jws::parse(&raw).map_err(|_| Rejected::Token)?;
        let ring = Keyring {
            certificates: &flow.snapshot.tables.certificates,
            sets: &flow.snapshot.key_sets,
            mono_s: flow.moment.mono_s,
        };
        let chosen = self.keys.with(flow, |algo| {
            Some((algo.verifying(jws.header(), ring), algo.algorithms()))
        });
        let (key, allowed) = match chosen {
            Some((Choice::Key(key), allowed)) => (key, allowed),
            Some((Choice::Fetch(settings), _)) => return Err(Rejected::Fetch(settings)),
            _ => return Err(Rejected::Algorithm),
        };
        if !allowed.has(jws.header().algorithm) {
            return Err(Rejected::Token);
        }
        let verified = jws.verified(&key).map_err(|_| Rejected::Token)?;
        let Value::Object(claims) = &*verified.claims else {
            return Err(Rejected::Token);
        };
        self.checks
            .check(claims, flow)
            .map_err(|_| Rejected::Token)?;
        Ok(Accepted { verified, raw })
    }

    /// Sign claims and keep what puts them into the backend's request.
    fn send_on(
        &self,
        key: &SigningKey,
        claims: Map<String, Value>,
        place: &Source,
        flow: &mut Flow,
    ) -> Verdict {
        let Ok(token) = key.sign(&Map::new(), &claims) else {
            return BAD_OUTPUT;
        };
        let mut injection: Injection = place.inject(&token);
        self.source.vacate(place, &mut injection);
        flow.attrs.injection = Some(Arc::new(injection));
        flow.attrs.claims_out = Some(Arc::new(Value::Object(claims)));
        flow.attrs.token_out = Some(token.into());
        Verdict::Accept
    }

    /// The keys, to sign a token of this verifier's own.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }
}
