//! A lowered route as JSON, checked and turned into a [`Route`].

use std::collections::BTreeMap;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::expectation::Expectation;
use super::step::{Field, Gate, Phase, Plan, PlanStep, Route, Step};
use crate::balance::{BackendParts, BackendSpec};
use crate::http1::headers::{is_name, is_value};
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
    /// The steps in execution order.
    #[serde(default)]
    pub steps: Option<Box<RawValue>>,
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
    #[serde(flatten)]
    kind: StepKind,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum StepKind {
    Redirect {
        code: u16,
        to: String,
    },
    ForceHttps {
        #[serde(default)]
        port: Option<u16>,
    },
    Refuse {
        status: u16,
        message: String,
        #[serde(default)]
        cause: Option<String>,
    },
    AllowMethods {
        #[serde(default)]
        allowed: Option<Vec<String>>,
        #[serde(default)]
        forbidden: Vec<String>,
    },
    RequireHeaders {
        headers: BTreeMap<String, String>,
    },
    SetHeaders {
        headers: BTreeMap<String, String>,
    },
    AddMissingHeaders {
        headers: BTreeMap<String, String>,
    },
    RemoveHeaders {
        names: Vec<String>,
    },
    OverrideHost {},
    XForwarded {},
    Python {
        slot: i64,
        inline: bool,
    },
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
            strip_path,
            backend,
            plan: parts.plan(self.steps.as_deref())?,
        })
    }
}

/// Parts that routes share when they are equal.
#[derive(Debug, Default)]
pub struct RouteParts {
    plans: Interner<Plan>,
    backends: BackendParts,
}

impl RouteParts {
    fn plan(&self, json: Option<&RawValue>) -> Result<Arc<Plan>, String> {
        let json = json.map_or("[]", RawValue::get);
        self.plans.get_or_try(json, || {
            let steps = serde_json::from_str(json).map_err(|error| format!("steps: {error}"))?;
            build_plan(steps).map(Arc::new)
        })
    }
}

fn build_plan(specs: Vec<StepSpec>) -> Result<Plan, String> {
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
    let at = steps.partition_point(|step| step.phase < Phase::TransformRequest);
    steps.insert(
        at,
        PlanStep {
            phase: Phase::TransformRequest,
            plugin: "engine".into(),
            gate: None,
            step: Step::PrepareForBackend,
        },
    );
    Ok(Plan {
        response_at: steps.partition_point(|step| step.phase < Phase::TransformResponse),
        done_at: steps.partition_point(|step| step.phase < Phase::Done),
        steps,
    })
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
        Ok(PlanStep {
            phase: self.phase,
            plugin: self.plugin.into(),
            gate,
            step: self.kind.build()?,
        })
    }
}

impl StepKind {
    fn build(self) -> Result<Step, String> {
        Ok(match self {
            Self::Redirect { code, to } => {
                if !matches!(code, 301 | 302 | 303 | 307 | 308) {
                    return Err(format!(
                        "code: {code} is no redirection; use 301, 302, 303, 307 or 308"
                    ));
                }
                let to = latin1(&to)
                    .filter(|to| is_value(to))
                    .ok_or("to: must be text that a header can carry; escape other characters")?;
                Step::Redirect {
                    code,
                    to: to.into(),
                }
            }
            Self::ForceHttps { port } => Step::ForceHttps {
                port: port.filter(|port| *port != 443),
            },
            Self::Refuse {
                status,
                message,
                cause,
            } => {
                if !(400..=599).contains(&status) {
                    return Err(format!("status: {status} is no error; use 400 to 599"));
                }
                Step::Refuse {
                    status,
                    message: message.into(),
                    cause: cause.unwrap_or_default().into(),
                }
            }
            Self::AllowMethods { allowed, forbidden } => {
                let upper = |list: Vec<String>| -> Vec<Box<str>> {
                    list.into_iter()
                        .map(|method| method.to_ascii_uppercase().into())
                        .collect()
                };
                Step::AllowMethods {
                    allowed: allowed.map(upper),
                    forbidden: upper(forbidden),
                }
            }
            Self::RequireHeaders { headers } => Step::RequireHeaders(
                headers
                    .into_iter()
                    .map(|(name, text)| {
                        let expectation = Expectation::parse(&text)
                            .map_err(|problem| format!("headers.{name}: {problem}"))?;
                        Ok((name.into_bytes().into(), expectation))
                    })
                    .collect::<Result<_, String>>()?,
            ),
            Self::SetHeaders { headers } => Step::SetHeaders(fields(headers)?),
            Self::AddMissingHeaders { headers } => Step::AddMissingHeaders(fields(headers)?),
            Self::RemoveHeaders { names } => Step::RemoveHeaders(
                names
                    .into_iter()
                    .map(|name| name.into_bytes().into())
                    .collect(),
            ),
            Self::OverrideHost {} => Step::OverrideHost,
            Self::XForwarded {} => Step::XForwarded,
            Self::Python { slot, inline } => Step::Python { slot, inline },
        })
    }
}

fn fields(headers: BTreeMap<String, String>) -> Result<Vec<Field>, String> {
    headers
        .into_iter()
        .map(|(name, value)| {
            if !is_name(name.as_bytes()) {
                return Err(format!(
                    "headers.{name:?}: not a header name; use letters, digits and -"
                ));
            }
            if matches!(
                name.to_ascii_lowercase().as_str(),
                "content-length" | "transfer-encoding" | "connection"
            ) {
                return Err(format!(
                    "headers.{name}: the gateway frames messages itself; remove it"
                ));
            }
            let value = latin1(&value).ok_or_else(|| {
                format!("headers.{name}: the value has a character that no header can carry")
            })?;
            if !is_value(&value) {
                return Err(format!(
                    "headers.{name}: the value must not hold control characters"
                ));
            }
            Ok((name.into_bytes().into(), value.into()))
        })
        .collect()
}

/// Header text as bytes: one character a byte, as Python reads and writes it.
fn latin1(text: &str) -> Option<Vec<u8>> {
    text.chars()
        .map(|char| u8::try_from(u32::from(char)).ok())
        .collect()
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
