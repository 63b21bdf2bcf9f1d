//! Answer with the metadata of a protected resource, RFC 9728 (`OAuthProtectedResourceMetadata`).

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{At, NativeStep, Outcome, StepSettings};
use crate::jose::{Algorithm, SigningKey};
use crate::plan::{Flow, Reply};

#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    /// The members that are always the same, in the names of RFC 9728.
    members: Map<String, Value>,
    resource: Option<String>,
    extra: Map<String, Value>,
    signing: Option<Signing>,
}

/// How the document is signed.
#[derive(Debug, Deserialize)]
struct Signing {
    certificate: String,
    algorithm: String,
    kid: Option<String>,
}

/// The step.
#[derive(Debug)]
pub(super) struct ResourceMetadata {
    members: Map<String, Value>,
    resource: Option<String>,
    extra: Map<String, Value>,
    signing: Option<(Signing, Algorithm)>,
}

impl StepSettings for Settings {
    type Step = ResourceMetadata;

    fn build(self) -> Result<ResourceMetadata, String> {
        let signing = self.signing.map(|signing| {
            let named = Algorithm::named(&signing.algorithm);
            let algorithm = named.ok_or_else(|| {
                format!(
                    "signing_alg: {:?} is none; use such as RS256, ES256",
                    signing.algorithm
                )
            })?;
            Ok::<_, String>((signing, algorithm))
        });
        Ok(ResourceMetadata {
            members: self.members,
            resource: self.resource,
            extra: self.extra,
            signing: signing.transpose()?,
        })
    }
}

impl NativeStep for ResourceMetadata {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let flow = &*at.flow;
        let resource = self.resource.clone().unwrap_or_else(|| {
            let scheme = if flow.secured { "https" } else { "http" };
            format!("{scheme}://{}/", flow.request.host())
        });
        let mut document = self.members.clone();
        document.insert("resource".to_owned(), resource.clone().into());
        merge(&mut document, &self.extra);
        if let Some(token) = self.signed(&document, &resource, flow) {
            document.insert("signed_metadata".to_owned(), token.into());
        }
        let mut reply = Reply::json(200, &Value::Object(document));
        let cache = (b"Cache-Control".to_vec(), b"public, max-age=3600".to_vec());
        reply.headers.push(cache);
        Outcome::Answer(reply)
    }

    fn explain(&self) -> Value {
        let certificate = self
            .signing
            .as_ref()
            .map(|(signing, _)| &signing.certificate);
        json!({ "resource": self.resource, "signed_with": certificate })
    }
}

impl ResourceMetadata {
    /// The document as a token; none when the certificate has no key for it.
    fn signed(&self, document: &Map<String, Value>, resource: &str, flow: &Flow) -> Option<String> {
        let (signing, algorithm) = self.signing.as_ref()?;
        let certificate = flow
            .snapshot
            .tables
            .certificates
            .get(&signing.certificate)?;
        if certificate.is_revoked {
            return None;
        }
        let key = SigningKey::from_private(certificate.private_key()?, *algorithm).ok()?;
        let key = key.with_kid(signing.kid.as_deref().unwrap_or(&certificate.id));
        let mut claims = document.clone();
        claims.insert("iss".to_owned(), resource.into());
        claims.insert("sub".to_owned(), resource.into());
        claims.insert("iat".to_owned(), (flow.moment.unix_s as i64).into());
        key.sign(&Map::new(), &claims).ok()
    }
}

/// Lay one object over another, member by member.
fn merge(document: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (name, value) in over {
        match (document.get_mut(name), value) {
            (Some(Value::Object(below)), Value::Object(above)) => merge(below, above),
            _ => {
                document.insert(name.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_merged_and_anything_else_is_replaced() {
        let mut document = json!({"a": {"b": 1, "c": {"d": 1}}, "e": [1]});
        let over = json!({"a": {"c": {"f": 2}, "b": null}, "e": [2], "g": 3});
        let (Some(below), Some(above)) = (document.as_object_mut(), over.as_object()) else {
            unreachable!("both are objects");
        };
        merge(below, above);
        let wanted = json!({"a": {"b": null, "c": {"d": 1, "f": 2}}, "e": [2], "g": 3});
        assert_eq!(document, wanted);
    }
}
