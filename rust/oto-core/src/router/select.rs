//! Which of the routes at the place a request reached takes it, and why the others do not.

use std::cmp::Ordering;
use std::fmt;

use serde::{Serialize, Serializer};

use super::RequestFacts;
use super::frontend::Frontend;
use super::matcher::NamedTest;
use super::trie::Candidate;
use super::walk::{Found, Lists};

/// The listener that stands for "no listener chosen": unbound routes and routes bound to either of
/// these names are served there.
const STANDARD_LISTENERS: [&str; 2] = ["standard-listener", "experimental-listener"];

/// Why a candidate does not take a request.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Loss<'a> {
    /// The route is disabled.
    Disabled,
    /// The route is not served on this listener.
    Listener,
    /// The method is not listed.
    Method,
    /// `exact` is set and the request's path goes on.
    Exact,
    /// A header expectation failed.
    Header(Expectation<'a>),
    /// A query expectation failed.
    Query(Expectation<'a>),
    /// A cookie expectation failed.
    Cookie(Expectation<'a>),
    /// The route's own matching step refused.
    Refused,
    /// It was declared with a final slash, and the request matches inside its last segment.
    InsideSegment,
    /// A candidate before it takes the request.
    Later,
    /// Routes with a longer path were found, and only the deepest place is asked.
    ShallowerPath,
    /// A more specific kind of segment leads elsewhere, and the choice is not taken back.
    LessSpecificSegment,
    /// A more specific domain is declared, and only its paths are searched.
    OtherDomain,
}

/// A named expectation that failed; shows as a sentence.
#[derive(Clone, Copy, Debug)]
pub struct Expectation<'a>(pub(crate) &'a NamedTest);

impl Loss<'_> {
    /// A stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Listener => "listener",
            Self::Method => "method",
            Self::Exact => "exact",
            Self::Header(_) => "header",
            Self::Query(_) => "query",
            Self::Cookie(_) => "cookie",
            Self::Refused => "refused",
            Self::InsideSegment => "inside_segment",
            Self::Later => "later",
            Self::ShallowerPath => "shallower_path",
            Self::LessSpecificSegment => "less_specific_segment",
            Self::OtherDomain => "other_domain",
        }
    }
}

impl fmt::Display for Loss<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disabled => out.write_str("the route is disabled"),
            Self::Listener => out.write_str("the route is not served on this listener"),
            Self::Method => out.write_str("the method is not among those of the route"),
            Self::Exact => out.write_str("the path goes on and the route is exact"),
            Self::Header(Expectation(test)) => write!(out, "header {test}"),
            Self::Query(Expectation(test)) => write!(out, "query parameter {test}"),
            Self::Cookie(Expectation(test)) => write!(out, "cookie {test}"),
            Self::Refused => out.write_str("a matching step of the route refused"),
            Self::InsideSegment => {
                out.write_str("its path ends with a slash and so matches whole segments only")
            }
            Self::Later => out.write_str("a route before it takes the request"),
            Self::ShallowerPath => out.write_str("a route with a longer path was found"),
            Self::LessSpecificSegment => {
                out.write_str("a more specific segment of another route was followed")
            }
            Self::OtherDomain => out.write_str("a more specific domain is declared"),
        }
    }
}

impl Serialize for Loss<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut fields = serializer.serialize_struct("Loss", 2)?;
        fields.serialize_field("code", self.code())?;
        fields.serialize_field("detail", &self.to_string())?;
        fields.end()
    }
}

impl<'a, T> Found<'a, T> {
    /// The candidates of this place in order: most matchers first, then oldest first.
    pub(crate) fn candidates(&self) -> impl Iterator<Item = &'a Candidate<T>> {
        let mut lists: Lists<'a, T> = self.nodes.iter().map(|node| node.routes()).collect();
        std::iter::from_fn(move || {
            let lowest = match lists.as_mut_slice() {
                [only] => only,
                lists => lists.iter_mut().min_by(|one, other| heads(one, other))?,
            };
            let (first, rest) = lowest.split_first()?;
            *lowest = rest;
            Some(first)
        })
    }
}

/// Order lists by their first candidate, empty ones last.
fn heads<T>(one: &[Candidate<T>], other: &[Candidate<T>]) -> Ordering {
    match (one.first(), other.first()) {
        (Some(one), Some(other)) => one.order().cmp(&other.order()),
        (one, other) => one.is_none().cmp(&other.is_none()),
    }
}

/// Whether a candidate at `found` takes the request; `accept` is asked last.
#[inline]
pub(crate) fn check<'c, T, F>(
    candidate: &'c Candidate<T>,
    found: &Found<'_, T>,
    facts: &F,
    accept: &mut (impl FnMut(&T) -> bool + ?Sized),
) -> Result<(), Loss<'c>>
where
    F: RequestFacts + ?Sized,
{
    if found.inside_segment && candidate.whole_segments {
        return Err(Loss::InsideSegment);
    }
    let route = candidate.route.as_ref();
    if !candidate.is_unconditional || facts.listener_is_exclusive() {
        check_conditions(&route.frontend, found, facts)?;
    }
    if accept(&route.value) {
        Ok(())
    } else {
        Err(Loss::Refused)
    }
}

fn check_conditions<'c, T, F>(
    frontend: &'c Frontend,
    found: &Found<'_, T>,
    facts: &F,
) -> Result<(), Loss<'c>>
where
    F: RequestFacts + ?Sized,
{
    if !is_served_on(frontend, facts) {
        return Err(Loss::Listener);
    }
    if !frontend.conditions().methods.is_empty()
        && !frontend
            .conditions()
            .methods
            .iter()
            .any(|m| **m == *facts.method())
    {
        return Err(Loss::Method);
    }
    if frontend.exact && !found.no_more_segments {
        return Err(Loss::Exact);
    }
    check_values(frontend, facts)
}

fn is_served_on<F: RequestFacts + ?Sized>(frontend: &Frontend, facts: &F) -> bool {
    if frontend.conditions().bound_listeners.is_empty() {
        return !facts.listener_is_exclusive();
    }
    let listener = facts.listener();
    let is_standard = |name: &str| STANDARD_LISTENERS.contains(&name);
    let bound = &frontend.conditions().bound_listeners;
    bound
        .iter()
        .any(|name| **name == *listener || (is_standard(listener) && is_standard(name)))
}

fn check_values<'c, F>(frontend: &'c Frontend, facts: &F) -> Result<(), Loss<'c>>
where
    F: RequestFacts + ?Sized,
{
    for test in &frontend.conditions().headers {
        if !test.passes_header(facts) {
            return Err(Loss::Header(Expectation(test)));
        }
    }
    for test in &frontend.conditions().query {
        if !test.passes_query(facts.query()) {
            return Err(Loss::Query(Expectation(test)));
        }
    }
    for test in &frontend.conditions().cookies {
        if !test.passes_cookie(facts) {
            return Err(Loss::Cookie(Expectation(test)));
        }
    }
    Ok(())
}
