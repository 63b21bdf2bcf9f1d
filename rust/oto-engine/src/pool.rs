//! Unused backend connections by target, and the addresses of targets.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use foldhash::fast::RandomState;
use oto_core::balance::unix_path;

/// Unused connections, the last one put back first: it is the least likely to be closed by now.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    idle: HashMap<Arc<str>, Vec<usize>, RandomState>,
    count: usize,
}

impl Pool {
    /// Take a connection to this address, if one waits.
    pub(crate) fn take(&mut self, address: &str) -> Option<usize> {
        let key = self.idle.get_mut(address)?.pop()?;
        self.count -= 1;
        Some(key)
    }

    /// Put a connection back; refused when `most` are there.
    pub(crate) fn put(&mut self, address: &Arc<str>, key: usize, most: usize) -> bool {
        let list = match self.idle.get_mut(address) {
            Some(list) => list,
            None => self.idle.entry(Arc::clone(address)).or_default(),
        };
        if list.len() >= most {
            return false;
        }
        list.push(key);
        self.count += 1;
        true
    }

    /// Forget one connection, closed by its other side or by age.
    pub(crate) fn forget(&mut self, address: &str, key: usize) {
        let Some(list) = self.idle.get_mut(address) else {
            return;
        };
        let before = list.len();
        list.retain(|other| *other != key);
        self.count -= before - list.len();
        if list.is_empty() {
            self.idle.remove(address);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }
}

/// Addresses of host names, as told from outside: the engine resolves nothing itself.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    known: HashMap<Box<str>, Known, RandomState>,
}

/// How long other addresses of a host are taken before one where no connection could be made.
const SHUNNED_S: f64 = 10.0;
/// Such addresses that are remembered of one host.
const MOST_SHUNNED: usize = 64;
/// Further addresses that are tried in one exchange.
pub(crate) const MOST_ADDRESSES: u8 = 8;

impl Known {
    fn is_shunned(&self, ip: IpAddr, now_s: f64) -> bool {
        self.shunned
            .iter()
            .any(|(other, until_s)| *other == ip && *until_s > now_s)
    }
}

#[derive(Debug, Default)]
struct Known {
    addresses: Vec<IpAddr>,
    until_s: f64,
    asked_until_s: f64,
    turn: usize,
    /// Addresses where no connection could be made, and until when others are taken first.
    shunned: Vec<(IpAddr, f64)>,
    waiting: Vec<(usize, u64)>,
}

/// What a connection is made to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A host's port.
    Ip(SocketAddr),
    /// The path of a Unix socket.
    Unix(Box<str>),
}

impl Place {
    /// The host's address.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(address.ip()),
            Self::Unix(_) => None,
        }
    }
}

/// What is known of a host.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// Connect there. The flag asks for a fresh answer meanwhile.
    Found(Place, bool),
    /// Nothing yet; the flag says whether to ask (nobody has).
    Unknown(bool),
    /// It was asked, and there is no such host.
    Failed,
}

/// How long a failed resolution is remembered, and a question waited for.
const NEGATIVE_S: f64 = 1.0;
const ASK_AGAIN_S: f64 = 5.0;
/// Host names remembered, at most; beyond it stale ones go.
const MOST_HOSTS: usize = 65_536;

