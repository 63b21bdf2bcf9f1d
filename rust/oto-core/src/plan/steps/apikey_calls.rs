//! Require an API key, or take one when it is there (`ApikeyCalls`, `NgLegacyApikeyCall`).
//!
//! One step for three phases: match_route looks whether the key suits the route at all, access lets
//! the caller in or refuses, transform_request takes the credential away.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::fields::patterns;
use super::routing_restrictions::restricted;
use super::{At, NativeStep, Outcome, StepSettings};
use crate::access::{Asked, Verdict};
use crate::apikeys::{
    ApiKey, Asking, Constraints, ConstraintsSpec, Credential, ExtractSpec, Extractors, Found,
    Proof, Refused, Shown,
};
use crate::plan::attrs::Attrs;
use crate::plan::flow::Flow;
use crate::plan::reply::Reply;
use crate::plan::step::{Phase, Route};
use crate::router::java_regex::JavaRegex;

#[derive(Debug, Deserialize)]
#[serde(default)]
pub(super) struct Settings {
    extractors: ExtractSpec,
    routing: ConstraintsSpec,
    validate: bool,
    mandatory: bool,
    pass_with_user: bool,
    wipe_backend_request: bool,
    update_quotas: bool,
    /// Only `NgLegacyApikeyCall` has these two.
    public_patterns: Option<Vec<String>>,
    private_patterns: Option<Vec<String>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            extractors: ExtractSpec::default(),
            routing: ConstraintsSpec::default(),
            validate: true,
            mandatory: true,
            pass_with_user: false,
            wipe_backend_request: true,
            update_quotas: true,
            public_patterns: None,
            private_patterns: None,
        }
    }
}

/// The step.
#[derive(Debug)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the plugin"
)]
pub(super) struct ApikeyCalls {
    extractors: Arc<Extractors>,
    constraints: Constraints,
    unconstrained: Constraints,
    validate: bool,
    mandatory: bool,
    pass_with_user: bool,
    wipe: bool,
    update_quotas: bool,
    legacy: Option<Patterns>,
}

/// Which paths are open, and which are not although they look so.
#[derive(Debug)]
struct Patterns {
    public: Vec<JavaRegex>,
    private: Vec<JavaRegex>,
}

impl Patterns {
    fn is_public(&self, path: &str) -> bool {
        let has = |list: &[JavaRegex]| list.iter().any(|item| item.matches(path.as_bytes()));
        !has(&self.private) && has(&self.public)
    }
}

impl StepSettings for Settings {
    type Step = ApikeyCalls;

    fn build(self) -> Result<ApikeyCalls, String> {
        let legacy = match (self.public_patterns, self.private_patterns) {
            (None, None) => None,
            (public, private) => Some(Patterns {
                public: patterns("public_patterns", &public.unwrap_or_default())?,
                private: patterns("private_patterns", &private.unwrap_or_default())?,
            }),
        };
        Ok(ApikeyCalls {
            extractors: Arc::new(Extractors::new(self.extractors)),
            constraints: Constraints::new(self.routing),
            unconstrained: Constraints::default(),
            validate: self.validate,
            mandatory: self.mandatory,
            pass_with_user: self.pass_with_user,
            wipe: self.wipe_backend_request,
            update_quotas: self.update_quotas,
            legacy,
        })
    }
}

/// Why a caller is not let in.
enum Denial {
    /// It shows nothing.
    NoKey,
    /// What it shows names no key that may call this route.
    Unknown(String),
    /// It does not prove what it says, or may not come in.
    Bad(Arc<ApiKey>, Refused),
    /// Its key does not suit the route.
    Unsuited(Arc<ApiKey>),
    /// Its key may not call this path.
    Restricted(Verdict),
    /// It called too often.
    Exceeded(Arc<ApiKey>),
}

impl Denial {
    /// Whether this is what a route lets pass that does without keys.
    fn is_absence(&self) -> bool {
        matches!(self, Self::NoKey | Self::Unknown(_))
    }

