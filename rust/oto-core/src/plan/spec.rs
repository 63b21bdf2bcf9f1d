//! A lowered route as JSON, checked and turned into a [`Route`].

use std::sync::Arc;

use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::next::PythonStep;
use super::step::{Gate, Phase, Plan, PlanStep, Route, RouteFacts, Step};
use super::steps::{LegacyChecks, NativeStep, PrepareForBackend, build_step};
use crate::apikeys::{Membership, MembershipSpec};
use crate::balance::{BackendParts, BackendSpec};
use crate::intern::Interner;

/// What the control plane's compiler hands over for one route.
#[derive(Debug, Deserialize)]
pub struct RouteSpec {
    /// The entity's id.
    pub id: String,
    /// The entity's name.
    #[serde(default)]
    pub name: String,
    /// Whether the route takes part at all.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Otoroshi's frontend object.
    #[serde(default)]
    pub frontend: serde_json::Value,
    /// Listeners it is bound to; empty means every listener that is not exclusive.
    #[serde(default)]
    pub bound_listeners: Vec<String>,
    /// The backend, references resolved.
    #[serde(default)]
    pub backend: BackendSpec,
    /// Tenant, groups and origin ([`MembershipSpec`]).
    #[serde(default)]
    pub membership: Option<Box<RawValue>>,
    /// The steps in execution order.
    #[serde(default)]
    pub steps: Option<Box<RawValue>>,
    /// What expressions may ask of the route.
    #[serde(default)]
    pub facts: Option<Box<RouteFacts>>,
    /// Whether the checks of the global configuration hold for it.
    #[serde(default)]
    pub legacy_checks: bool,
    /// Its metadata, for events.
    #[serde(default)]
    pub metadata: Option<Box<RawValue>>,
    /// Whether its expressions may ask for fields of the request as they arrived.
    #[serde(default)]
    pub reads_arrived: bool,
    /// Whether its steps are those for requests that no route takes.
    #[serde(default)]
    pub is_sink: bool,
}

fn yes() -> bool {
    true
}

/// One lowered step.
#[derive(Debug, Deserialize)]
struct StepSpec {
    phase: Phase,
    #[serde(default)]
    plugin: String,
    #[serde(default)]
    include: Vec<String>,
    #[serde(default)]
    exclude: Vec<String>,
    #[serde(default)]
    bound_listeners: Vec<String>,
    kind: String,
    /// The hook that runs when a native step cannot decide.
    #[serde(default)]
    twin: Option<HookSpec>,
    #[serde(flatten)]
    settings: Map<String, Value>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct HookSpec {
    slot: i64,
    inline: bool,
}

impl From<HookSpec> for PythonStep {
    fn from(spec: HookSpec) -> Self {
        Self {
            slot: spec.slot,
            inline: spec.inline,
        }
    }
}

impl RouteSpec {
    /// Check steps and backend, and build the route.
    ///
    /// # Errors
    /// Field, problem and fix in one line.
    pub fn build(self, strip_path: bool, parts: &RouteParts) -> Result<Route, String> {
        let backend = self
            .backend
            .build(&parts.backends)
            .map_err(|error| error.to_string())?;
        Ok(Route {
            id: Arc::from(self.id),
            name: self.name.into(),
            membership: parts.membership(self.membership.as_deref())?,
            strip_path,
            backend,
            plan: parts.plan(self.steps.as_deref(), self.legacy_checks)?,
            facts: self.facts,
            metadata: self.metadata.as_deref().map(metadata_text).transpose()?,
            reads_arrived: self.reads_arrived,
            is_sink: self.is_sink,
        })
    }
}

/// The text of a route's metadata, which is an object.
fn metadata_text(json: &RawValue) -> Result<Arc<str>, String> {
    serde_json::from_str::<Map<String, Value>>(json.get())
        .map_err(|error| format!("metadata: {error}"))?;
    Ok(Arc::from(json.get()))
}

/// Parts that routes share when they are equal.
#[derive(Debug, Default)]
pub struct RouteParts {
    plans: Interner<Plan>,
    checked_plans: Interner<Plan>,
    memberships: Interner<Membership>,
    backends: BackendParts,
}

impl RouteParts {
    fn membership(&self, json: Option<&RawValue>) -> Result<Arc<Membership>, String> {
        let json = json.map_or("{}", RawValue::get);
        self.memberships.get_or_try(json, || {
            let spec: MembershipSpec =
                serde_json::from_str(json).map_err(|error| format!("membership: {error}"))?;
            Ok(Arc::new(Membership::new(spec)))
        })
    }

