//! One exchange on its way through its plan: what is known of it, and where it stands.
//!
//! Theory of operation. [`Flow::begin`] routes; [`Flow::advance`] then runs steps until something
//! outside must happen: a Python hook, the call to the backend, an answer to be written. Whoever
//! drives the flow (the engine for HTTP/1, a listener that decodes bytes in Python for the others)
//! does that and calls `advance` again. The flow holds no socket and no clock; while a Python hook
//! runs, the flow itself is what Python holds, so nobody else can touch it.

mod answering;

use std::any::Any;
use std::sync::Arc;

use super::attrs::{Attrs, BodyBound, Bounds};
use super::facts::Facts;
use super::matched::Matched;
use super::moment::{Moment, Timeline};
use super::next::{Next, PythonStep};
use super::snapshot::Snapshot;
use super::step::{Phase, PlanStep, Route, Step};
use super::steps::{At, Field, Outcome};
use crate::access::Peer;
use crate::balance::Target;
use crate::http1::{Headers, Known, Request, ResponseHead};
use crate::limits::UnderWay;
use crate::record::Details;
use crate::tls::ClientCertificate;

/// The client's side of a connection.
#[derive(Clone, Debug)]
pub struct Downstream {
    /// The socket's other end.
    pub peer: Peer,
    /// Whether the connection is TLS.
    pub secured: bool,
    /// The listener's id.
    pub listener: Arc<str>,
    /// Whether that listener serves only routes that are bound to it.
    pub is_exclusive: bool,
    /// The certificate the client proved to own.
    pub client_cert: Option<Arc<ClientCertificate>>,
}

/// The slot of the monitoring pages, which answer on every host.
pub const MONITORING_SLOT: i64 = -1;
const MONITORING_PREFIX: &str = "/.well-known/otoroshi/monitoring/";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Request,
    Response,
    Done,
}

/// An exchange's decisions so far.
#[derive(Debug)]
pub struct Flow {
    /// Unique in this engine.
    pub id: u64,
    /// The canonical request; steps edit its headers.
    pub request: Request,
    /// The response; empty (status 0) until there is one.
    pub response: ResponseHead,
    /// Who asks.
    pub downstream: Downstream,
    /// What the exchange began with, and finishes with.
    pub snapshot: Arc<Snapshot>,
    /// The route, once matched.
    pub route: Option<Matched>,
    /// Bytes of the path that the route's declared path matched.
    pub matched_len: usize,
    /// Path parameters as (name, value).
    pub params: Vec<(Box<str>, Box<str>)>,
    /// Number of the current attempt, from 1.
    pub attempt: u32,
    /// Index of the chosen target in the route's backend.
    pub target: Option<usize>,
    /// Whether the request counts as HTTPS, a trusted proxy's word included.
    pub secured: bool,
    /// Whether an error answer was made here.
    pub refused: bool,
    /// Now: the driver sets it before it lets the flow go on.
    pub moment: Moment,
    /// When it got how far.
    pub timeline: Timeline,
    /// What steps know and tell each other.
    pub attrs: Attrs,
    /// What the bodies may be.
    pub bounds: Bounds,
    /// Otoroshi's id of the request, a snowflake; 0 where the driver gives none.
    pub request_id: u64,
    /// What the exchange's event will tell; none when nobody wants events.
    pub details: Option<Box<Details>>,
    /// What the driver keeps with the exchange between two hooks; the flow never looks inside.
    pub attachment: Option<Box<dyn Any + Send + Sync>>,
    /// What looks at the bytes of the connection once it changes its protocol; none: nobody does.
    pub watch: Option<Box<dyn Any + Send + Sync>>,
    pub(super) host_overridden: bool,
    /// A hook chose a status that has no body; the backend's is read and not sent.
    pub bodiless: bool,
    /// The driver can send the request again: it has all of it.
    pub is_replayable: bool,
    /// A hook wants the request sent again.
    pub asks_again: bool,
    body: Option<Vec<u8>>,
    /// How often the body of an answer made here is sent.
    pub repeats: u64,
    /// The request's fields before any step, where an expression may ask for them.
    arrived: Option<Box<Headers>>,
    pub(super) forwarded_chain: Vec<u8>,
    cursor: usize,
    stage: Stage,
    rejected: Vec<Arc<str>>,
    pub(super) response_fields: Vec<Field>,
    /// The request is the backend's: an `Otoroshi-State` in it is for the backend's eyes only.
    pub(super) is_prepared: bool,
    /// The client's own `Otoroshi-State`, taken out when the request became the backend's.
    pub(super) client_state: Option<Box<[u8]>>,
    /// Counts the exchange among those under way, when there is a bound to that.
    pub(super) under_way: Option<UnderWay>,
    pub(super) is_one_too_many: bool,
}

