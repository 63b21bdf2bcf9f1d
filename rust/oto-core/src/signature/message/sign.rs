//! Signatures that the gateway makes itself (RFC 9421 §3.1).

use std::sync::Arc;

use serde::Deserialize;

use super::settings::{KeySettings, algorithm, given, is_pem, secret_bytes};
use super::{Algorithm, Component, Message, base, component_item};
use crate::http1::Headers;
use crate::jose::SigningKey;
use crate::signature::structured::{
    self, Bare, Dictionary, InnerList, Item, Member, write_dictionary,
};
use crate::tls::Certificates;

/// The settings of the plugin HttpSignatureSignResponse.
#[derive(Debug, Deserialize)]
pub struct SignerSettings {
    key: Option<KeySettings>,
    algorithm: String,
    keyid: String,
    signature_label: String,
    components: Vec<String>,
    expires_in_seconds: Option<i64>,
    include_created: bool,
    tag: Option<String>,
}

/// A signer whose key is ready, unless a certificate has it.
#[derive(Debug)]
pub struct Signer {
    key: Option<Origin>,
    algorithm: Algorithm,
    keyid: Option<String>,
    label: String,
    items: Vec<Item>,
    lasts_s: Option<i64>,
    is_dated: bool,
    tag: Option<String>,
}

#[derive(Debug)]
enum Origin {
    Inline(Arc<SigningKey>),
    Certificate(String),
}

/// What the two fields of a signed message say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// `Signature-Input`.
    pub input: String,
    /// `Signature`.
    pub signature: String,
}

impl Signer {
    /// Check the settings.
    ///
    /// # Errors
    /// Field, problem and fix; never a secret.
    pub fn build(settings: SignerSettings) -> Result<Self, String> {
        let algorithm = algorithm("algorithm", &settings.algorithm)?;
        let items = settings.components.iter().enumerate();
        let items = items
            .map(|(at, text)| {
                component_item(text).map_err(|problem| format!("components[{at}]: {problem}"))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut seen: Vec<Component> = Vec::new();
        for (at, item) in items.iter().enumerate() {
            let component = Component::read(item)?;
            if seen.contains(&component) {
                return Err(format!("components[{at}]: listed twice; leave one out"));
            }
            seen.push(component);
        }
        let label = given(Some(settings.signature_label)).unwrap_or_else(|| "sig1".to_owned());
        if structured::dictionary(format!("{label}=1").as_bytes()).is_err() {
            return Err(
                "signature_label: no label; use lower-case letters, digits and -_.*, a letter first"
                    .to_owned(),
            );
        }
        let (keyid, tag) = (given(Some(settings.keyid)), given(settings.tag));
        for (name, text) in [("keyid", &keyid), ("tag", &tag)] {
            let has_none = |text: &String| text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
            if !text.as_ref().is_none_or(has_none) {
                return Err(format!("{name}: printable ASCII only can be signed"));
            }
        }
        let key = settings
            .key
            .map(|key| origin(key, algorithm).map_err(|problem| format!("key.{problem}")));
        Ok(Self {
            key: key.transpose()?,
            algorithm,
            keyid,
            label,
            items,
            lasts_s: settings.expires_in_seconds,
            is_dated: settings.include_created,
            tag,
        })
    }

    /// Sign a message. Signatures that it has under other labels stay.
    ///
    /// # Errors
    /// Why it cannot be signed: there is no key, or the message lacks a component.
    pub fn sign(
        &self,
        message: &Message<'_>,
        certificates: &Certificates,
        unix_s: i64,
        nonce: Option<&str>,
    ) -> Result<Signed, String> {
        let key = match self.key.as_ref().ok_or("no key is configured")? {
            Origin::Inline(key) => Arc::clone(key),
            Origin::Certificate(id) => {
                let private = certificates
                    .get(id)
                    .filter(|certificate| !certificate.is_revoked)
                    .and_then(|certificate| certificate.private_key())
                    .ok_or_else(|| format!("certificate {id:?} is not there, or has no key"))?;
                let key = SigningKey::from_private(private, self.algorithm.same_as);
                Arc::new(key.map_err(|error| format!("certificate {id:?}: {error}"))?)
            }
        };
        let text = |text: &str| Bare::String(text.to_owned());
        let parameters = [
            ("created", self.is_dated.then_some(Bare::Integer(unix_s))),
            (
                "expires",
                self.lasts_s
                    .map(|lasts_s| Bare::Integer(unix_s.saturating_add(lasts_s))),
            ),
            ("keyid", self.keyid.as_deref().map(text)),
            ("alg", Some(text(self.algorithm.name))),
            ("nonce", nonce.map(text)),
            ("tag", self.tag.as_deref().map(text)),
        ];
        let covered = InnerList {
            items: self.items.clone(),
            parameters: parameters
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?)))
                .collect(),
        };
        let text = base(message, &covered)?;
        let made = key.sign_bytes(&text).map_err(|error| error.to_string())?;
        let made = Item {
            value: Bare::Bytes(made),
            parameters: Vec::new(),
        };
        let headers = message
            .response
            .map_or(message.headers, |(_, headers)| headers);
        Ok(Signed {
            input: self.beside(headers, b"signature-input", Member::Inner(covered)),
            signature: self.beside(headers, b"signature", Member::Item(made)),
        })
    }

    /// A field with a member under the signer's label beside what it has already.
    fn beside(&self, headers: &Headers, name: &[u8], member: Member) -> String {
        let lines: Vec<&[u8]> = headers.find_all(name).collect();
        // What is malformed is of no use to anybody.
        let mut members: Dictionary =
            structured::dictionary(&lines.join(&b", "[..])).unwrap_or_default();
        members.retain(|(label, _)| *label != self.label);
        members.push((self.label.clone(), member));
        write_dictionary(&members)
    }
}

