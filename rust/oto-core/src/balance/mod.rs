//! Which target of a backend gets the next attempt.
//!
//! A [`Backend`] filters its targets (usable, primary or backup), then asks its
//! [`Strategy`] for one of the rest. One strategy, one file; each is a pure function of the
//! number of choices and what the request brings.
//!
//! Source: Otoroshi, engine_backend.md ("Choosing a target", "Strategies").

pub mod breaker;
pub mod random;
pub mod round_robin;
mod spec;
mod target_tls;
mod unix_path;

pub use breaker::Breaker;
pub use spec::{BackendParts, BackendSpec, BackendSpecError, ClientSettings};
pub use target_tls::TargetTls;
pub use unix_path::{is_below, unix_path, unix_path_problem};

use std::ops::Deref;
use std::sync::Arc;

use crate::one_or_many::OneOrMany;

/// One server of a backend.
#[derive(Debug)]
pub struct Target {
    /// Where it is; targets of many backends share it.
    pub place: Arc<Place>,
    /// Only used when no primary target is left.
    pub backup: bool,
    /// How often the target stands in the list of choices.
    pub weight: u16,
    /// Consecutive failures and what they led to.
    pub breaker: Breaker,
}

impl Deref for Target {
    type Target = Place;

    fn deref(&self) -> &Place {
        &self.place
    }
}

/// Where a server is, and how to speak to it.
#[derive(Debug)]
pub struct Place {
    /// The entity's id of the target.
    pub id: Arc<str>,
    /// The name sent as `Host` when the host is overridden, and resolved to connect.
    pub hostname: Arc<str>,
    /// The address to connect to instead of resolving `hostname`: an IP address, or `unix:` and a path.
    pub ip_address: Option<Arc<str>>,
    /// TCP port.
    pub port: u16,
    /// How to speak TLS; none for plain HTTP.
    pub tls: Option<Arc<TargetTls>>,
    /// What to speak.
    pub protocol: Protocol,
    /// `host:port` to connect to, or `unix:` and a path.
    pub address: Arc<str>,
    /// What connections must have in common to be used for each other's requests.
    pub pool_key: Arc<str>,
    /// `Host` value when the client sent none (`hostname[:port]`).
    pub authority: Arc<str>,
}

/// The version of HTTP that a target is spoken to in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1, and what is written in no other way.
    Http11,
    /// HTTP/2, or what the backend chooses under TLS.
    Http2,
    /// HTTP/3 over QUIC, which is always encrypted.
    Http3,
}

impl Protocol {
    /// Read what an entity says.
    #[must_use]
    pub fn named(name: &str) -> Self {
        match name {
            name if name.eq_ignore_ascii_case("HTTP/1.0") => Self::Http10,
            name if name.eq_ignore_ascii_case("HTTP/2.0") => Self::Http2,
            name if name.eq_ignore_ascii_case("HTTP/3.0") => Self::Http3,
            _ => Self::Http11,
        }
    }

    /// Whether requests share a connection.
    #[must_use]
    pub fn is_shared(self) -> bool {
        matches!(self, Self::Http2 | Self::Http3)
    }
}

/// How one of several equal choices is picked (`load_balancing.type`).
#[derive(Debug)]
pub enum Strategy {
    /// In turn.
    RoundRobin(round_robin::RoundRobin),
    /// Uniformly at random.
    Random,
}

impl Strategy {
    /// An index below `choices`, which is at least one.
    fn pick(&self, choices: usize, random: u64) -> usize {
        match self {
            Self::RoundRobin(turns) => turns.pick(choices),
            Self::Random => random::pick(choices, random),
        }
    }
}

/// Targets, how to choose among them and how to talk to them.
#[derive(Debug)]
pub struct Backend {
    /// The targets, without duplicates, in declaration order.
    pub targets: OneOrMany<Target>,
    /// Put before the remaining path.
    pub root: Arc<str>,
    /// Whether `root` replaces the whole path and query.
    pub rewrite: bool,
    /// Timeouts, retries and breaker settings.
    pub client: Arc<ClientSettings>,
    choices: Choices,
}

/// How a backend chooses among its targets.
#[derive(Debug)]
enum Choices {
    /// The one target there is, or none that may be chosen. Most backends are so, and lists would be most of them.
    One(bool),
    /// Several targets.
    Many(Box<Several>),
}

#[derive(Debug)]
struct Several {
    lists: Lists,
    strategy: Strategy,
}

/// Indexes into a backend's targets, each repeated by its weight.
#[derive(Debug, Default)]
struct Lists {
    primaries: Vec<u16>,
    backups: Vec<u16>,
}

impl Backend {
    /// Choose a target for attempt number `attempt` (from 1) at `now_s`.
    ///
    /// Primaries first; backups when no primary is usable or after as many attempts as there are
    /// primaries. `None` when nothing is usable.
    pub fn choose(&self, attempt: u32, now_s: f64, random: u64) -> Option<usize> {
        let usable = |index: &u16| {
            self.targets
                .get(usize::from(*index))
                .is_some_and(|target| target.breaker.admits(now_s, &self.client))
        };
        let Several { lists, strategy } = match &self.choices {
            Choices::One(counts) => return (*counts && usable(&0)).then_some(0),
            Choices::Many(several) => &**several,
        };
        let Lists { primaries, backups } = lists;
        // Almost always everything is usable: pick first, look afterwards.
        let past_primaries = attempt as usize > primaries.len() && !backups.is_empty();
        let first = if past_primaries { backups } else { primaries };
        if !first.is_empty() {
            let index = first[strategy.pick(first.len(), random)];
            if usable(&index) {
                return Some(usize::from(index));
            }
        }
        for list in [first, primaries, backups] {
            let left: Vec<u16> = list.iter().copied().filter(usable).collect();
            if !left.is_empty() {
                return Some(usize::from(left[strategy.pick(left.len(), random)]));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(json: &str) -> Backend {
        let spec: BackendSpec = serde_json::from_str(json).expect("json");
        spec.build(&BackendParts::default()).expect("valid")
    }

    const TWO_AND_BACKUP: &str = r#"{"targets":[
        {"hostname":"a","port":1,"weight":2},{"hostname":"b","port":1},
        {"hostname":"c","port":1,"backup":true}],"client":{"max_errors":2,"sample_interval":1000}}"#;

    #[test]
    fn weights_repeat_and_backups_wait() {
        let backend = backend(TWO_AND_BACKUP);
        let picks: Vec<_> = (0..6)
            .map(|_| backend.choose(1, 0.0, 0).expect("some"))
            .collect();
        assert_eq!(picks.iter().filter(|pick| **pick == 0).count(), 4);
        assert_eq!(picks.iter().filter(|pick| **pick == 1).count(), 2);
        assert_eq!(
            backend.choose(4, 0.0, 0),
            Some(2),
            "past the three primaries"
        );
    }

    #[test]
    fn broken_targets_are_left_out_until_they_may_be_tried() {
        let backend = backend(TWO_AND_BACKUP);
        for target in &backend.targets[..2] {
            for _ in 0..2 {
                target.breaker.failed(0.0, &backend.client);
            }
        }
        assert_eq!(backend.choose(1, 0.5, 0), Some(2));
        let later = backend.choose(1, 1.5, 0).expect("half-open");
        assert!(later < 2);
    }

    #[test]
    fn nothing_usable_is_none() {
        assert_eq!(backend(r#"{"targets":[]}"#).choose(1, 0.0, 0), None);
    }
}
