//! Whether a client is who it says: secrets, tokens and signatures, compared in constant time.

use std::fmt;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use serde_json::{Map, Value};

use super::entity::ApiKey;
use super::extract::{BEARER_START, Credential, Proof};
use super::table::KEY_PAIR;
use crate::jose::{
    Algorithm, Algorithms, Family, JoseError, Jws, MAX_TOKEN_BYTES, Private, Rules, SigningKey,
    Verifier, VerifyingKey,
};
use crate::tls::Certificates;

/// What is made of a key's secrets when they are first needed.
pub(super) struct Prepared {
    bearer: [u8; 32],
    next_bearer: Option<[u8; 32]>,
    verifying: OnceLock<Vec<VerifyingKey>>,
}

impl Prepared {
    pub(super) fn of(key: &ApiKey) -> Self {
        Self {
            bearer: digest_of(key.client_id(), key.secret()),
            next_bearer: key
                .next_secret()
                .map(|secret| digest_of(key.client_id(), secret)),
            verifying: OnceLock::new(),
        }
    }
}

fn digest_of(client_id: &str, secret: &str) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let start = [BEARER_START, client_id].concat();
    let mut digest = [0; 32];
    digest.copy_from_slice(hmac::sign(&key, start.as_bytes()).as_ref());
    digest
}

/// The token that stands for a client's id and secret: `otoapk_<id>_<hex of an HMAC-SHA256>`.
#[must_use]
pub fn bearer_of(client_id: &str, secret: &str) -> String {
    use fmt::Write as _;
    let mut token = [BEARER_START, client_id, "_"].concat();
    for byte in digest_of(client_id, secret) {
        // Writing to a text cannot fail.
        let _ = write!(token, "{byte:02x}");
    }
    token
}

/// Why a client that is known was not let in. The texts are Otoroshi's, unbalanced quotes included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The key is disabled or expired.
    Disabled,
    /// The secret is not the key's, or the key is disabled.
    Secret,
    /// The token is not the key's.
    Bearer,
    /// The id alone does not suffice.
    Unmatched,
    /// The token is signed with an algorithm that is not accepted here.
    Algorithm,
    /// The token's signature, times or claims are wrong.
    Jwt,
}

impl Refused {
    /// What the exchange's event says under `apikey_rejection_reason`; it never holds the proof.
    #[must_use]
    pub fn reason(self, client_id: &str) -> String {
        match self {
            Self::Disabled => format!("apikey {client_id}' disabled"),
            Self::Secret => {
                format!("apikey {client_id}' disabled or secret/next.secret does not match")
            }
            Self::Bearer => format!("apikey {client_id}' bearer/next.bearer does not match"),
            Self::Unmatched => {
                let tuple = serde_json::json!({ "clientId": client_id });
                format!("unmatched ApikeyTuple({tuple})")
            }
            Self::Algorithm => "JWT alg does not match supported ones".into(),
            Self::Jwt => "None".into(),
        }
    }
}

/// What tokens that clients sign must be.
#[derive(Clone, Copy, Debug)]
pub struct JwtRules {
    /// Whether the client's secret may sign.
    pub secret_signed: bool,
    /// Whether a key pair among the certificates may sign.
    pub keypair_signed: bool,
    /// Whether the token must name path, method and host of the request.
    pub include_request_attrs: bool,
    /// The longest life, `exp` less `iat`, in seconds.
    pub max_lifespan_s: Option<f64>,
}

/// The request that a proof came with.
pub struct Asking<'a> {
    /// Now, in Unix seconds.
    pub unix_s: f64,
    /// Whether it came over TLS.
    pub secured: bool,
    /// The method.
    pub method: &'a str,
    /// Host with port.
    pub host: &'a str,
    /// The path.
    pub path: &'a str,
    /// The query, without `?`.
    pub query: Option<&'a str>,
    /// The header `X-XSRF-TOKEN`.
    pub xsrf_token: Option<&'a [u8]>,
    /// Key pairs that may have signed.
    pub certificates: &'a Certificates,
}