impl Addresses {
    pub(crate) fn find(&mut self, host: &str, port: u16, now_s: f64) -> Lookup {
        if let Some(path) = unix_path(host) {
            return Lookup::Found(Place::Unix(path.into()), false);
        }
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return Lookup::Found(Place::Ip(SocketAddr::new(ip, port)), false);
        }
        if self.known.len() > MOST_HOSTS {
            self.known
                .retain(|_, known| known.until_s > now_s || !known.waiting.is_empty());
        }
        let known = self.known.entry(host.into()).or_default();
        let stale = known.until_s <= now_s;
        let ask = stale && known.asked_until_s <= now_s;
        if ask {
            known.asked_until_s = now_s + ASK_AGAIN_S;
        }
        if known.addresses.is_empty() {
            return if stale {
                Lookup::Unknown(ask)
            } else {
                Lookup::Failed
            };
        }
        known.turn = known.turn.wrapping_add(1);
        let (begin, count) = (known.turn, known.addresses.len());
        let in_turn = (0..count).map(|place| known.addresses[begin.wrapping_add(place) % count]);
        let ip = in_turn
            .clone()
            .find(|ip| !known.is_shunned(*ip, now_s))
            .unwrap_or(known.addresses[begin % count]);
        Lookup::Found(Place::Ip(SocketAddr::new(ip, port)), ask)
    }

    /// No connection could be made to an address of a host. Tells whether another one is worth an attempt.
    pub(crate) fn shun(&mut self, host: &str, ip: IpAddr, now_s: f64) -> bool {
        let Some(known) = self.known.get_mut(host) else {
            return false;
        };
        known
            .shunned
            .retain(|(other, until_s)| *other != ip && *until_s > now_s);
        if known.addresses.len() > 1 && known.shunned.len() < MOST_SHUNNED {
            known.shunned.push((ip, now_s + SHUNNED_S));
        }
        let mut addresses = known.addresses.iter();
        addresses.any(|other| *other != ip && !known.is_shunned(*other, now_s))
    }

    /// Remember that an exchange waits for this host.
    pub(crate) fn wait(&mut self, host: &str, key: usize, id: u64) {
        if let Some(known) = self.known.get_mut(host) {
            known.waiting.push((key, id));
        }
    }

    /// An answer arrived; returns who waited. A failure keeps addresses known before.
    pub(crate) fn told(
        &mut self,
        host: &str,
        addresses: Vec<IpAddr>,
        now_s: f64,
        ttl_s: f64,
    ) -> Vec<(usize, u64)> {
        let Some(known) = self.known.get_mut(host) else {
            return Vec::new();
        };
        known.asked_until_s = 0.0;
        if addresses.is_empty() {
            known.until_s = now_s + NEGATIVE_S;
        } else {
            known.addresses = addresses;
            known.until_s = now_s + ttl_s;
        }
        std::mem::take(&mut known.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_connection_put_back_is_taken_first() {
        let (mut pool, address) = (Pool::default(), Arc::from("a:1"));
        assert!(pool.put(&address, 1, 2) && pool.put(&address, 2, 2) && !pool.put(&address, 3, 2));
        pool.forget("a:1", 1);
        assert_eq!(
            (pool.take("a:1"), pool.take("a:1"), pool.len()),
            (Some(2), None, 0)
        );
    }

    #[test]
    fn an_address_that_does_not_answer_is_passed_over_for_a_while() {
        let mut addresses = Addresses::default();
        let (one, two) = (IpAddr::from([1, 1, 1, 1]), IpAddr::from([2, 2, 2, 2]));
        let place = |ip: IpAddr| Lookup::Found(Place::Ip(SocketAddr::new(ip, 1)), false);
        addresses.find("a.b", 1, 0.0);
        addresses.told("a.b", vec![one, two], 0.0, 99.0);
        assert!(addresses.shun("a.b", one, 1.0), "the other one is left");
        for _ in 0..4 {
            assert_eq!(addresses.find("a.b", 1, 2.0), place(two));
        }
        assert!(!addresses.shun("a.b", two, 2.0), "none is left");
        let in_turn = [addresses.find("a.b", 1, 3.0), addresses.find("a.b", 1, 3.0)];
        assert_ne!(in_turn[0], in_turn[1], "then all are taken in turn");
        assert_eq!(
            addresses.find("a.b", 1, 11.5),
            place(one),
            "and in time again"
        );
        addresses.find("c", 1, 0.0);
        addresses.told("c", vec![one], 0.0, 99.0);
        assert!(!addresses.shun("c", one, 1.0), "an only one has no other");
        assert!(!addresses.shun("nobody", one, 1.0));
    }

    #[test]
    fn a_host_is_asked_for_once_and_then_used_in_turn() {
        let mut addresses = Addresses::default();
        assert_eq!(
            addresses.find("127.0.0.1", 1, 0.0),
            Lookup::Found(Place::Ip(([127, 0, 0, 1], 1).into()), false)
        );
        assert_eq!(addresses.find("a.b", 1, 0.0), Lookup::Unknown(true));
        assert_eq!(addresses.find("a.b", 1, 0.0), Lookup::Unknown(false));
        addresses.wait("a.b", 7, 70);
        let two = vec![IpAddr::from([1, 1, 1, 1]), IpAddr::from([2, 2, 2, 2])];
        assert_eq!(addresses.told("a.b", two, 1.0, 30.0), vec![(7, 70)]);
        assert_ne!(addresses.find("a.b", 1, 2.0), addresses.find("a.b", 1, 2.0));
        assert!(
            matches!(addresses.find("a.b", 1, 40.0), Lookup::Found(_, true)),
            "stale but usable"
        );
        addresses.told("a.b", vec![], 41.0, 30.0);
        assert!(matches!(
            addresses.find("a.b", 1, 41.5),
            Lookup::Found(_, false)
        ));
        addresses.find("c", 1, 0.0);
        addresses.told("c", vec![], 1.0, 30.0);
        assert_eq!(addresses.find("c", 1, 1.5), Lookup::Failed);
    }
}
