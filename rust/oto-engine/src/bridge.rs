//! Exchanges that Python holds: how they come back.

use oto_core::plan::{Flow, Next, Reply};

use crate::connection::{Exchange, Wait};
use crate::engine::Engine;
use crate::event::Event;

impl Engine {
    /// The hook is done: go on behind it.
    pub fn resume(&mut self, mut flow: Box<Flow>, now_s: f64) -> Vec<Event> {
        if std::mem::take(&mut flow.asks_again) && flow.may_ask_again() {
            let key = (flow.id & 0xffff_ffff) as usize;
            let held = self.held(key, flow.id);
            // More of the request may have passed while the hook ran.
            if held.is_some_and(|exchange| exchange.up.is_some() && exchange.is_replayable()) {
                self.ask_again(key, flow, now_s);
                return std::mem::take(&mut self.raised);
            }
        }
        self.give_back(flow, now_s, |flow| flow.advance())
    }

    /// The hook wants another answer than the backend's: send the request again.
    fn ask_again(&mut self, key: usize, mut flow: Box<Flow>, now_s: f64) {
        self.now_s = now_s;
        let moment = self.moment();
        let Some(exchange) = self.held(key, flow.id) else {
            return;
        };
        flow.ask_again(moment);
        exchange.gathered = None;
        exchange.flow = Some(flow);
        let is_sent = exchange.body.is_done();
        self.metrics.retries += 1;
        self.release_up(key, is_sent);
        self.attempt(key);
    }

    /// The match_route hook said no: look for another route.
    pub fn reject(&mut self, flow: Box<Flow>, now_s: f64) -> Vec<Event> {
        self.give_back(flow, now_s, |flow| {
            flow.reject_route();
            flow.advance()
        })
    }

    /// The hook answered.
    pub fn respond(&mut self, flow: Box<Flow>, reply: Reply, now_s: f64) -> Vec<Event> {
        self.give_back(flow, now_s, |flow| flow.respond(reply))
    }

    /// The hook refused, or failed.
    pub fn refuse_flow(
        &mut self,
        flow: Box<Flow>,
        status: u16,
        message: &str,
        cause: &str,
        now_s: f64,
    ) -> Vec<Event> {
        self.give_back(flow, now_s, |flow| {
            flow.refuse(status, message, cause);
            Next::Reply
        })
    }

    fn give_back(
        &mut self,
        mut flow: Box<Flow>,
        now_s: f64,
        then: impl FnOnce(&mut Flow) -> Next,
    ) -> Vec<Event> {
        self.now_s = now_s;
        flow.moment = self.moment();
        let key = (flow.id & 0xffff_ffff) as usize;
        match self.held(key, flow.id) {
            Some(exchange) => {
                let next = then(&mut flow);
                exchange.wait = Wait::Nothing;
                exchange.flow = Some(flow);
                self.follow(key, next);
            }
            // The exchange is over, or its client left: only the done steps are still owed.
            None if flow.is_done_stage() => self.run_done(flow),
            None => {
                if let Some(ended) = self.ended.remove(&flow.id) {
                    self.tally(&ended, &flow);
                    self.record(ended, &mut flow);
                }
                if flow.begin_done() {
                    self.run_done(flow);
                }
            }
        }
        std::mem::take(&mut self.raised)
    }

    /// The exchange that Python holds under this id, if its client is still there.
    pub(crate) fn held(&mut self, key: usize, id: u64) -> Option<&mut Exchange> {
        let exchange = self.downs.get_mut(key)?.exchange.as_deref_mut()?;
        (exchange.id == id && exchange.flow.is_none()).then_some(exchange)
    }

    /// A hook wants the whole request body, of `limit` bytes at most: an [`Event::Body`] follows.
    /// False when the exchange is over, or the body is on its way to the backend.
    pub fn read_body(&mut self, id: u64, limit: usize, now_s: f64) -> (bool, Vec<Event>) {
        self.now_s = now_s;
        let key = (id & 0xffff_ffff) as usize;
        let Some(exchange) = self.held(key, id) else {
            return (false, std::mem::take(&mut self.raised));
        };
        if exchange.body_lost {
            self.raised.push(Event::Body(id, None));
            return (true, std::mem::take(&mut self.raised));
        }
        // Some of it is the backend's already: what is left is not the body, and is the backend's too.
        let is_under_way = exchange.bytes_in > 0 || !exchange.body.is_done();
        if exchange.up.is_some() && exchange.buffered.is_none() && is_under_way {
            return (false, std::mem::take(&mut self.raised));
        }
        if exchange.body.is_done() {
            let body = exchange.buffered.clone().unwrap_or_default();
            let fits = body.len() <= limit;
            self.raised.push(Event::Body(id, fits.then_some(body)));
            return (true, std::mem::take(&mut self.raised));
        }
        exchange.wait = Wait::Body(limit);
        let owes = std::mem::take(&mut exchange.owes_continue);
        let idle = now_s + self.settings.body_idle_s;
        if owes {
            self.send_continue(key);
        }
        self.touch_exchange(key, idle);
        self.pump_request(key);
        (true, std::mem::take(&mut self.raised))
    }

    pub(crate) fn body_buffered(&mut self, key: usize, body: Option<Vec<u8>>) {
        let Some(exchange) = self
            .downs
            .get_mut(key)
            .and_then(|down| down.exchange.as_mut())
        else {
            return;
        };
        exchange.wait = Wait::Python;
        let id = exchange.id;
        self.raised.push(Event::Body(id, body));
    }
}