    fn reply(self, flow: &mut Flow) -> Reply {
        let because = |flow: &mut Flow, reason: String| {
            let reason = Value::String(reason);
            flow.attrs
                .extra
                .insert("apikey_rejection_reason".into(), reason);
        };
        match self {
            Self::NoKey => {
                because(flow, "no apikey detected in the http request".into());
                flow.refusal(400, "no apikey", "errors.no.api.key")
            }
            Self::Unknown(id) => {
                because(flow, format!("apikey '{id}' not found in datastore"));
                flow.refusal(400, "invalid apikey tuple", "errors.invalid.api.key.tuple")
            }
            Self::Bad(key, refused) => {
                because(flow, refused.reason(key.client_id()));
                alert_of_bad_key(flow, &key);
                flow.refusal(401, "bad apikey", "errors.bad.api.key")
            }
            Self::Unsuited(key) => {
                because(
                    flow,
                    format!("apikey '{}' routing did not match", key.client_id()),
                );
                flow.refusal(401, "invalid apikey", "errors.invalid.api.key")
            }
            Self::Restricted(verdict) => restricted(flow, verdict)
                .unwrap_or_else(|| flow.refusal(403, "Forbidden", "errors.forbidden")),
            Self::Exceeded(key) => {
                because(
                    flow,
                    format!("apikey '{}' quotas exceeded", key.client_id()),
                );
                flow.tell_broken_quota();
                flow.refusal(
                    429,
                    "You performed too much requests",
                    "errors.too.much.requests",
                )
            }
        }
    }
}

fn alert_of_bad_key(flow: &mut Flow, key: &ApiKey) {
    let request = &flow.request;
    let uri = match request.query() {
        Some(query) => format!("{}?{}", request.path(), query_names(query)),
        None => request.path().to_owned(),
    };
    let fields = json!({
        "from": flow.remote_address(),
        "to": request.host(),
        "uri": uri,
        "apiKey": key.light_json(),
    });
    flow.attrs.alert("RevokedApiKeyUsageAlert", fields);
}

/// A query with its names alone: a value may be the credential that was refused.
fn query_names(query: &str) -> String {
    query
        .split('&')
        .map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name))
        .collect::<Vec<_>>()
        .join("&")
}

impl NativeStep for ApikeyCalls {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        match at.phase {
            Phase::MatchRoute => self.match_route(at),
            Phase::TransformRequest => {
                self.transform(at.flow);
                Outcome::Continue
            }
            _ => self.access(at),
        }
    }

    fn explain(&self) -> Value {
        json!({
            "validate": self.validate,
            "mandatory": self.mandatory,
            "wipe_backend_request": self.wipe,
            "update_quotas": self.update_quotas,
        })
    }
}

impl ApikeyCalls {
    /// Another route may suit the key better. Without a credential the route takes the request, and
    /// access refuses it.
    fn match_route(&self, at: &mut At<'_>) -> Outcome {
        if !self.constraints.is_enabled() || self.constraints.is_empty() {
            return Outcome::Continue;
        }
        let found = match &at.flow.attrs.apikey {
            Some(key) => Ok(Arc::clone(key)),
            None => self.identify(at.flow, at.route).map(|(key, _)| key),
        };
        match found {
            Ok(key) if !self.constraints.admit(&key) => Outcome::Reject,
            Ok(_) | Err(Denial::NoKey) => Outcome::Continue,
            Err(_) => Outcome::Reject,
        }
    }

    fn access(&self, at: &mut At<'_>) -> Outcome {
        let flow = &mut *at.flow;
        if !self.wipe {
            self.keep_sent_key(flow);
        }
        let is_open = self.legacy.as_ref().is_some_and(|patterns| {
            flow.attrs.user.is_some() || patterns.is_public(flow.request.path())
        });
        if flow.attrs.apikey.is_some()
            || is_open
            || (self.pass_with_user && flow.attrs.user.is_some())
            || (!self.validate && self.mandatory)
        {
            return Outcome::Continue;
        }
        let Err(denial) = self.admit(flow, at.route) else {
            return Outcome::Continue;
        };
        let passes = !self.mandatory && (!self.validate || denial.is_absence());
        if passes {
            return Outcome::Continue;
        }
        Outcome::Answer(denial.reply(flow))
    }

    /// Let the caller in by its key, and note what is known of it then.
    fn admit(&self, flow: &mut Flow, route: &Route) -> Result<(), Denial> {
        let (key, claims) = self.identify(flow, route)?;
        let constraints = if self.constraints.is_enabled() {
            &self.constraints
        } else {
            &self.unconstrained
        };
        if !constraints.admit(&key) {
            return Err(Denial::Unsuited(key));
        }
        if let Some(restrictions) = key.restrictions() {
            let verdict = restrictions.judge(&Asked {
                method: flow.request.method_text(),
                domain: flow.request.domain(),
                path: flow.request.path(),
                concerns: &|kind, id| {
                    route.membership.is(&route.id, kind, id)
                        && (kind != "group" || key.authorizations().names(kind, id))
                },
            });
            if verdict != Verdict::Pass {
                return Err(Denial::Restricted(verdict));
            }
        }
        // Set before it is known whether the quotas hold: what is counted by may name the key.
        flow.attrs.apikey = Some(Arc::clone(&key));
        flow.attrs.apikey_claims = claims;
        let usage = flow.count_call(&key, self.update_quotas);
        if usage.broken().is_some() {
            flow.attrs.apikey = None;
            flow.attrs.apikey_claims = None;
            return Err(Denial::Exceeded(key));
        }
        Ok(())
    }

