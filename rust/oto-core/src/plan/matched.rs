//! The route that an exchange found.

use std::ops::Deref;
use std::sync::Arc;

use super::step::Route;
use crate::router::RouteEntry;

/// A matched route, shared with the router: one place in memory for what found it and what it is.
#[derive(Clone, Debug)]
pub struct Matched(Arc<RouteEntry<Route>>);

impl Deref for Matched {
    type Target = Route;

    fn deref(&self) -> &Route {
        &self.0.value
    }
}

impl Matched {
    pub(super) fn of(route: &Arc<RouteEntry<Route>>) -> Self {
        Self(Arc::clone(route))
    }
}
