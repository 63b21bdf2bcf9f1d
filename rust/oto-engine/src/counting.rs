//! Which exchanges are counted for which route: those that ended when they end, those that run when somebody asks.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use oto_core::plan::Flow;
use oto_core::tallies::Tally;

use crate::ending::Ended;
use crate::engine::Engine;

/// What there is to tell of one route.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteCount {
    /// The route's id.
    pub id: Arc<str>,
    /// Its exchanges that ended.
    pub tally: Tally,
    /// Its exchanges that run now; tunnels are not among them.
    pub running: u64,
}

impl Engine {
    /// Count an exchange that is over for its route.
    pub(crate) fn tally(&mut self, ended: &Ended, flow: &Flow) {
        let Some(route) = &flow.route else { return };
        let exchange = Tally {
            calls: 1,
            bytes_in: ended.bytes_in,
            bytes_out: ended.bytes_out,
            duration_s: ended.duration_s,
            overhead_s: (ended.duration_s - ended.upstream_s).max(0.0),
        };
        self.tallies.count(&route.id, &exchange);
    }

    /// What there is to tell of some routes; those without any exchange so far are left out.
    ///
    /// It looks at every connection once.
    #[must_use]
    pub fn count_routes(&self, ids: &[String]) -> Vec<RouteCount> {
        let mut running = self.running();
        ids.iter()
            .filter_map(|id| {
                let tally = self.tallies.of(id).copied();
                let count = running.remove(id.as_str());
                (tally.is_some() || count.is_some()).then(|| RouteCount {
                    id: Arc::from(id.as_str()),
                    tally: tally.unwrap_or_default(),
                    running: count.unwrap_or(0),
                })
            })
            .collect()
    }

    /// What the exchanges of every route came to, in no order; without those that run.
    #[must_use]
    pub fn tallied_routes(&self) -> Vec<RouteCount> {
        self.tallies
            .iter()
            .map(|(id, tally)| RouteCount {
                id: Arc::clone(id),
                tally: *tally,
                running: 0,
            })
            .collect()
    }

    /// Exchanges that were counted for no route, because there was no room for more routes.
    #[must_use]
    pub fn uncounted_by_route(&self) -> u64 {
        self.tallies.uncounted()
    }

    /// How many exchanges run, by route.
    fn running(&self) -> HashMap<&str, u64, RandomState> {
        let mut running = HashMap::default();
        for (_, down) in &self.downs {
            let Some(exchange) = &down.exchange else {
                continue;
            };
            let route = match &exchange.flow {
                Some(flow) => flow.route.as_ref().map(|route| &*route.id),
                None => exchange.held_route.as_deref(),
            };
            if let Some(route) = route {
                *running.entry(route).or_insert(0) += 1;
            }
        }
        running
    }
}