    /// Find the caller's key and check that it is the caller's.
    fn identify(
        &self,
        flow: &mut Flow,
        route: &Route,
    ) -> Result<(Arc<ApiKey>, Option<Arc<Value>>), Denial> {
        flow.attrs.credential = None;
        let shown = Shown {
            request: &flow.request,
            params: &flow.params,
        };
        let Some((credential, found)) = self.extractors.find(&shown) else {
            return Err(Denial::NoKey);
        };
        // What a good key's secret is, the key tells; nobody pays for hiding it where nobody looks.
        let is_told = flow.details.is_some() || found.is_in_path();
        if is_told {
            self.conceal(found, &shown, &credential, &mut flow.attrs);
        }
        let (tables, unix_s) = (&flow.snapshot.tables, flow.moment.unix_s);
        let key = tables.api_key(&credential.client_id, unix_s);
        // What names no key of ours may be meant for the backend: with optional keys it stays.
        if self.wipe && key.is_some() {
            flow.attrs.credential = Some((Arc::clone(&self.extractors), found));
        }
        let membership = &route.membership;
        let key = key.filter(|key| {
            key.tenant() == membership.tenant()
                && membership.admits(&route.id, key.authorizations())
        });
        let Some(key) = key else {
            self.conceal(found, &shown, &credential, &mut flow.attrs);
            return Err(Denial::Unknown(credential.client_id.into_owned()));
        };
        flow.attrs.shown_key = Some(Arc::clone(key));
        match self.check(flow, key, &credential) {
            Ok(claims) => Ok((Arc::clone(key), claims)),
            Err(refused) => {
                let key = Arc::clone(key);
                self.conceal(found, &shown, &credential, &mut flow.attrs);
                Err(Denial::Bad(key, refused))
            }
        }
    }

    /// Hide what was shown, wrong secrets too: one that is not known cannot be found later.
    fn conceal(
        &self,
        found: Found,
        shown: &Shown<'_>,
        credential: &Credential<'_>,
        attrs: &mut Attrs,
    ) {
        for text in self.extractors.texts(found, shown) {
            attrs.hide(text);
        }
        if let Proof::Secret(secret) = &credential.proof {
            attrs.hide(secret.as_bytes());
        }
    }

    fn check(
        &self,
        flow: &Flow,
        key: &ApiKey,
        credential: &Credential<'_>,
    ) -> Result<Option<Arc<Value>>, Refused> {
        let request = &flow.request;
        let asking = Asking {
            unix_s: flow.moment.unix_s,
            secured: flow.secured,
            method: request.method_text(),
            host: request.host(),
            path: request.path(),
            query: request.query(),
            xsrf_token: request.headers.find(b"x-xsrf-token"),
            certificates: &flow.snapshot.tables.certificates,
        };
        key.check(credential, self.extractors.jwt_rules(), &asking)
    }

    /// The gateway takes the usual headers away before the backend's turn comes.
    fn keep_sent_key(&self, flow: &mut Flow) {
        let (id_is_usual, secret_is_usual) = self.extractors.usual_headers();
        let sent = |is_usual: bool, name: &[u8]| {
            let value = is_usual.then(|| flow.request.headers.find(name));
            value.flatten().map(Into::into)
        };
        let both = [
            sent(id_is_usual, b"Otoroshi-Client-Id"),
            sent(secret_is_usual, b"Otoroshi-Client-Secret"),
        ];
        if both.iter().any(Option::is_some) {
            flow.attrs.sent_key = Some(Box::new(both));
        }
    }

    fn transform(&self, flow: &mut Flow) {
        if let Some((extractors, found)) = flow.attrs.credential.take() {
            extractors.wipe(found, &mut flow.request, &mut flow.attrs.query);
        }
        if let Some(both) = flow.attrs.sent_key.take() {
            let names: [&[u8]; 2] = [b"Otoroshi-Client-Id", b"Otoroshi-Client-Secret"];
            for (name, value) in names.into_iter().zip(&*both) {
                if let Some(value) = value {
                    flow.request.headers.set(name, value);
                }
            }
        }
    }
}
