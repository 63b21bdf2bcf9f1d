//! An API key in the form in which requests need it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::authorize::{AuthorizationSpec, Authorizations};
use super::table::{Shared, Terms};
use super::validate::Prepared;
use crate::access::{Restrictions, RestrictionsSpec};
use crate::ahead::fetch;
use crate::expression::Template;
use crate::limits::{Quota, Strategy};
use crate::plan::Flow;
use crate::router::hamt::Keyed;

/// The part of a key's JSON that requests need.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec<'a> {
    #[serde(borrow)]
    client_id: Cow<'a, str>,
    #[serde(borrow)]
    client_secret: Cow<'a, str>,
    #[serde(borrow)]
    client_name: Cow<'a, str>,
    #[serde(rename = "_loc", default)]
    location: LocationSpec,
    #[serde(default)]
    authorizations: Vec<AuthorizationSpec>,
    #[serde(default = "yes")]
    enabled: bool,
    #[serde(default)]
    read_only: bool,
    #[serde(default)]
    allow_client_id_only: bool,
    #[serde(default)]
    constrained_services_only: bool,
    #[serde(default)]
    throttling_strategy: Option<Value>,
    #[serde(default = "unlimited")]
    throttling_quota: i64,
    #[serde(default = "unlimited")]
    daily_quota: i64,
    #[serde(default = "unlimited")]
    monthly_quota: i64,
    #[serde(default)]
    restrictions: Option<RestrictionsSpec>,
    #[serde(default)]
    rotation: Option<RotationSpec>,
    #[serde(default)]
    valid_until: Option<i64>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct LocationSpec {
    #[serde(default = "default_tenant")]
    tenant: String,
}

impl Default for LocationSpec {
    fn default() -> Self {
        Self {
            tenant: default_tenant(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RotationSpec {
    #[serde(default)]
    enabled: bool,
    #[serde(default)]
    next_secret: Option<String>,
}

fn yes() -> bool {
    true
}

fn unlimited() -> i64 {
    10_000_000
}

/// A number of calls; less than none is none.
fn calls(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn default_tenant() -> String {
    "default".into()
}

const ENABLED: u8 = 1;
const READ_ONLY: u8 = 2;
const CLIENT_ID_ONLY: u8 = 4;
const CONSTRAINED: u8 = 8;
const ROTATES: u8 = 16;

/// What few keys have: kept apart, so that the others need not hold room for it.
#[derive(Debug, Default)]
struct Rare {
    restrictions: Option<Restrictions>,
    strategy: Option<Strategy>,
    /// What the strategy counts by.
    bucket: Option<Template>,
    next_secret: Option<Box<str>>,
    tags: Box<[Box<str>]>,
    metadata: Box<[(Box<str>, Box<str>)]>,
}

/// An API key.
pub struct ApiKey {
    /// Id, secret and name, one behind the other: all that a call reads of them lies together.
    texts: Box<str>,
    id_len: usize,
    secret_end: usize,
    terms: Arc<Terms>,
    rare: Option<Box<Rare>>,
    /// Unix time in ms; the greatest there is means never.
    valid_until_ms: i64,
    flags: u8,
    prepared: OnceLock<Box<Prepared>>,
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "ApiKey({:?})", self.client_id())
    }
}

impl Keyed for ApiKey {
    fn key(&self) -> &str {
        self.client_id()
    }
}

impl ApiKey {
    /// Read a key on its own, such as one that stands for a certificate or a token.
    ///
    /// # Errors
    /// Field, problem and fix in one line.
    pub fn read(json: &[u8]) -> Result<Self, String> {
        Self::read_shared(json, &Shared::default())
    }

    pub(super) fn read_shared(json: &[u8], shared: &Shared) -> Result<Self, String> {
        let spec: Spec<'_> = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let mut flags = 0;
        for (flag, is_set) in [
            (ENABLED, spec.enabled),
            (READ_ONLY, spec.read_only),
            (CLIENT_ID_ONLY, spec.allow_client_id_only),
            (CONSTRAINED, spec.constrained_services_only),
            (
                ROTATES,
                spec.rotation
                    .as_ref()
                    .is_some_and(|rotation| rotation.enabled),
            ),
        ] {
            flags |= flag * u8::from(is_set);
        }
        let restrictions = spec
            .restrictions
            .filter(|restrictions| restrictions.enabled == Some(true))
            .map(Restrictions::build)
            .transpose()
            .map_err(|problem| format!("restrictions.{problem}"))?;
        let strategy = spec
            .throttling_strategy
            .filter(|value| !value.is_null())
            .map(Strategy::read)
            .transpose()
            .map_err(|problem| format!("throttlingStrategy.{problem}"))?;
        let bucket = strategy
            .as_ref()
            .map(|strategy| Template::parse(strategy.bucket_key()))
            .transpose()
            .map_err(|problem| format!("throttlingStrategy.bucketKey: {problem}"))?;
        let rare = Rare {
            restrictions,
            strategy,
            bucket,
            next_secret: spec
                .rotation
                .and_then(|rotation| rotation.next_secret)
                .filter(|secret| !secret.is_empty())
                .map(Into::into),
            tags: spec.tags.into_iter().map(Into::into).collect(),
            metadata: spec
                .metadata
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        };
        let is_plain = rare.restrictions.is_none()
            && rare.strategy.is_none()
            && rare.next_secret.is_none()
            && rare.tags.is_empty()
            && rare.metadata.is_empty();
        Ok(Self {
            texts: [&*spec.client_id, &*spec.client_secret, &*spec.client_name]
                .concat()
                .into(),
            id_len: spec.client_id.len(),
            secret_end: spec.client_id.len() + spec.client_secret.len(),
            terms: shared.terms(
                &spec.location.tenant,
                spec.authorizations,
                Quota {
                    window: calls(spec.throttling_quota),
                    daily: calls(spec.daily_quota),
                    monthly: calls(spec.monthly_quota),
                },
            ),
            rare: (!is_plain).then(|| Box::new(rare)),
            valid_until_ms: spec.valid_until.unwrap_or(i64::MAX),
            flags,
            prepared: OnceLock::new(),
        })
    }

    /// The client's id.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.texts[..self.id_len]
    }

    /// Ask memory for the texts; a hint.
    #[inline]
    pub(super) fn fetch_texts(&self) {
        fetch(&self.texts[..self.secret_end]);
    }

    /// The client's name.
    #[must_use]
    pub fn client_name(&self) -> &str {
        &self.texts[self.secret_end..]
    }

    /// The secret: for signatures made in the client's name, never for an answer, a log or an event.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.texts[self.id_len..self.secret_end]
    }

    /// The secret that comes next, while both are good.
    #[must_use]
    pub fn next_secret(&self) -> Option<&str> {
        self.rare
            .as_ref()
            .filter(|_| self.rotates())
            .and_then(|rare| rare.next_secret.as_deref())
    }

    /// The tenant that owns the key.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.terms.tenant
    }

