//! The tree of path segments below one domain.
//!
//! A node is reached by one segment, and holds the routes declared there and the ways on: literal
//! segments in a hash map, and apart from them those that stand for more than one segment. How a
//! request goes down is told in [`super::walk`].
//!
//! Parameter names are no part of the tree: `/:id/a` and `/:key/b` share one child, and the names
//! come from the declaration that wins.
//!
//! Nodes are shared between clones; an edit copies those on its own path.

use std::sync::Arc;

use smol_str::SmolStr;

use super::RouteEntry;
use super::glob::{GlobIndex, Lengths};
use super::hamt::{Hamt, Keyed, Search, hash_of};
use super::java_regex::JavaRegex;
use super::path::{DeclaredPath, Segment};

/// A node: what is declared at one place, and what is declared below it.
pub(crate) struct Node<T> {
    /// The segment, pattern or domain that leads here.
    label: SmolStr,
    literals: Hamt<Arc<Node<T>>>,
    lengths: Lengths,
    routes: Candidates<T>,
    others: Option<Box<Others<T>>>,
}

/// Children that stand for more than one segment.
pub(crate) struct Others<T> {
    named: Option<Arc<Node<T>>>,
    regexes: Vec<(Arc<JavaRegex>, Arc<Node<T>>)>,
    globs: GlobIndex<Arc<Node<T>>>,
}

/// A route at a node.
pub(crate) struct Candidate<T> {
    pub(crate) route: Arc<RouteEntry<T>>,
    /// Which of the route's declared paths leads here.
    pub(crate) path: u16,
    /// That path does not match inside a segment.
    pub(crate) whole_segments: bool,
    /// That path binds names.
    pub(crate) has_params: bool,
    /// The route asks for nothing but domain and path. Kept here, so that such a route (most are)
    /// is chosen without touching its memory.
    pub(crate) is_unconditional: bool,
    rank: u16,
    seq: u64,
}

/// The routes of a node, most matchers first, then oldest first.
enum Candidates<T> {
    None,
    One(Candidate<T>),
    Many(Box<[Candidate<T>]>),
}

impl<T> Candidate<T> {
    pub(crate) fn new(route: &Arc<RouteEntry<T>>, path: u16, declared: &DeclaredPath) -> Self {
        Self {
            path,
            whole_segments: declared.whole_segments,
            has_params: declared.has_params,
            is_unconditional: route.frontend.is_unconditional(),
            rank: route.frontend.rank(),
            seq: route.seq,
            route: Arc::clone(route),
        }
    }

    /// The declaration that leads here, as written.
    pub(crate) fn declared(&self) -> &str {
        let paths = &self.route.frontend.paths;
        paths
            .get(usize::from(self.path))
            .map_or("", |path| &path.text)
    }

    /// Sorts the candidates of a place. A route may stand there by several of its declarations (as
    /// `:id` and as `$id<[0-9]+>`); the first declared goes first.
    pub(crate) fn order(&self) -> (std::cmp::Reverse<u16>, u64, u16) {
        (std::cmp::Reverse(self.rank), self.seq, self.path)
    }
}

impl<T> Candidates<T> {
    #[inline]
    fn as_slice(&self) -> &[Candidate<T>] {
        match self {
            Self::None => &[],
            Self::One(only) => std::slice::from_ref(only),
            Self::Many(all) => all,
        }
    }

    fn from_vec(all: Vec<Candidate<T>>) -> Self {
        match <[Candidate<T>; 1]>::try_from(all) {
            Ok([only]) => Self::One(only),
            Err(none) if none.is_empty() => Self::None,
            Err(many) => Self::Many(many.into()),
        }
    }

    fn insert(&mut self, candidate: Candidate<T>) {
        let mut all = self.as_slice().to_vec();
        let at = all.partition_point(|held| held.order() < candidate.order());
        all.insert(at, candidate);
        *self = Self::from_vec(all);
    }

    fn remove(&mut self, seq: u64) {
        let kept = self.as_slice().iter().filter(|held| held.seq != seq);
        *self = Self::from_vec(kept.cloned().collect());
    }
}

impl<T> Node<T> {
    pub(crate) fn new(label: SmolStr) -> Self {
        Self {
            label,
            literals: Hamt::default(),
            lengths: Lengths::default(),
            routes: Candidates::None,
            others: None,
        }
    }

    /// The segment, pattern or domain that leads here.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// The routes declared here, most matchers first, then oldest first.
    #[inline]
    pub(crate) fn routes(&self) -> &[Candidate<T>] {
        self.routes.as_slice()
    }

    /// Whether nothing is declared here or below.
    pub(crate) fn is_empty(&self) -> bool {
        self.routes().is_empty() && self.literals.is_empty() && self.others.is_none()
    }

