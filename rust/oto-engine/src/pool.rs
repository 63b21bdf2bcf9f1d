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

#[derive(Debug, Default)]
struct Known {
    addresses: Vec<IpAddr>,
    until_s: f64,
    asked_until_s: f64,
    turn: usize,
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
        let ip = known.addresses[known.turn % known.addresses.len()];
        Lookup::Found(Place::Ip(SocketAddr::new(ip, port)), ask)
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
