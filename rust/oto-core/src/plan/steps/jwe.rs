//! Encrypted tokens for the backend, and from the client (`JweSigner`, `JweExtractor`).

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{At, NativeStep, Outcome, StepSettings};
use crate::expression::JsonTemplate;
use crate::http1::headers::is_value;
use crate::jose::jwe::{Contents, Decrypter, Encrypter, KeyWrap, named};
use crate::jwt::{Injection, Source, random_id};
use crate::plan::Reply;
use crate::tls::Certificate;

/// Seconds that a token made here lives. Source: Otoroshi.
const LIFE_S: i64 = 30;

#[derive(Debug, Deserialize)]
pub(super) struct Common {
    #[serde(default = "oaep")]
    key_management_algorithm: String,
    #[serde(default = "cbc")]
    content_encryption_algorithm: String,
    #[serde(default, rename = "certId")]
    cert_id: Option<String>,
    source: Value,
    forward_location: Value,
    #[serde(default)]
    strict: bool,
    #[serde(default)]
    payload: Map<String, Value>,
}

fn oaep() -> String {
    "RSA_OAEP_256".to_owned()
}

fn cbc() -> String {
    "A128CBC_HS256".to_owned()
}

#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct SignerSettings(Common);

#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct ExtractorSettings(Common);

/// What both steps share.
#[derive(Debug)]
struct Jwe {
    wrap: KeyWrap,
    contents: Contents,
    certificate: Box<str>,
    source: Source,
}

impl Common {
    fn prepare(&self) -> Result<Jwe, String> {
        let found = named(
            &self.key_management_algorithm,
            &self.content_encryption_algorithm,
        );
        let (wrap, contents) = found.ok_or(
            "key_management_algorithm, content_encryption_algorithm: unknown; use RSA_OAEP_256, \
             RSA_OAEP_384 or RSA_OAEP_512, and A128CBC_HS256, A192CBC_HS384, A256CBC_HS512, \
             A128GCM, A192GCM or A256GCM",
        )?;
        Ok(Jwe {
            wrap,
            contents,
            certificate: self.cert_id.clone().unwrap_or_default().into(),
            source: Source::read(&self.source).map_err(|it| format!("source.{it}"))?,
        })
    }
}

impl Jwe {
    fn certificate(&self, at: &At<'_>) -> Option<Arc<Certificate>> {
        let certificates = &at.flow.snapshot.tables.certificates;
        certificates.get(&self.certificate).cloned()
    }
}

fn writable(place: &Source, key: &str) -> Result<(), String> {
    if matches!(place, Source::Query(_)) {
        return Err(format!(
            "{key}.type: a token cannot be written into the query here; use InHeader or InCookie"
        ));
    }
    Ok(())
}

/// The step of `JweSigner`.
#[derive(Debug)]
pub(super) struct JweSigner {
    jwe: Jwe,
    payload: JsonTemplate,
}

impl StepSettings for SignerSettings {
    type Step = JweSigner;

    fn build(self) -> Result<JweSigner, String> {
        let mut jwe = self.0.prepare()?;
        writable(&jwe.source, "source")?;
        if let Source::Header { name, .. } = &jwe.source {
            jwe.source = Source::header(name, "Bearer ");
        }
        let payload = JsonTemplate::parse(&Value::Object(self.0.payload));
        Ok(JweSigner {
            jwe,
            payload: payload.map_err(|it| format!("payload: {it}"))?,
        })
    }
}

impl NativeStep for JweSigner {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        match self.token(at) {
            Some(token) => {
                self.jwe.source.inject(&token).apply(at.flow);
                Outcome::Continue
            }
            None => Outcome::Answer(Reply::json(400, &json!({"error": "invalid configuration"}))),
        }
    }
}

impl JweSigner {
    fn token(&self, at: &At<'_>) -> Option<String> {
        let certificate = self.jwe.certificate(at)?;
        let key = certificate.verifying_key()?;
        let encrypter = Encrypter::new(key.public()?, self.jwe.wrap, self.jwe.contents).ok()?;
        let now_s = at.flow.moment.unix_s as i64;
        let mut claims = json!({
            "iss": "Otoroshi", "sub": "Otoroshi", "aud": &*at.route.name,
            "exp": now_s + LIFE_S, "nbf": now_s, "jti": random_id()?,
        });
        if let (Value::Object(claims), Value::Object(more)) =
            (&mut claims, self.payload.render(at.flow))
        {
            claims.extend(more);
        }
        let mut header = Map::new();
        header.insert("kid".to_owned(), (&*certificate.id).into());
        header.insert("cty".to_owned(), "JWT".into());
        let token = encrypter.encrypt(&header, claims.to_string().as_bytes());
        token.ok()
    }
}

/// The step of `JweExtractor`.
#[derive(Debug)]
pub(super) struct JweExtractor {
    jwe: Jwe,
    place: Source,
    strict: bool,
}

impl StepSettings for ExtractorSettings {
    type Step = JweExtractor;

    fn build(self) -> Result<JweExtractor, String> {
        let place = Source::read(&self.0.forward_location)
            .map_err(|it| format!("forward_location.{it}"))?;
        writable(&place, "forward_location")?;
        // The contents go there as they are.
        let place = match place {
            Source::Header { name, .. } => Source::header(&name, ""),
            other => other,
        };
        Ok(JweExtractor {
            jwe: self.0.prepare()?,
            place,
            strict: self.0.strict,
        })
    }
}

impl NativeStep for JweExtractor {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let Some(certificate) = self.jwe.certificate(at) else {
            self.clear(at);
            return Outcome::Continue;
        };
        let Some(token) = self.jwe.source.find(&at.flow.request) else {
            let body = json!({"error": "something wrong happened"});
            return Outcome::Answer(Reply::json(400, &body));
        };
        let token = token.strip_prefix("Bearer ").unwrap_or(&token);
        match self.open(&certificate, token) {
            Some(text) => {
                let text = match &self.place {
                    Source::Cookie(_) => percent_encoded(&text),
                    _ => text,
                };
                self.place.inject(&text).apply(at.flow);
                Outcome::Continue
            }
            None if self.strict => {
                Outcome::Answer(Reply::json(401, &json!({"error": "invalid token"})))
            }
            None => {
                self.clear(at);
                Outcome::Continue
            }
        }
    }
}

impl JweExtractor {
    /// Take out what the client itself put where the backend looks for contents that were read.
    fn clear(&self, at: &mut At<'_>) {
        let mut injection = Injection::default();
        self.place.vacate(&self.jwe.source, &mut injection);
        injection.apply(at.flow);
    }

    fn open(&self, certificate: &Certificate, token: &str) -> Option<String> {
        let private = certificate.private_key()?;
        let decrypter = Decrypter::of(&private).ok()?;
        let plain = decrypter
            .decrypt(token, self.jwe.wrap, self.jwe.contents)
            .ok()?;
        let text = String::from_utf8(plain).ok()?;
        // What no header can carry would leave the client's own header there.
        let fits = matches!(self.place, Source::Cookie(_)) || is_value(text.as_bytes());
        fits.then_some(text)
    }
}

/// Text as a cookie carries it: everything but letters, digits and `-_.~` escaped.
fn percent_encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _written = write!(out, "%{byte:02X}");
        }
    }
    out
}