    /// Put a candidate at the end of `segments`.
    pub(crate) fn insert(&mut self, segments: &[Segment], candidate: &Candidate<T>) {
        let Some((first, rest)) = segments.split_first() else {
            self.routes.insert(candidate.clone());
            return;
        };
        let go_on = &mut |child: &mut Arc<Self>| Arc::make_mut(child).insert(rest, candidate);
        match first {
            Segment::Literal(text) => {
                self.lengths.add(text.len());
                let make = &mut || Arc::new(Self::new(text.clone()));
                self.literals.edit(text, make, go_on);
            }
            Segment::Named(_) => {
                let named = &mut self.others_mut().named;
                go_on(named.get_or_insert_with(|| Arc::new(Self::new(":".into()))));
            }
            Segment::Regex { regex, .. } => {
                let regexes = &mut self.others_mut().regexes;
                let same = |(held, _): &(Arc<JavaRegex>, _)| held.source() == regex.source();
                match regexes.iter().position(same) {
                    Some(at) => go_on(&mut regexes[at].1),
                    None => {
                        let mut child =
                            Arc::new(Self::new(format!("$<{}>", regex.source()).into()));
                        go_on(&mut child);
                        regexes.push((Arc::clone(regex), child));
                    }
                }
            }
            Segment::Glob(text) => {
                let make = &mut || Arc::new(Self::new(text.clone()));
                self.others_mut().globs.edit(text, make, go_on);
            }
        }
    }

    /// Take the candidate of route `seq` from the end of `segments`, and nodes left empty with it.
    pub(crate) fn remove(&mut self, segments: &[Segment], seq: u64) {
        let Some((first, rest)) = segments.split_first() else {
            self.routes.remove(seq);
            return;
        };
        let keep = &mut |child: &mut Arc<Self>| {
            let child = Arc::make_mut(child);
            child.remove(rest, seq);
            !child.is_empty()
        };
        match first {
            Segment::Literal(text) => self.literals.prune(text, keep),
            Segment::Named(_) => {
                let others = self.others_mut();
                others.named = others
                    .named
                    .take()
                    .and_then(|mut child| keep(&mut child).then_some(child));
            }
            Segment::Regex { regex, .. } => self
                .others_mut()
                .regexes
                .retain_mut(|(held, child)| held.source() != regex.source() || keep(child)),
            Segment::Glob(text) => self.others_mut().globs.prune(text, keep),
        }
        if self.literals.is_empty() {
            self.lengths = Lengths::default();
        }
        if self.others.as_ref().is_some_and(|others| others.is_empty()) {
            self.others = None;
        }
    }

    fn others_mut(&mut self) -> &mut Others<T> {
        self.others.get_or_insert_default()
    }

    /// The child of exactly this segment, whose hash the caller has.
    #[inline]
    pub(crate) fn literal(&self, hash: u64, segment: &str) -> Option<&Self> {
        self.literals.get(hash, segment).map(Arc::as_ref)
    }

    /// Begin to look for the literal child that a segment's hash leads to.
    #[inline]
    pub(crate) fn search(&self, hash: u64) -> Search<'_, Arc<Self>> {
        self.literals.search(hash)
    }

    /// The literal child that is the first `length` bytes of `segment`.
    pub(crate) fn prefix(&self, segment: &str, length: usize) -> Option<&Self> {
        let prefix = segment.get(..length)?;
        self.literal(hash_of(prefix), prefix)
    }

    /// Lengths that literal children have.
    pub(crate) fn lengths(&self) -> Lengths {
        self.lengths
    }

    /// The children of the other kinds.
    #[inline]
    pub(crate) fn others(&self) -> Option<&Others<T>> {
        self.others.as_deref()
    }
}

impl<T> Others<T> {
    fn is_empty(&self) -> bool {
        self.named.is_none() && self.regexes.is_empty() && self.globs.is_empty()
    }

    /// Visit the named child, and the regex children that `segment` matches.
    pub(crate) fn each_param<'a>(&'a self, segment: &str, visit: &mut dyn FnMut(&'a Node<T>)) {
        if let Some(named) = &self.named {
            visit(named);
        }
        for (regex, child) in &self.regexes {
            if regex.matches(segment.as_bytes()) {
                visit(child);
            }
        }
    }

    /// The child of the most specific pattern that `segment` matches.
    pub(crate) fn best_glob(&self, segment: &str) -> Option<&Node<T>> {
        self.globs.best(segment).map(Arc::as_ref)
    }

    /// Visit the children of all patterns that `segment` matches.
    pub(crate) fn each_glob<'a>(&'a self, segment: &str, visit: &mut dyn FnMut(&'a Node<T>)) {
        self.globs.each_match(segment, &mut |child| visit(child));
    }
}

impl<T> Keyed for Node<T> {
    fn key(&self) -> &str {
        &self.label
    }
}

// By hand: a derived `Clone` would ask it of `T`, which only ever lies behind an `Arc`.
impl<T> Clone for Node<T> {
    fn clone(&self) -> Self {
        Self {
            label: self.label.clone(),
            literals: self.literals.clone(),
            lengths: self.lengths,
            routes: match &self.routes {
                Candidates::None => Candidates::None,
                Candidates::One(only) => Candidates::One(only.clone()),
                Candidates::Many(all) => Candidates::Many(all.clone()),
            },
            others: self.others.clone(),
        }
    }
}

impl<T> Clone for Others<T> {
    fn clone(&self) -> Self {
        Self {
            named: self.named.clone(),
            regexes: self.regexes.clone(),
            globs: self.globs.clone(),
        }
    }
}

impl<T> Default for Others<T> {
    fn default() -> Self {
        Self {
            named: None,
            regexes: Vec::new(),
            globs: GlobIndex::default(),
        }
    }
}

impl<T> Clone for Candidate<T> {
    fn clone(&self) -> Self {
        Self {
            route: Arc::clone(&self.route),
            ..*self
        }
    }
}
