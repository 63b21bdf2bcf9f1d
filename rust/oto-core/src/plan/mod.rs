//! A route compiled to an ordered list of steps, and the interpreter that runs it.
//!
//! Phases and their order are Otoroshi's (engine.md §4): match_route, pre_route, access,
//! transform_request, call_backend, transform_response, done. Native steps run here; a Python step
//! suspends the [`Flow`], which is then handed to Python and comes back to go on behind it.

mod attrs;
mod editing;
mod explain;
mod facts;
mod flow;
mod foreseen;
mod forwarding;
mod matched;
mod moment;
mod next;
mod quota_alerts;
mod rate_limits;
mod reply;
mod snapshot;
mod spec;
mod step;
mod steps;
mod tables;
mod undecided;

pub use attrs::{Alert, Attrs, BodyBound, Bounds, Counted, Rate, RefusalFacts, Share, Trace};
pub use explain::Question;
pub use flow::{Downstream, Flow, MONITORING_SLOT};
pub use foreseen::{FORESEEN_AT_ONCE, Foreseen};
pub use matched::Matched;
pub use moment::{Moment, Timeline};
pub use next::{BackendBody, Next, PythonStep, ResponseBody};
pub use quota_alerts::QuotaAlerts;
pub use reply::{Reply, refusal};
pub use snapshot::{ApplyError, Change, Settings, Snapshot};
pub use spec::RouteSpec;
pub use step::{Phase, Plan, PlanStep, Route, RouteFacts, Step};
pub use steps::{At, DomainNames, Field, NativeStep, Outcome};
pub use tables::{EntityTable, Table, TableEntity, Tables};