impl Flow {
    /// Route a request.
    #[must_use]
    pub fn begin(
        id: u64,
        mut request: Request,
        response: ResponseHead,
        downstream: Downstream,
        snapshot: Arc<Snapshot>,
        moment: Moment,
    ) -> Self {
        if snapshot.settings.trust_x_forwarded {
            request.trust_forwarded_host();
        }
        let trust = snapshot.settings.trust_x_forwarded;
        let chain = request.headers.find_known(Known::XForwardedFor);
        let forwarded_chain = chain
            .filter(|_| trust)
            .map(<[u8]>::to_vec)
            .unwrap_or_default();
        let mut flow = Self {
            id,
            secured: Self::is_secured(&request, &downstream, trust),
            request,
            response,
            downstream,
            snapshot,
            route: None,
            matched_len: 0,
            params: Vec::new(),
            attempt: 1,
            target: None,
            refused: false,
            moment,
            timeline: Timeline::begin(moment),
            attrs: Attrs::default(),
            bounds: Bounds::default(),
            request_id: 0,
            details: None,
            attachment: None,
            watch: None,
            host_overridden: false,
            bodiless: false,
            is_replayable: false,
            asks_again: false,
            body: None,
            repeats: 1,
            arrived: None,
            forwarded_chain,
            cursor: 0,
            stage: Stage::Request,
            rejected: Vec::new(),
            response_fields: Vec::new(),
            is_prepared: false,
            client_state: None,
            under_way: None,
            is_one_too_many: false,
        };
        flow.enter();
        if !flow.is_monitoring() {
            flow.find_route();
            flow.foresee_steps();
        }
        flow
    }

    /// Have the steps ask for what they need, where that is in no cache.
    fn foresee_steps(&self) {
        let Some(route) = self.route.as_ref().filter(|_| self.snapshot.is_large()) else {
            return;
        };
        for step in &route.plan.steps[..route.plan.response_at] {
            if let Step::Native { step, .. } = &step.step {
                step.foresee(self);
            }
        }
    }

    /// The request's fields as the client sent them; as they are now, where the route's plan has no
    /// expression that asks for them.
    #[must_use]
    pub fn headers_as_arrived(&self) -> &Headers {
        self.arrived.as_deref().unwrap_or(&self.request.headers)
    }

    /// Whether the gateway's own pages are asked for; no route, on any host, may hide them.
    pub(super) fn is_monitoring(&self) -> bool {
        self.request.path().starts_with(MONITORING_PREFIX)
    }

    fn find_route(&mut self) {
        let facts = Facts {
            request: &self.request,
            listener: &self.downstream.listener,
            is_exclusive: self.downstream.is_exclusive,
        };
        let rejected = &self.rejected;
        let found = self
            .snapshot
            .router
            .find(&facts, &mut |route: &Route| !rejected.contains(&route.id));
        self.cursor = 0;
        self.stage = Stage::Request;
        let Some(found) = found else {
            self.route = None;
            return;
        };
        self.route = Some(Matched::of(found.route));
        if found.route.value.reads_arrived && self.arrived.is_none() {
            self.arrived = Some(Box::new(self.request.headers.clone()));
        }
        self.matched_len = found.matched_len;
        let path = self.request.path();
        self.params = found
            .params
            .iter()
            .map(|(name, range)| {
                let value = path.get(range.clone()).unwrap_or("");
                (Box::from(&**name), Box::from(value))
            })
            .collect();
    }