    /// What it may call.
    #[must_use]
    pub fn authorizations(&self) -> &Authorizations {
        &self.terms.authorizations
    }

    /// How often it may be used.
    #[must_use]
    pub fn quota(&self) -> &Quota {
        &self.terms.quota
    }

    /// How its calls are counted (`throttlingStrategy`); none means by window, day and month.
    #[must_use]
    pub fn strategy(&self) -> Option<&Strategy> {
        self.rare.as_ref()?.strategy.as_ref()
    }

    /// What its strategy counts by in an exchange; none when it has no strategy, empty for the key.
    #[must_use]
    pub fn bucket_of(&self, flow: &Flow) -> Option<Cow<'_, str>> {
        Some(self.rare.as_ref()?.bucket.as_ref()?.counted(flow))
    }

    /// Which paths it may call, when that is limited.
    #[must_use]
    pub fn restrictions(&self) -> Option<&Restrictions> {
        self.rare.as_ref()?.restrictions.as_ref()
    }

    /// Whether the client may come in now.
    #[must_use]
    pub fn is_enabled(&self, unix_s: f64) -> bool {
        #[allow(clippy::cast_precision_loss, reason = "exact for 285,000 years")]
        let is_valid =
            self.valid_until_ms == i64::MAX || unix_s * 1000.0 < self.valid_until_ms as f64;
        self.flags & ENABLED != 0 && is_valid
    }

    /// Whether only methods that read are meant for it; legacy services alone check it.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.flags & READ_ONLY != 0
    }

    /// Whether the client's id suffices.
    #[must_use]
    pub fn allows_client_id_only(&self) -> bool {
        self.flags & CLIENT_ID_ONLY != 0
    }

    /// Whether it is for routes that constrain their keys alone.
    #[must_use]
    pub fn is_constrained(&self) -> bool {
        self.flags & CONSTRAINED != 0
    }

    /// Whether its secret is replaced in time.
    #[must_use]
    pub fn rotates(&self) -> bool {
        self.flags & ROTATES != 0
    }

    /// Its tags.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        let tags = self.rare.as_ref().map(|rare| &*rare.tags);
        tags.unwrap_or_default().iter().map(|tag| &**tag)
    }

    /// The metadata under a name.
    #[must_use]
    pub fn metadata(&self, name: &str) -> Option<&str> {
        let all = &self.rare.as_ref()?.metadata;
        let at = all.binary_search_by(|(held, _)| (**held).cmp(name)).ok()?;
        all.get(at).map(|(_, value)| &**value)
    }

    /// All metadata as (name, value), by name.
    pub fn all_metadata(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.rare.as_ref().map(|rare| &*rare.metadata);
        all.unwrap_or_default()
            .iter()
            .map(|(name, value)| (&**name, &**value))
    }

    /// The short JSON that tokens and events carry: `clientId, clientName, metadata, tags`.
    #[must_use]
    pub fn light_json(&self) -> Value {
        let metadata: Map<_, _> = self
            .all_metadata()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        json!({
            "clientId": self.client_id(),
            "clientName": self.client_name(),
            "metadata": metadata,
            "tags": self.tags().collect::<Vec<_>>(),
        })
    }

    /// The forms in which a client sends its secrets, but for tokens: as they are, and in basic
    /// authentication. For taking them out of what is told; never told themselves.
    #[must_use]
    pub fn secret_forms(&self) -> Vec<String> {
        let mut forms = Vec::with_capacity(6);
        for secret in [Some(self.secret()), self.next_secret()]
            .into_iter()
            .flatten()
        {
            let pair = format!("{}:{secret}", self.client_id());
            forms.push(STANDARD_NO_PAD.encode(&pair));
            forms.push(URL_SAFE_NO_PAD.encode(&pair));
            forms.push(secret.to_owned());
        }
        forms
    }

    pub(super) fn prepared(&self) -> &Prepared {
        self.prepared.get_or_init(|| Box::new(Prepared::of(self)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_key_has_otoroshis_defaults() {
        let key =
            ApiKey::read(br#"{"clientId":"c","clientSecret":"s","clientName":"n","bearer":1}"#)
                .expect("a key");
        assert!(key.is_enabled(0.0) && !key.is_read_only() && !key.allows_client_id_only());
        assert!(!key.is_constrained() && !key.rotates() && key.restrictions().is_none());
        assert_eq!(key.quota().window, 10_000_000);
        assert_eq!(key.tenant(), "default");
        assert_eq!(
            key.light_json().to_string(),
            r#"{"clientId":"c","clientName":"n","metadata":{},"tags":[]}"#
        );
        assert!(!format!("{key:?}").contains("\"s\""));
    }

    #[test]
    fn a_key_is_disabled_from_the_end_of_its_life_on() {
        let json = br#"{"clientId":"c","clientSecret":"s","clientName":"n","validUntil":2000}"#;
        let key = ApiKey::read(json).expect("a key");
        assert!(key.is_enabled(1.999));
        assert!(!key.is_enabled(2.0));
    }

    #[test]
    fn the_next_secret_counts_only_while_rotation_is_on() {
        for (on, next) in [(true, Some("t")), (false, None)] {
            let json = format!(
                r#"{{"clientId":"c","clientSecret":"s","clientName":"n",
                    "rotation":{{"enabled":{on},"nextSecret":"t"}}}}"#
            );
            let key = ApiKey::read(json.as_bytes()).expect("a key");
            assert_eq!(key.next_secret(), next);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let missing = ApiKey::read(br#"{"clientId":"c","clientName":"n"}"#).expect_err("no secret");
        assert!(missing.contains("clientSecret"), "{missing}");
        let json = br#"{"clientId":"c","clientSecret":"s","clientName":"n",
            "restrictions":{"enabled":true,"forbidden":[{"path":"("}]}}"#;
        let pattern = ApiKey::read(json).expect_err("no pattern");
        assert!(
            pattern.starts_with("restrictions.forbidden[0].path"),
            "{pattern}"
        );
    }
}
