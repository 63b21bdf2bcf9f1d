//! Why a request goes to one route and not to another, in words.

use serde::Serialize;

use super::domains::Domains;
use super::select::{Loss, check};
use super::trie::{Candidate, Node};
use super::walk::{Found, each_child, each_prefix_child, search, segments};
use super::{RequestFacts, Router, bindings};

/// What the router looked at for one request, and what came of it.
#[derive(Debug, Serialize)]
pub struct Explanation<'a> {
    /// The domain that was looked up.
    pub domain: String,
    /// The path that was looked up.
    pub path: String,
    /// The method.
    pub method: String,
    /// The listener.
    pub listener: String,
    /// Declared domains that match, most specific first; only the first is searched.
    pub domains: Vec<&'a str>,
    /// The route that takes the request.
    pub winner: Option<MatchReport<'a>>,
    /// Routes whose domain and path match: those at the place reached in the order they were asked,
    /// then shorter paths, then those of other domains, then disabled ones.
    pub candidates: Vec<CandidateReport<'a>>,
    /// There were more candidates than are listed.
    pub truncated: bool,
}

/// The winner and how it matched.
#[derive(Debug, Serialize)]
pub struct MatchReport<'a> {
    /// The route's id.
    pub id: &'a str,
    /// The declared domain and path, as written.
    pub declared: &'a str,
    /// The part of the request's path that the declaration matched.
    pub matched_path: String,
    /// Names and the segments bound to them.
    pub params: Vec<(&'a str, String)>,
    /// Whether every segment was matched.
    pub no_more_segments: bool,
}

/// One candidate and why it lost; the winner has no loss.
#[derive(Debug, Serialize)]
pub struct CandidateReport<'a> {
    /// The route's id.
    pub id: &'a str,
    /// The declared domain and path, as written.
    pub declared: &'a str,
    /// Why it does not take the request.
    pub loss: Option<Loss<'a>>,
}

impl<T> Router<T> {
    /// Say which route takes a request, as [`Router::find`] does, and why each other one that its
    /// domain and path match does not.
    ///
    /// Cost: every place of the trees that the request can reach; for people, not for traffic.
    pub fn explain<'a, F>(
        &'a self,
        facts: &F,
        accept: &mut (impl FnMut(&T) -> bool + ?Sized),
    ) -> Explanation<'a>
    where
        F: RequestFacts + ?Sized,
    {
        let mut reports = Reports::default();
        let mut winner = None;
        let trees = self.live.find_all(facts.domain());
        let found = trees.first().and_then(|tree| search(tree, facts.path()));
        if let Some(found) = &found {
            for candidate in found.candidates() {
                let loss = match (&winner, check(candidate, found, facts, accept)) {
                    (_, Err(loss)) => Some(loss),
                    (Some(_), Ok(())) => Some(Loss::Later),
                    (None, Ok(())) => {
                        winner = Some(report_match(candidate, found, facts.path()));
                        None
                    }
                };
                reports.add(candidate, loss);
            }
        }
        if let Some(tree) = trees.first() {
            report_passed_by(tree, found.as_ref(), facts.path(), &mut reports);
        }
        for tree in trees.iter().skip(1) {
            each_place(tree, facts.path(), &mut |place| {
                reports.add_all(place, Loss::OtherDomain);
            });
        }
        report_disabled(&self.disabled, facts, &mut reports);
        Explanation {
            domain: facts.domain().to_owned(),
            path: facts.path().to_owned(),
            method: facts.method().to_owned(),
            listener: facts.listener().to_owned(),
            domains: trees.iter().map(|tree| tree.label()).collect(),
            winner,
            candidates: reports.list,
            truncated: reports.truncated,
        }
    }
}

/// Reports so far, bounded.
#[derive(Default)]
struct Reports<'a> {
    list: Vec<CandidateReport<'a>>,
    truncated: bool,
}

