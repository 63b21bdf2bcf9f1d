//! What a flow says of both its sides: who asks, and what the backend is asked.

use std::net::{IpAddr, Ipv6Addr};

use super::flow::{Downstream, Flow};
use super::reply::Reply;
use super::steps::DomainNames;
use crate::access::{IpSet, Peer, UNIX};
use crate::http1::{Known, Request};

impl Flow {
    /// Whether a request on this connection counts as HTTPS, a trusted proxy's word included.
    pub(super) fn is_secured(request: &Request, downstream: &Downstream, trust: bool) -> bool {
        if !trust {
            return downstream.secured;
        }
        [Known::XForwardedProto, Known::XForwardedProtocol]
            .into_iter()
            .find_map(|known| request.headers.find_known(known))
            .map_or(downstream.secured, |value| {
                value.eq_ignore_ascii_case(b"https")
            })
    }

    /// `X-Forwarded-For` for the backend: what a trusted proxy said, then the socket's address.
    #[must_use]
    pub fn forwarded_for(&self) -> Vec<u8> {
        let mut chain = self.forwarded_chain.clone();
        if !chain.is_empty() {
            chain.extend_from_slice(b", ");
        }
        chain.extend_from_slice(self.downstream.peer.to_string().as_bytes());
        chain
    }

    /// The client's address, as a trusted proxy or the socket says.
    #[must_use]
    pub fn remote_address(&self) -> String {
        if self.snapshot.settings.trust_x_forwarded {
            let first = self
                .forwarded_chain
                .split(|byte| *byte == b',')
                .next()
                .map(|value| String::from_utf8_lossy(value.trim_ascii()).into_owned());
            if let Some(first) = first.filter(|first| !first.is_empty()) {
                return first;
            }
        }
        self.downstream.peer.to_string()
    }

    /// Look at the client's address, as far as it is counted, as bytes that are the same however it is
    /// written; what a trusted proxy says and is no address counts as it stands.
    pub(super) fn with_address<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        match self.client_ip() {
            Ok(IpAddr::V4(ip)) => look(&ip.octets()),
            Ok(IpAddr::V6(ip)) => look(&self.network_of(ip).octets()),
            Err(text) => look(text.as_bytes()),
        }
    }

    /// The client's address as limits count it. One customer has a whole network of IPv6 addresses and
    /// calls from any of them, so it stands for all (`2001:db8::/64`).
    #[must_use]
    pub fn counted_address(&self) -> String {
        match self.client_ip() {
            Ok(IpAddr::V6(ip)) => match self.snapshot.settings.ipv6_prefix {
                prefix @ 0..128 => format!("{}/{prefix}", self.network_of(ip)),
                _ => ip.to_string(),
            },
            Ok(ip) => ip.to_string(),
            Err(text) => text,
        }
    }

    fn network_of(&self, ip: Ipv6Addr) -> Ipv6Addr {
        let host_bits = 128 - u32::from(self.snapshot.settings.ipv6_prefix.min(128));
        let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
        Ipv6Addr::from_bits(ip.to_bits() & mask)
    }

    /// The client's address, or what a trusted proxy says instead.
    fn client_ip(&self) -> Result<IpAddr, String> {
        if !self.snapshot.settings.trust_x_forwarded || self.forwarded_chain.is_empty() {
            return self.downstream.peer.ip().ok_or_else(|| UNIX.to_owned());
        }
        let text = self.remote_address();
        let ip = text.parse::<IpAddr>().map_err(|_| text)?;
        Ok(ip.to_canonical())
    }

    /// Refuse a request for a domain that an incoming-request validator does not let in.
    pub(super) fn refuse_domain(&mut self) -> bool {
        let incoming = &self.snapshot.settings.incoming;
        if incoming.is_empty() || self.has_body() || self.is_done_stage() || self.is_monitoring() {
            return false;
        }
        let domain = self.request.domain();
        if incoming.iter().all(|domains| domains.passes(domain)) {
            return false;
        }
        self.answer(DomainNames::refusal());
        true
    }

    /// Whether the client's address, as a trusted proxy or the socket says, is in a set.
    pub(super) fn comes_from(&self, addresses: &IpSet) -> bool {
        if addresses.is_empty() {
            return false;
        }
        if self.snapshot.settings.trust_x_forwarded && !self.forwarded_chain.is_empty() {
            return addresses.contains(&self.remote_address());
        }
        match self.downstream.peer {
            Peer::Ip(ip) => addresses.contains_ip(ip),
            Peer::Unix => addresses.contains(UNIX),
        }
    }

    /// The answer to a client whose address may not pass.
    pub(super) fn address_refusal(&mut self) -> Reply {
        self.refusal(
            403,
            "Your IP address is not allowed",
            "errors.ip.address.not.allowed",
        )
    }

    /// Append path and query for the backend: root, then what `strip_path` leaves.
    pub fn upstream_target(&self, out: &mut Vec<u8>) {
        let Some(route) = &self.route else { return };
        if self.request.is_asterisk {
            out.push(b'*');
            return;
        }
        let root = route.backend.root.as_bytes();
        if route.backend.rewrite {
            out.extend_from_slice(if root.is_empty() { b"/" } else { root });
            return;
        }
        let path = self.request.path().as_bytes();
        let rest = if route.strip_path {
            path.get(self.matched_len..).unwrap_or(b"")
        } else {
            path
        };
        let root = root.strip_suffix(b"/").unwrap_or(root);
        out.extend_from_slice(root);
        let rest = rest.strip_prefix(b"/").unwrap_or(rest);
        // `/users` declared with root `/api`: a request for `/users` itself goes to `/api`.
        if root.is_empty() || !rest.is_empty() || path.ends_with(b"/") {
            out.push(b'/');
        }
        out.extend_from_slice(rest);
        let query = match &self.attrs.query {
            Some(changed) => Some(&**changed).filter(|changed| !changed.is_empty()),
            None => self.request.query(),
        };
        if let Some(query) = query {
            out.push(b'?');
            out.extend_from_slice(query.as_bytes());
        }
    }

    /// The `Host` value for the backend.
    #[must_use]
    pub fn upstream_host(&self) -> &[u8] {
        let target = self.target();
        if self.host_overridden {
            if let Some(target) = target {
                return target.hostname.as_bytes();
            }
        }
        self.request
            .headers
            .find_known(Known::Host)
            .filter(|host| !host.is_empty())
            .or_else(|| Some(self.request.host().as_bytes()).filter(|host| !host.is_empty()))
            .or_else(|| target.map(|target| target.authority.as_bytes()))
            .unwrap_or(b"")
    }
}