impl Asking<'_> {
    fn uri(&self) -> String {
        match self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.to_owned(),
        }
    }

    fn url(&self) -> String {
        let scheme = if self.secured { "https" } else { "http" };
        format!("{scheme}://{}{}", self.host, self.uri())
    }
}

impl ApiKey {
    /// Whether a text is the secret, or the next one while both are good.
    ///
    /// Cost: the same for every text of a length; how long secrets are is no secret.
    #[must_use]
    pub fn has_secret(&self, secret: &str) -> bool {
        let is_own = is_equal(self.secret().as_bytes(), secret.as_bytes());
        let is_next = self
            .next_secret()
            .is_some_and(|next| is_equal(next.as_bytes(), secret.as_bytes()));
        is_own | is_next
    }

    /// Whether a token `otoapk_<id>_<hex>` stands for this key.
    #[must_use]
    pub fn has_bearer(&self, token: &str) -> bool {
        let Some(given) = token
            .strip_prefix(BEARER_START)
            .and_then(|rest| rest.strip_prefix(self.client_id()))
            .and_then(|rest| rest.strip_prefix('_'))
            .and_then(digest_from)
        else {
            return false;
        };
        let prepared = self.prepared();
        let is_own = is_equal(&prepared.bearer, &given);
        let is_next = prepared
            .next_bearer
            .is_some_and(|next| is_equal(&next, &given));
        is_own | is_next
    }

    /// Check a credential that names this key.
    ///
    /// # Returns
    /// The claims of a token, if it is one.
    ///
    /// # Errors
    /// Why the client is not let in.
    pub fn check(
        &self,
        credential: &Credential<'_>,
        rules: &JwtRules,
        asking: &Asking<'_>,
    ) -> Result<Option<Arc<Value>>, Refused> {
        let is_enabled = self.is_enabled(asking.unix_s);
        match &credential.proof {
            Proof::Nothing if !self.allows_client_id_only() => Err(Refused::Unmatched),
            Proof::Nothing if !is_enabled => Err(Refused::Disabled),
            Proof::Nothing => Ok(None),
            // Compared even when the key is disabled: the time taken tells nothing of that.
            Proof::Secret(secret) if self.has_secret(secret) & is_enabled => Ok(None),
            Proof::Secret(_) => Err(Refused::Secret),
            Proof::Bearer(token) if !self.has_bearer(token) => Err(Refused::Bearer),
            Proof::Bearer(_) if !is_enabled => Err(Refused::Disabled),
            Proof::Bearer(_) => Ok(None),
            Proof::Jwt(_) if !is_enabled => Err(Refused::Disabled),
            Proof::Jwt(token) => self.check_jwt(token, rules, asking).map(Some),
        }
    }