    /// A match_route hook said no: look for the next candidate.
    pub fn reject_route(&mut self) {
        if let Some(route) = self.route.take() {
            self.rejected.push(Arc::clone(&route.id));
            if !route.is_sink {
                self.find_route();
            }
        }
    }

    /// Run steps until something outside must happen.
    pub fn advance(&mut self) -> Next {
        let next = self.advance_steps();
        if matches!(next, Next::Reply | Next::Stream) {
            self.write_response_fields();
        }
        next
    }

    fn advance_steps(&mut self) -> Next {
        if self.turn_away() || self.refuse_domain() {
            return Next::Reply;
        }
        loop {
            // Steps may look at the flow's route too, so it stays in its place.
            let Some(route) = self.route.clone() else {
                if self.enter_sinks() {
                    continue;
                }
                return self.without_route();
            };
            match self.advance_on(&route) {
                Some(next) => return next,
                None => self.reject_route(),
            }
        }
    }

    /// Run steps of a route; none when the route does not take this request after all.
    fn advance_on(&mut self, route: &Route) -> Option<Next> {
        let closed = self.snapshot.settings.maintenance && self.cursor == 0 && !route.is_sink;
        if closed && self.stage == Stage::Request && self.body.is_none() {
            self.refuse(
                503,
                "Service in maintenance mode",
                "errors.service.in.maintenance",
            );
            return Some(Next::Reply);
        }
        self.run(route)
    }

    /// Let the sinks see a request that no route takes, once; whether there are any.
    fn enter_sinks(&mut self) -> bool {
        let Some(sinks) = &self.snapshot.sinks else {
            return false;
        };
        let is_new = self.stage == Stage::Request
            && self.body.is_none()
            && !self.is_monitoring()
            && !self.rejected.contains(&sinks.value.id);
        if is_new {
            self.route = Some(Matched::of(sinks));
        }
        is_new
    }

    fn without_route(&mut self) -> Next {
        if self.stage == Stage::Done {
            return Next::Finished;
        }
        if self.body.is_some() {
            return Next::Reply;
        }
        if self.is_monitoring() {
            return Next::Python(PythonStep {
                slot: MONITORING_SLOT,
                inline: true,
            });
        }
        self.refuse(404, "no route found !", "not_found");
        Next::Reply
    }

    fn run(&mut self, route: &Route) -> Option<Next> {
        let plan = &route.plan;
        loop {
            let end = match self.stage {
                Stage::Request => plan.response_at,
                Stage::Response => plan.done_at,
                Stage::Done => plan.steps.len(),
            };
            if self.cursor >= end {
                match self.stage {
                    Stage::Request if self.body.is_some() => self.begin_response_of(route),
                    Stage::Request if route.is_sink => return None,
                    Stage::Request => {
                        self.timeline.call(self.moment);
                        return Some(Next::Forward);
                    }
                    Stage::Response => {
                        // What a backend proves, it proves to the gateway and not to the client.
                        let headers = &mut self.response.headers;
                        headers.remove_known(|known| known == Known::OtoroshiStateResp);
                        let is_here = self.body.is_some();
                        return Some(if is_here { Next::Reply } else { Next::Stream });
                    }
                    Stage::Done => return Some(Next::Finished),
                }
                continue;
            }
            let step = &plan.steps[self.cursor];
            self.cursor += 1;
            // A plugin answered in the backend's place: nobody else may.
            if step.phase == Phase::CallBackend {
                if self.body.is_some() {
                    continue;
                }
                self.timeline.call(self.moment);
            }
            if step
                .gate
                .as_ref()
                .is_some_and(|gate| !gate.passes(self.request.path(), &self.downstream.listener))
            {
                continue;
            }
            let native = match &step.step {
                Step::Python(hook) => return Some(Next::Python(*hook)),
                Step::Native { step, .. } => step,
            };
            let mut at = At {
                flow: self,
                route,
                phase: step.phase,
            };
            match (native.run(&mut at), step.twin) {
                (Outcome::Continue, _) => {}
                (Outcome::Reject, _) => return None,
                (Outcome::Answer(reply), _) => {
                    self.answer(reply);
                    // What is answered in the backend's place meets the response steps.
                    if step.phase != Phase::CallBackend {
                        return Some(Next::Reply);
                    }
                }
                (Outcome::Repeat(reply, times), _) => {
                    self.answer(reply);
                    self.repeats = times;
                    return Some(Next::Reply);
                }
                (Outcome::Python, Some(hook)) => return Some(Next::Python(hook)),
                (Outcome::Python, None) => {
                    self.refuse(500, "this request could not be checked", "errors.undecided");
                    return Some(Next::Reply);
                }
            }
        }
    }