impl<'a> Reports<'a> {
    fn add<T>(&mut self, candidate: &'a Candidate<T>, loss: Option<Loss<'a>>) {
        // The winner is always shown, whatever stands before it.
        if self.list.len() >= MAX_REPORTS && loss.is_some() {
            self.truncated = true;
            return;
        }
        self.list.push(CandidateReport {
            id: &candidate.route.id,
            declared: candidate.declared(),
            loss,
        });
    }

    fn add_all<T>(&mut self, place: &Place<'a, T>, loss: Loss<'a>) {
        for candidate in place.node.routes() {
            if !(place.inside_segment && candidate.whole_segments) {
                self.add(candidate, Some(loss));
            }
        }
    }
}

fn report_match<'a, T>(
    candidate: &'a Candidate<T>,
    found: &Found<'a, T>,
    path: &str,
) -> MatchReport<'a> {
    let text = |range: std::ops::Range<usize>| path.get(range).unwrap_or_default().to_owned();
    let params = bindings(candidate, path).into_iter();
    MatchReport {
        id: &candidate.route.id,
        declared: candidate.declared(),
        matched_path: text(0..found.matched_len),
        params: params.map(|(name, range)| (name, text(range))).collect(),
        no_more_segments: found.no_more_segments,
    }
}

/// Routes of the searched tree at other places than the one reached, deepest first.
fn report_passed_by<'a, T>(
    tree: &'a Node<T>,
    found: Option<&Found<'a, T>>,
    path: &str,
    reports: &mut Reports<'a>,
) {
    let reached = found.map_or(0, |found| found.matched_len);
    let mut places = Vec::new();
    each_place(tree, path, &mut |place| {
        let is_reached = found.is_some_and(|found| {
            let mut nodes = found.nodes.iter();
            nodes.any(|node| std::ptr::eq(*node, place.node))
        });
        if !is_reached {
            places.push(*place);
        }
    });
    places.sort_by_key(|place| std::cmp::Reverse(place.matched_len));
    for place in &places {
        let loss = match place.matched_len < reached {
            true => Loss::ShallowerPath,
            false => Loss::LessSpecificSegment,
        };
        reports.add_all(place, loss);
    }
}

fn report_disabled<'a, T, F>(disabled: &'a Domains<T>, facts: &F, reports: &mut Reports<'a>)
where
    F: RequestFacts + ?Sized,
{
    for tree in disabled.find_all(facts.domain()) {
        each_place(tree, facts.path(), &mut |place| {
            reports.add_all(place, Loss::Disabled);
        });
    }
}

/// A place with routes that a path can reach.
struct Place<'a, T> {
    node: &'a Node<T>,
    matched_len: usize,
    inside_segment: bool,
}

impl<T> Clone for Place<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Place<'_, T> {}

/// Visit every place that a declaration on its own would match: what `search` would find if the
/// other routes were not there. Bounded, as regex siblings can multiply.
fn each_place<'a, T>(root: &'a Node<T>, path: &str, visit: &mut dyn FnMut(&Place<'a, T>)) {
    let mut here = vec![root];
    let mut matched_len = 0;
    let see = |visit: &mut dyn FnMut(&Place<'a, T>), node, matched_len, inside_segment| {
        visit(&Place {
            node,
            matched_len,
            inside_segment,
        });
    };
    for (start, segment) in segments(path) {
        let mut next = Vec::new();
        for node in here {
            see(visit, node, matched_len, false);
            if next.len() < MAX_PLACES {
                each_child(node, segment, &mut |child| next.push(child));
            }
            if !path.ends_with('/') {
                each_prefix_child(node, segment, &mut |child| {
                    see(visit, child, start + child.label().len(), true);
                });
            }
        }
        here = next;
        matched_len = start + segment.len();
    }
    for node in here {
        see(visit, node, matched_len, false);
    }
}

/// Candidates that one explanation lists.
const MAX_REPORTS: usize = 200;
/// Nodes that an explanation stands on together.
const MAX_PLACES: usize = 10_000;