    fn plan(&self, json: Option<&RawValue>, is_checked: bool) -> Result<Arc<Plan>, String> {
        let json = json.map_or("[]", RawValue::get);
        let plans = if is_checked {
            &self.checked_plans
        } else {
            &self.plans
        };
        plans.get_or_try(json, || {
            let steps = serde_json::from_str(json).map_err(|error| format!("steps: {error}"))?;
            build_plan(steps, is_checked).map(Arc::new)
        })
    }
}

fn build_plan(specs: Vec<StepSpec>, is_checked: bool) -> Result<Plan, String> {
    let mut steps = Vec::with_capacity(specs.len() + 1);
    for (at, spec) in specs.into_iter().enumerate() {
        let plugin = spec.plugin.clone();
        let step = spec
            .build()
            .map_err(|problem| format!("steps[{at}] ({plugin}): {problem}"))?;
        if steps
            .last()
            .is_some_and(|last: &PlanStep| last.phase > step.phase)
        {
            return Err(format!(
                "steps[{at}] ({plugin}): out of order; sort steps by phase"
            ));
        }
        steps.push(step);
    }
    if steps
        .first()
        .is_some_and(|first| first.phase == Phase::Sink)
    {
        // There is no backend to prepare a request for.
        return Ok(Plan {
            response_at: steps.len(),
            done_at: steps.len(),
            steps,
        });
    }
    let at = steps.partition_point(|step| step.phase < Phase::TransformRequest);
    let native = steps.iter().filter_map(|step| match &step.step {
        Step::Native { step, .. } => Some(&**step),
        Step::Python(_) => None,
    });
    let prepare = PrepareForBackend::of(native);
    steps.insert(
        at,
        own_step(Phase::TransformRequest, PrepareForBackend::KIND, prepare),
    );
    if is_checked {
        let checks = own_step(Phase::Access, LegacyChecks::KIND, LegacyChecks);
        steps.insert(at, checks);
    }
    Ok(Plan {
        response_at: steps.partition_point(|step| step.phase < Phase::TransformResponse),
        done_at: steps.partition_point(|step| step.phase < Phase::Done),
        steps,
    })
}

/// A step that the compiler puts in by itself.
fn own_step(phase: Phase, kind: &'static str, step: impl NativeStep + 'static) -> PlanStep {
    PlanStep {
        phase,
        plugin: "engine".into(),
        gate: None,
        step: Step::Native {
            kind,
            step: Box::new(step),
        },
        twin: None,
    }
}

impl StepSpec {
    fn build(self) -> Result<PlanStep, String> {
        let gate = if self.include.is_empty()
            && self.exclude.is_empty()
            && self.bound_listeners.is_empty()
        {
            None
        } else {
            Some(Gate {
                include: patterns("include", &self.include)?,
                exclude: patterns("exclude", &self.exclude)?,
                listeners: self.bound_listeners.into_iter().map(Into::into).collect(),
            })
        };
        let step = if self.kind == "python" {
            let hook: HookSpec = serde_json::from_value(Value::Object(self.settings))
                .map_err(|error| error.to_string())?;
            Step::Python(hook.into())
        } else {
            let (kind, step) = build_step(&self.kind, self.settings)?;
            Step::Native { kind, step }
        };
        Ok(PlanStep {
            phase: self.phase,
            plugin: self.plugin.into(),
            gate,
            step,
            twin: self.twin.map(Into::into),
        })
    }
}

fn patterns(key: &str, list: &[String]) -> Result<Vec<Regex>, String> {
    list.iter()
        .enumerate()
        .map(|(at, pattern)| {
            RegexBuilder::new(&format!("^(?:{pattern})$"))
                .size_limit(1 << 20)
                .build()
                .map_err(|error| {
                    format!("{key}[{at}]: not a pattern this gateway can run (no look-around, no back-references): {error}")
                })
        })
        .collect()
}