    fn check_jwt(
        &self,
        token: &str,
        rules: &JwtRules,
        asking: &Asking<'_>,
    ) -> Result<Arc<Value>, Refused> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Refused::Jwt);
        }
        let jws = Jws::parse(token).map_err(|_| Refused::Algorithm)?;
        let algorithm = jws.header().algorithm;
        let verify = |key: &VerifyingKey| {
            let verifier = Verifier {
                algorithms: Algorithms::only(algorithm),
                rules: Rules::default(),
            };
            verifier.verify_with(&jws, key, asking.unix_s)
        };
        let verified = match algorithm.family() {
            Family::Hmac if rules.secret_signed => self
                .verifying_keys()
                .iter()
                .find_map(|key| verify(key).ok())
                .ok_or(Refused::Jwt)?,
            Family::Rsa | Family::Ec if rules.keypair_signed && is_otoroshis(algorithm) => {
                let key = self.key_pair(jws.header().kid(), asking)?;
                verify(&key).map_err(|_| Refused::Jwt)?
            }
            _ => return Err(Refused::Algorithm),
        };
        let claims = verified.claims.as_object().ok_or(Refused::Jwt)?;
        claims_fit(claims, rules, asking)
            .then_some(verified.claims.clone())
            .ok_or(Refused::Jwt)
    }

    /// The secrets, ready to verify signatures.
    fn verifying_keys(&self) -> &[VerifyingKey] {
        self.prepared().verifying.get_or_init(|| {
            [Some(self.secret()), self.next_secret()]
                .into_iter()
                .flatten()
                .filter_map(|secret| {
                    let allowed = Algorithms::of_family(Family::Hmac);
                    VerifyingKey::from_secret(secret.as_bytes(), allowed).ok()
                })
                .collect()
        })
    }

    /// The key pair that signed: the one the key's metadata name, and the token must agree, else the
    /// one that the token names.
    fn key_pair(
        &self,
        kid: Option<&str>,
        asking: &Asking<'_>,
    ) -> Result<Arc<VerifyingKey>, Refused> {
        let (id, is_the_keys) = match (self.metadata(KEY_PAIR), kid) {
            (Some(own), Some(kid)) if own != kid => return Err(Refused::Jwt),
            (Some(own), _) => (own, true),
            (None, kid) => (kid.ok_or(Refused::Jwt)?, false),
        };
        let certificate = asking.certificates.get(id).ok_or(Refused::Jwt)?;
        // Other certificates have owners besides the gateway: whoever holds the private key of one,
        // a client's say, could sign in the name of every API key.
        if certificate.is_revoked || !(is_the_keys || certificate.is_keypair) {
            return Err(Refused::Jwt);
        }
        certificate.verifying_key().ok_or(Refused::Jwt)
    }

    /// What tokens are signed with that the gateway gives to this client: the key pair that its
    /// metadata name, else another one, else its secret.
    ///
    /// RS256 for RSA. For EC the curve's own algorithm, where Otoroshi says ES384 whatever the curve
    /// and so fails for all others. HS512 with the secret when there is no such pair.
    ///
    /// # Errors
    /// The secret is empty.
    pub fn signing_key(
        &self,
        default_pair: &str,
        certificates: &Certificates,
    ) -> Result<SigningKey, JoseError> {
        let id = self.metadata(KEY_PAIR).unwrap_or(default_pair);
        let pair = certificates.get(id).filter(|pair| !pair.is_revoked);
        let Some(private) = pair.and_then(|pair| pair.private_key()) else {
            return SigningKey::from_secret(self.secret().as_bytes(), Algorithm::Hs512);
        };
        let algorithm = match &*private {
            Private::Rsa(_) => Algorithm::Rs256,
            Private::Ec(curve, _) => curve.algorithm(),
            Private::Ed(_) => Algorithm::EdDsa,
        };
        Ok(SigningKey::from_private(private, algorithm)?.with_kid(id))
    }
}

/// Otoroshi verifies RS and ES with key pairs, not PS.
fn is_otoroshis(algorithm: Algorithm) -> bool {
    matches!(algorithm.name().as_bytes(), [b'R' | b'E', b'S', ..])
}

fn is_equal(own: &[u8], given: &[u8]) -> bool {
    verify_slices_are_equal(own, given).is_ok()
}

fn digest_from(hex: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        if !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(digest)
}

fn claims_fit(claims: &Map<String, Value>, rules: &JwtRules, asking: &Asking<'_>) -> bool {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if let Some(audience) = audience(claims.get("aud")) {
        if !asking.url().starts_with(audience) {
            return false;
        }
    }
    if let Some(token) = text("xsrfToken") {
        let given = asking.xsrf_token.unwrap_or_default();
        if !is_equal(token.as_bytes(), given) {
            return false;
        }
    }
    if let Some(limit_s) = rules.max_lifespan_s {
        let time = |name: &str| claims.get(name).and_then(Value::as_f64);
        let (Some(exp), Some(iat)) = (time("exp"), time("iat")) else {
            return false;
        };
        if exp - iat > limit_s {
            return false;
        }
    }
    !rules.include_request_attrs
        || text("httpPath") == Some(&asking.uri())
            && text("httpVerb").is_some_and(|verb| verb.eq_ignore_ascii_case(asking.method))
            && text("httpHost") == Some(asking.host)
}

/// The first audience that is a URL.
fn audience(value: Option<&Value>) -> Option<&str> {
    let is_url = |text: &&str| text.starts_with("http://") || text.starts_with("https://");
    match value? {
        Value::String(text) => Some(text.as_str()).filter(is_url),
        Value::Array(items) => items.iter().filter_map(Value::as_str).find(is_url),
        _ => None,
    }
}
