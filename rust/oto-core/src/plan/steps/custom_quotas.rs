//! Quotas of a route, and quotas and throttling by an expression; all refuse with 403.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{At, NativeStep, Outcome, StepSettings};
use crate::expression::Template;
use crate::limits::{Quota, Space, UNLIMITED, Usage};
use crate::plan::Flow;

fn unlimited() -> u64 {
    UNLIMITED
}

fn hundred() -> u64 {
    100
}

fn yes() -> bool {
    true
}

fn address() -> String {
    "${req.ip}".to_owned()
}

/// Whose calls are counted together.
#[derive(Debug)]
struct Caller {
    /// None counts each route by itself.
    group: Option<Template>,
    expression: Template,
}

impl Caller {
    fn build(group: Option<String>, per_route: bool, expression: &str) -> Result<Self, String> {
        let group = match group.filter(|group| !group.is_empty()) {
            Some(group) => Some(group),
            None => (!per_route).then(|| "global".to_owned()),
        };
        let parse = |name: &str, text: &str| {
            Template::parse(text).map_err(|problem| format!("{name}: {problem}"))
        };
        Ok(Self {
            group: group.map(|group| parse("group", &group)).transpose()?,
            expression: parse("expression", expression)?,
        })
    }

    fn group(&self, flow: &Flow) -> Option<Cow<'_, str>> {
        self.group.as_ref().map(|group| group.counted(flow))
    }

    fn explain(&self) -> Value {
        let group = self.group.as_ref().map_or("${route.id}", Template::source);
        json!({"group": group, "expression": self.expression.source()})
    }
}

/// Answer 403 when a limit is broken.
fn judge(flow: &mut Flow, usage: &Usage) -> Outcome {
    flow.tell_usage(usage);
    match usage.retry_after_s() {
        Some(after_s) => Outcome::Answer(flow.limit_refusal(403, "forbidden", "", after_s)),
        None => Outcome::Continue,
    }
}

// ------------------------------------------------------------------------------ custom quotas

#[derive(Debug, Deserialize)]
pub(super) struct Quotas {
    #[serde(default = "yes")]
    per_route: bool,
    #[serde(default)]
    group: Option<String>,
    #[serde(default = "address")]
    expression: String,
    #[serde(default = "unlimited")]
    daily_quota: u64,
    #[serde(default = "unlimited")]
    monthly_quota: u64,
}

/// The step for a day and a month.
#[derive(Debug)]
pub(super) struct CustomQuotas {
    caller: Caller,
    quota: Quota,
}

impl StepSettings for Quotas {
    type Step = CustomQuotas;

    fn build(self) -> Result<CustomQuotas, String> {
        Ok(CustomQuotas {
            caller: Caller::build(self.group, self.per_route, &self.expression)?,
            quota: Quota {
                window: UNLIMITED,
                daily: self.daily_quota,
                monthly: self.monthly_quota,
            },
        })
    }
}

impl NativeStep for CustomQuotas {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        if !self.quota.bounds_calendar() {
            return Outcome::Continue;
        }
        let usage = {
            let group = self.caller.group(at.flow);
            let group = group.as_deref().unwrap_or(&at.route.id);
            let caller = self.caller.expression.counted(at.flow);
            let limits = &at.flow.snapshot.limits;
            let parts = [group.as_bytes(), caller.as_bytes()];
            let key = limits.key(Space::CustomQuota, &parts);
            limits.count(key, &self.quota, at.flow.now())
        };
        judge(at.flow, &usage)
    }

    fn explain(&self) -> Value {
        self.caller.explain()
    }
}

// ------------------------------------------------------------------------------ custom throttling

#[derive(Debug, Deserialize)]
pub(super) struct Throttling {
    #[serde(default = "yes")]
    per_route: bool,
    #[serde(default)]
    group: Option<String>,
    #[serde(default = "address")]
    expression: String,
    #[serde(default = "hundred")]
    throttling_quota: u64,
}

/// The step for a throttling window.
#[derive(Debug)]
pub(super) struct CustomThrottling {
    caller: Caller,
    limit: u64,
}

impl StepSettings for Throttling {
    type Step = CustomThrottling;

    fn build(self) -> Result<CustomThrottling, String> {
        Ok(CustomThrottling {
            caller: Caller::build(self.group, self.per_route, &self.expression)?,
            limit: self.throttling_quota,
        })
    }
}

impl NativeStep for CustomThrottling {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        if self.limit == UNLIMITED {
            return Outcome::Continue;
        }
        let count = {
            let group = self.caller.group(at.flow);
            let group = group.as_deref().unwrap_or(&at.route.id);
            let caller = self.caller.expression.counted(at.flow);
            let limits = &at.flow.snapshot.limits;
            let parts = [group.as_bytes(), caller.as_bytes()];
            let key = limits.key(Space::CustomThrottling, &parts);
            limits.throttle(key, self.limit, limits.window_ms(), at.flow.now())
        };
        judge(at.flow, &Usage::of_window(count))
    }

    fn explain(&self) -> Value {
        self.caller.explain()
    }
}

// ------------------------------------------------------------------------------ a route's quotas

#[derive(Debug, Deserialize)]
pub(super) struct Route {
    #[serde(default = "unlimited")]
    throttling_quota: u64,
    #[serde(default = "unlimited")]
    daily_quota: u64,
    #[serde(default = "unlimited")]
    monthly_quota: u64,
}

/// The step for all calls of a route.
#[derive(Debug)]
pub(super) struct RouteQuotas(Quota);

impl StepSettings for Route {
    type Step = RouteQuotas;

    fn build(self) -> Result<RouteQuotas, String> {
        Ok(RouteQuotas(Quota {
            window: self.throttling_quota,
            daily: self.daily_quota,
            monthly: self.monthly_quota,
        }))
    }
}

impl NativeStep for RouteQuotas {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let limits = &at.flow.snapshot.limits;
        let key = limits.key(Space::Route, &[at.route.id.as_bytes()]);
        let usage = limits.count(key, &self.0, at.flow.now());
        judge(at.flow, &usage)
    }

    fn explain(&self) -> Value {
        json!({"throttling_quota": self.0.window, "daily_quota": self.0.daily, "monthly_quota": self.0.monthly})
    }
}