/// The key that signs.
fn origin(settings: KeySettings, algorithm: Algorithm) -> Result<Origin, String> {
    match settings.kind.as_str() {
        "inline" => {
            let text = given(settings.secret_or_pem)
                .ok_or("secret_or_pem: missing; give a secret or a private key in PEM")?;
            let of = |error| format!("secret_or_pem: {error}");
            let key = if is_pem(&text) {
                SigningKey::from_pem(&text, algorithm.same_as).map_err(of)
            } else {
                SigningKey::from_secret(&secret_bytes(&text)?, algorithm.same_as).map_err(of)
            };
            Ok(Origin::Inline(Arc::new(key?)))
        }
        "cert" => Ok(Origin::Certificate(
            given(settings.cert_id).ok_or("cert_id: missing; give the id of a certificate")?,
        )),
        other => Err(format!("kind: {other:?} cannot sign; use inline or cert")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::signature::message::{Key, Policy, verify};

    fn settings() -> serde_json::Value {
        json!({
            "key": {"kind": "inline", "secret_or_pem": "shared"}, "algorithm": "hmac-sha256",
            "keyid": "k", "signature_label": "sig1", "components": ["@status", "a", "@path;req"],
            "expires_in_seconds": 300, "include_created": true, "tag": "t",
        })
    }

    fn signer(settings: serde_json::Value) -> Result<Signer, String> {
        Signer::build(serde_json::from_value(settings).expect("settings"))
    }

    fn headers(fields: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::default();
        for (name, value) in fields {
            headers.add(name.as_bytes(), value.as_bytes());
        }
        headers
    }

    fn sign(signer: &Signer, status: u16, fields: &Headers) -> Result<Signed, String> {
        let request = headers(&[("host", "api.test")]);
        let message = Message {
            method: "GET",
            scheme: "http",
            authority: "api.test",
            path: "/p",
            query: None,
            headers: &request,
            response: Some((status, fields)),
        };
        signer.sign(&message, &Certificates::default(), 1000, Some("n"))
    }

    #[test]
    fn what_is_signed_is_verified_and_nothing_else() {
        let signer = signer(settings()).expect("a signer");
        let bare = headers(&[("a", "1")]);
        let signed = sign(&signer, 200, &bare).expect("a signature");
        assert_eq!(
            signed.input,
            "sig1=(\"@status\" \"a\" \"@path\";req);created=1000;expires=1300;keyid=\"k\";\
             alg=\"hmac-sha256\";nonce=\"n\";tag=\"t\""
        );
        let policy = Policy {
            required: Vec::new(),
            allowed: vec![Algorithm::named("hmac-sha256").expect("an algorithm")],
            require_keyid: true,
            max_age_s: Some(10),
            skew_s: 0,
            label: None,
            mandatory: true,
        };
        let only = crate::jose::Algorithms::ALL;
        let key = crate::jose::VerifyingKey::from_secret(b"shared", only).expect("a key");
        let keys = [Key {
            keyid: Some("k".to_owned()),
            algorithm: None,
            key: Arc::new(key),
        }];
        for (path, status, is_good) in [("/p", 200, true), ("/q", 200, false), ("/p", 201, false)] {
            let request = headers(&[("host", "api.test")]);
            let fields = headers(&[
                ("a", "1"),
                ("signature-input", &signed.input),
                ("signature", &signed.signature),
            ]);
            let message = Message {
                method: "GET",
                scheme: "http",
                authority: "api.test",
                path,
                query: None,
                headers: &request,
                response: Some((status, &fields)),
            };
            let verified = verify(&message, &policy, &keys, 1005);
            assert_eq!(verified.is_ok(), is_good, "{path} {status}: {verified:?}");
        }
    }

    #[test]
    fn other_signatures_stay() {
        let signer = signer(settings()).expect("a signer");
        let theirs = headers(&[
            ("a", "1"),
            ("signature-input", "sig1=(), b=(\"date\");keyid=\"x\""),
            ("signature", "b=:AAAA:, sig1=:AAAA:"),
        ]);
        let signed = sign(&signer, 200, &theirs).expect("a signature");
        assert!(signed.input.starts_with("b=(\"date\");keyid=\"x\", sig1=("));
        assert!(signed.signature.starts_with("b=:AAAA:, sig1=:"));
        let broken = headers(&[("a", "1"), ("signature", "((")]);
        let signed = sign(&signer, 200, &broken).expect("a signature");
        assert!(signed.signature.starts_with("sig1=:"));
    }

    #[test]
    fn a_message_that_lacks_a_component_is_not_signed() {
        let signer = signer(settings()).expect("a signer");
        let problem = sign(&signer, 200, &headers(&[])).expect_err("no field");
        assert!(problem.contains("\"a\""), "{problem}");
    }

    #[test]
    fn settings_that_cannot_work_name_their_field() {
        let with = |name: &str, value: serde_json::Value| {
            let mut changed = settings();
            changed[name] = value;
            signer(changed).expect_err(name)
        };
        for (name, value, field) in [
            ("algorithm", json!("none"), "algorithm: "),
            ("algorithm", json!("ed25519"), "key.secret_or_pem: "),
            ("keyid", json!("é"), "keyid: "),
            ("tag", json!("a\nb"), "tag: "),
            ("signature_label", json!("A b"), "signature_label: "),
            ("components", json!(["@nothing"]), "components[0]: "),
            ("components", json!(["a", "a"]), "components[1]: "),
            (
                "key",
                json!({"kind": "jwks", "url": "https://a"}),
                "key.kind: ",
            ),
            ("key", json!({"kind": "inline"}), "key.secret_or_pem: "),
            ("key", json!({"kind": "cert"}), "key.cert_id: "),
        ] {
            let problem = with(name, value);
            assert!(problem.starts_with(field), "{problem}");
            assert!(!problem.contains("shared"), "{problem}");
        }
        let mut none = settings();
        none["key"] = json!(null);
        let none = signer(none).expect("a signer");
        assert_eq!(
            sign(&none, 200, &headers(&[("a", "1")])),
            Err("no key is configured".to_owned())
        );
    }
}