    pub(super) fn choose_target(&mut self, route: &Route) {
        let Moment { mono_s, random, .. } = self.moment;
        self.target = route.backend.choose(self.attempt, mono_s, random);
    }

    /// Choose the first target before the plan reaches that point; for explanations.
    pub(super) fn choose_first(&mut self) {
        if let Some(route) = self.route.take() {
            self.choose_target(&route);
            self.route = Some(route);
        }
    }

    /// Choose again for the next attempt.
    pub fn choose_again(&mut self, moment: Moment) {
        self.attempt += 1;
        self.moment = moment;
        if let Some(route) = self.route.take() {
            self.choose_target(&route);
            self.route = Some(route);
        }
    }

    /// The chosen target.
    #[must_use]
    pub fn target(&self) -> Option<&Target> {
        self.route.as_ref()?.backend.targets.get(self.target?)
    }

    /// The backend answered: `response` is filled, its steps come next.
    pub fn begin_response(&mut self) {
        if let Some(route) = self.route.take() {
            self.begin_response_of(&route);
            self.route = Some(route);
        }
    }

    fn begin_response_of(&mut self, route: &Route) {
        self.timeline.answer(self.moment);
        self.cursor = route.plan.response_at;
        self.stage = Stage::Response;
    }

    /// The exchange is over. Whether steps are left that want to know.
    pub fn begin_done(&mut self) -> bool {
        self.stage = Stage::Done;
        let Some(route) = &self.route else {
            return false;
        };
        self.cursor = route.plan.done_at;
        route.plan.has_done_steps()
    }

    /// Whether the exchange is over and only done steps run.
    #[must_use]
    pub fn is_done_stage(&self) -> bool {
        self.stage == Stage::Done
    }

    /// The step of a route that was handed out last.
    pub(super) fn handed_out<'r>(&self, route: &'r Route) -> Option<&'r PlanStep> {
        route.plan.steps.get(self.cursor.wrapping_sub(1))
    }

    /// The phase of the step that was handed out last.
    #[must_use]
    pub fn phase(&self) -> Phase {
        let step = self.route.as_ref().and_then(|it| self.handed_out(it));
        step.map_or(Phase::CallBackend, |step| step.phase)
    }

    /// The plugin of the step that was handed out last.
    #[must_use]
    pub fn plugin(&self) -> &str {
        let step = self.route.as_ref().and_then(|it| self.handed_out(it));
        step.map_or("", |step| &step.plugin)
    }

    /// Take a text out of what the exchange's event tells, if it has one.
    pub fn hide(&mut self, secret: &[u8]) {
        if self.details.is_some() {
            self.attrs.hide(secret);
        }
    }

    /// Whether the backend may be asked again: it answered, and the route's settings allow it.
    #[must_use]
    pub fn may_ask_again(&self) -> bool {
        let route = self.route.as_ref();
        self.stage == Stage::Response
            && self.body.is_none()
            && self.response.status != 101
            && route.is_some_and(|route| self.attempt < route.backend.client.attempts)
    }

    /// Drop the backend's answer and choose a target for another attempt.
    pub fn ask_again(&mut self, moment: Moment) {
        self.stage = Stage::Request;
        self.response.clear();
        self.bodiless = false;
        self.bounds.response = BodyBound::default();
        self.timeline.forget_answer();
        self.choose_again(moment);
    }
}

#[cfg(test)]
mod tests;
