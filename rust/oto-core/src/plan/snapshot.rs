//! Everything an engine needs to decide, as one immutable value.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::quota_alerts::QuotaAlerts;
use super::spec::{RouteParts, RouteSpec};
use super::step::Route;
use super::steps::DomainNames;
use super::tables::Tables;
use crate::access::IpSet;
use crate::expression::Environment;
use crate::jose::KeySets;
use crate::limits::{Limits, UNLIMITED};
use crate::router::{Frontend, RouteEntry, Router};
use crate::tls::TlsSettings;

/// Settings that hold for all routes.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Whether `X-Forwarded-*` from clients is believed (Otoroshi's `trustXForwarded`).
    pub trust_x_forwarded: bool,
    /// Whether every route answers that it is down for maintenance (`maintenanceMode`).
    pub maintenance: bool,
    /// What every request must pass before it is routed (`incoming_request_validators`).
    pub incoming: Vec<DomainNames>,
    /// Addresses that alone may pass, when there are any (`ipFiltering.whitelist`).
    pub ip_allowed: IpSet,
    /// Addresses that may not pass (`ipFiltering.blacklist`).
    pub ip_blocked: IpSet,
    /// Addresses that get an answer without end (`endlessIpAddresses`).
    pub ip_endless: IpSet,
    /// Whether that answer is rude (`middleFingers`); else it is zeros.
    pub middle_fingers: bool,
    /// The port under which clients reach the gateway with TLS, where it is not 443.
    pub https_port: Option<u16>,
    /// The ports under which clients reach it over HTTP/3, by the listeners that have one.
    pub http3_ports: HashMap<Box<str>, u16>,
    /// Calls of one address in a throttling window (`perIpThrottlingQuota`).
    pub address_quota: u64,
    /// Leading bits that two IPv6 addresses share which are counted as one client.
    pub ipv6_prefix: u8,
    /// All calls in a throttling window (`throttlingQuota`).
    pub global_quota: u64,
    /// Calls under way at once, when they are bounded (`maxConcurrentRequests`).
    pub most_at_once: Option<u64>,
    /// Whether clients are told of limits in `RateLimit` and `RateLimit-Policy`.
    pub rate_limit_fields: bool,
    /// When operators are told of the quotas of API keys (`quotasSettings`).
    pub quota_alerts: QuotaAlerts,
    /// The config that plugins share (`plugins.config`), without the slots in it.
    pub plugins_config: Value,
    /// What expressions may read in every route.
    pub expressions: Environment,
    /// What holds for every handshake.
    pub tls: TlsSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            trust_x_forwarded: true,
            maintenance: false,
            incoming: Vec::new(),
            ip_allowed: IpSet::default(),
            ip_blocked: IpSet::default(),
            ip_endless: IpSet::default(),
            middle_fingers: false,
            https_port: None,
            http3_ports: HashMap::new(),
            address_quota: UNLIMITED,
            ipv6_prefix: 64,
            global_quota: UNLIMITED,
            most_at_once: None,
            rate_limit_fields: true,
            quota_alerts: QuotaAlerts::default(),
            plugins_config: Value::Null,
            expressions: Environment::default(),
            tls: TlsSettings::default(),
        }
    }
}

/// Router, plans and settings. A change makes a new snapshot that shares all it did not touch.
#[derive(Clone, Default)]
pub struct Snapshot {
    /// Grows with each change; an exchange keeps the one it began with.
    pub generation: u64,
    /// The routes.
    pub router: Router<Route>,
    /// What sees the requests that no route takes, when anything does.
    pub sinks: Option<Arc<RouteEntry<Route>>>,
    /// The settings.
    pub settings: Arc<Settings>,
    /// Entities that steps look up.
    pub tables: Tables,
    /// Key sets that were fetched; all snapshots of an engine have the same.
    pub key_sets: Arc<KeySets>,
    /// The counters, the same in all snapshots that come from one another.
    pub limits: Arc<Limits>,
    // Shared by all snapshots that come from one another.
    parts: Arc<RouteParts>,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Snapshot {{ generation: {} }}", self.generation)
    }
}

/// A change that was refused as a whole.
#[derive(Debug, PartialEq, Eq)]
pub struct ApplyError {
    /// The route's id, empty for settings and for JSON that has none.
    pub route: String,
    /// Field, problem and fix.
    pub problem: String,
}

impl fmt::Display for ApplyError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.route.is_empty() {
            return out.write_str(&self.problem);
        }
        write!(out, "route {}: {}", self.route, self.problem)
    }
}

impl std::error::Error for ApplyError {}

/// What changes from one snapshot to the next.
#[derive(Clone, Copy, Debug, Default)]
pub struct Change<'a> {
    /// Lowered routes as JSON, new or in place of those with the same id.
    pub routes: &'a [&'a [u8]],
    /// Ids of routes that are gone.
    pub removed: &'a [&'a str],
    /// The settings as JSON; none leaves them.
    pub settings: Option<&'a [u8]>,
    /// Entities of the tables: kind, id, and JSON or none when it is gone.
    pub entities: &'a [(&'a str, &'a str, Option<&'a [u8]>)],
}

impl Snapshot {
    /// A snapshot of nothing, which counts in these counters.
    #[must_use]
    pub fn counting_in(limits: Arc<Limits>) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// The snapshot after a change: all of it, or an error and this one stays.
    ///
    /// Cost: proportional to what is named, not to what there is.
    ///
    /// # Errors
    /// [`ApplyError`] for the first part that cannot be used.
    pub fn apply(&self, change: &Change<'_>) -> Result<Self, ApplyError> {
        let mut next = self.clone();
        next.generation += 1;
        if let Some(json) = change.settings {
            let settings = serde_json::from_slice(json).map_err(|error| ApplyError {
                route: String::new(),
                problem: format!("settings: {error}"),
            })?;
            next.settings = Arc::new(settings);
        }
        for (kind, id, json) in change.entities {
            let fail = |problem: String| ApplyError {
                route: String::new(),
                problem: format!("{kind} {id}: {problem}"),
            };
            let Some(table) = next.tables.by_kind(kind) else {
                return Err(fail("the engine has no table of that kind".to_owned()));
            };
            match json {
                Some(json) => table.put(id, json).map_err(fail)?,
                None => table.remove(id),
            }
        }
        for id in change.removed {
            next.router.remove(id);
            next.sinks = next.sinks.filter(|sinks| *sinks.id != **id);
        }
        for json in change.routes {
            next.upsert(json)?;
        }
        Ok(next)
    }

    fn upsert(&mut self, json: &[u8]) -> Result<(), ApplyError> {
        let spec: RouteSpec = serde_json::from_slice(json).map_err(|error| ApplyError {
            route: String::new(),
            problem: format!("route JSON: {error}"),
        })?;
        let id = spec.id.clone();
        let fail = |problem: String| ApplyError {
            route: id.clone(),
            problem,
        };
        let frontend = Frontend::from_json(&spec.frontend, spec.enabled, &spec.bound_listeners)
            .map_err(|error| fail(error.to_string()))?;
        let route = spec
            .build(frontend.strip_path(), &self.parts)
            .map_err(fail)?;
        if route.is_sink {
            let id = Arc::clone(&route.id);
            self.sinks = Some(Arc::new(RouteEntry::unlisted(id, frontend, route)));
        } else {
            let id = Arc::clone(&route.id);
            self.router.insert(id, frontend, route);
        }
        Ok(())
    }
}
