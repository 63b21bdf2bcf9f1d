//! A port of TCP services: which of them takes a connection, and where it goes.
//!
//! A port belongs to the first service on it, in the order of their ids: whether TLS ends there and
//! what is asked of clients is told before a client says anything. By server names several services
//! share one: the first rule that takes the name decides.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Deserialize;

use crate::access::IpSet;
use crate::balance::{TargetTls, unix_path};
use crate::plan::TableEntity;
use crate::router::glob::glob_matches;
use crate::tls::ClientAuth;

/// What is done about TLS at a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum TlsMode {
    /// Bytes are passed on as they come.
    #[default]
    Disabled,
    /// TLS ends here.
    Enabled,
    /// The first message is read for its server name, and passed on with the rest.
    PassThrough,
}

/// Whether a backend is told of its client in front of the first byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum SendProxy {
    /// It is not.
    #[default]
    None,
    /// In version 1 of the PROXY protocol.
    V1,
    /// In version 2.
    V2,
}

impl SendProxy {
    /// The number of the version; none when nothing is sent.
    #[must_use]
    pub fn version(self) -> Option<u8> {
        match self {
            Self::None => None,
            Self::V1 => Some(1),
            Self::V2 => Some(2),
        }
    }
}

/// What becomes of the connections to one address.
#[derive(Debug)]
pub struct TcpPort {
    /// The address's name: that of the listener.
    pub id: Box<str>,
    /// What is done about TLS.
    pub tls: TlsMode,
    /// What is asked of clients; none follows the settings of the snapshot.
    pub client_auth: Option<ClientAuth>,
    /// Whether server names decide.
    pub by_name: bool,
    /// Whether every connection begins with a header of the PROXY protocol.
    pub accepts_proxy: bool,
    /// Who may send one; everybody when empty.
    pub trusted_proxies: IpSet,
    services: Vec<Arc<TcpService>>,
}

/// One service.
#[derive(Debug)]
pub struct TcpService {
    /// Its id.
    pub id: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Addresses that alone may connect, when there are any.
    pub allowed: IpSet,
    /// Addresses that may not.
    pub blocked: IpSet,
    /// Whether backends are told of their clients.
    pub send_proxy: SendProxy,
    /// Connections at once in one engine.
    pub most_connections: usize,
    /// Bytes of one connection from its client.
    pub most_bytes_in: u64,
    /// Bytes of one connection to its client.
    pub most_bytes_out: u64,
    /// How long a connection to a target may take (seconds).
    pub connect_s: f64,
    /// How long nothing may move either way (seconds).
    pub idle_s: f64,
    /// How long a connection may last (seconds).
    pub total_s: f64,
    rules: Vec<(Box<str>, Arc<TcpPool>)>,
    otherwise: Option<Arc<TcpPool>>,
    all: Arc<TcpPool>,
}

/// Targets that are taken in turn.
#[derive(Debug)]
pub struct TcpPool {
    targets: Vec<Arc<TcpTarget>>,
    turn: AtomicUsize,
}

/// One upstream server.
#[derive(Debug)]
pub struct TcpTarget {
    /// The name that its certificate is for.
    pub name: Box<str>,
    /// The host name or address to connect to, or `unix:` and a path.
    pub host: Box<str>,
    /// Its port.
    pub port: u16,
    /// How TLS is spoken to it; none speaks none.
    pub tls: Option<TargetTls>,
    /// `host:port`, or `unix:` and a path, for records.
    pub address: Arc<str>,
}

impl TcpPool {
    fn new(targets: Vec<Arc<TcpTarget>>) -> Arc<Self> {
        Arc::new(Self {
            targets,
            turn: AtomicUsize::new(0),
        })
    }

    /// Begin a turn: the number of the target to try first.
    #[must_use]
    pub fn begin(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    /// The target to try after `failed` others of a turn; none when all were.
    #[must_use]
    pub fn target(&self, turn: usize, failed: usize) -> Option<&Arc<TcpTarget>> {
        if failed >= self.targets.len() {
            return None;
        }
        self.targets
            .get(turn.wrapping_add(failed) % self.targets.len())
    }
}

impl TcpPort {
    /// Whether the first message must be read before anything is decided.
    #[must_use]
    pub fn needs_hello(&self) -> bool {
        match self.tls {
            TlsMode::Disabled => false,
            TlsMode::Enabled => true,
            TlsMode::PassThrough => self.by_name,
        }
    }

    /// The service that takes a connection, and its targets. Without rules by name that is the
    /// first service, with the targets of all its rules.
    #[must_use]
    pub fn choose(&self, server_name: Option<&str>) -> Option<(&Arc<TcpService>, &Arc<TcpPool>)> {
        if !self.by_name {
            return self.services.first().map(|service| (service, &service.all));
        }
        // Without a name a rule for every name still takes it.
        let name = server_name.unwrap_or_default().as_bytes();
        let takes = |service: &'_ TcpService| {
            let mut rules = service.rules.iter();
            rules.position(|(domain, _)| glob_matches(domain.as_bytes(), name))
        };
        for service in &self.services {
            if let Some(at) = takes(service) {
                return service.rules.get(at).map(|(_, pool)| (service, pool));
            }
        }
        self.services
            .iter()
            .find_map(|service| service.otherwise.as_ref().map(|pool| (service, pool)))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PortSpec {
    tls: TlsMode,
    client_auth: Option<ClientAuth>,
    by_name: bool,
    accepts_proxy: bool,
    trusted_proxies: IpSet,
    services: Vec<ServiceSpec>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServiceSpec {
    id: Box<str>,
    name: Box<str>,
    allowed: IpSet,
    blocked: IpSet,
    send_proxy: SendProxy,
    most_connections: Option<usize>,
    most_bytes_in: Option<u64>,
    most_bytes_out: Option<u64>,
    connect_s: f64,
    idle_s: f64,
    total_s: Option<f64>,
    rules: Vec<RuleSpec>,
    otherwise: Option<TargetSpec>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleSpec {
    domain: Box<str>,
    targets: Vec<TargetSpec>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetSpec {
    name: Box<str>,
    host: Box<str>,
    port: u16,
    tls: Option<TargetTls>,
}

impl TargetSpec {
    fn build(self) -> Arc<TcpTarget> {
        let tls = self.tls.map(|tls| {
            if tls.enabled {
                tls
            } else {
                TargetTls::default()
            }
        });
        Arc::new(TcpTarget {
            address: match unix_path(&self.host) {
                Some(_) => self.host[..].into(),
                None => format!("{}:{}", self.host, self.port).into(),
            },
            name: self.name,
            host: self.host,
            port: self.port,
            tls,
        })
    }
}

impl ServiceSpec {
    fn build(self) -> TcpService {
        let mut rules = Vec::with_capacity(self.rules.len());
        let mut all = Vec::new();
        for rule in self.rules {
            let targets: Vec<_> = rule.targets.into_iter().map(TargetSpec::build).collect();
            all.extend(targets.iter().cloned());
            let domain = rule.domain.to_ascii_lowercase().into();
            rules.push((domain, TcpPool::new(targets)));
        }
        TcpService {
            id: self.id.into(),
            name: self.name.into(),
            allowed: self.allowed,
            blocked: self.blocked,
            send_proxy: self.send_proxy,
            most_connections: self.most_connections.unwrap_or(usize::MAX),
            most_bytes_in: self.most_bytes_in.unwrap_or(u64::MAX),
            most_bytes_out: self.most_bytes_out.unwrap_or(u64::MAX),
            connect_s: self.connect_s,
            idle_s: self.idle_s,
            total_s: self.total_s.unwrap_or(f64::INFINITY),
            rules,
            otherwise: self
                .otherwise
                .map(|target| TcpPool::new(vec![target.build()])),
            all: TcpPool::new(all),
        }
    }
}

impl TableEntity for TcpPort {
    fn read(id: &str, json: &[u8]) -> Result<Self, String> {
        let spec: PortSpec = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        Ok(Self {
            id: id.into(),
            tls: spec.tls,
            client_auth: spec.client_auth,
            by_name: spec.by_name && spec.tls != TlsMode::Disabled,
            accepts_proxy: spec.accepts_proxy,
            trusted_proxies: spec.trusted_proxies,
            services: spec
                .services
                .into_iter()
                .map(|service| Arc::new(service.build()))
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn target(port: u16) -> Value {
        json!({"name": "h", "host": "h", "port": port, "tls": null})
    }

    fn service(id: &str, rules: &Value, otherwise: &Value) -> Value {
        json!({"id": id, "name": id, "allowed": [], "blocked": [], "send_proxy": "None",
            "most_connections": null, "most_bytes_in": null, "most_bytes_out": null,
            "connect_s": 1.0, "idle_s": 1.0, "total_s": null,
            "rules": rules, "otherwise": otherwise})
    }

    fn port(tls: &str, by_name: bool, services: &[Value]) -> TcpPort {
        let spec = json!({"tls": tls, "client_auth": null, "by_name": by_name,
            "accepts_proxy": false, "trusted_proxies": [], "services": services});
        TcpPort::read("p", spec.to_string().as_bytes()).expect("valid")
    }

    fn chosen(port: &TcpPort, name: Option<&str>) -> Option<(String, u16)> {
        let (service, pool) = port.choose(name)?;
        let target = pool.target(0, 0)?;
        Some((service.id.to_string(), target.port))
    }

    #[test]
    fn the_first_rule_that_takes_a_name_decides() {
        let one = json!([{"domain": "*.A.b", "targets": [target(1)]}]);
        let two = json!([{"domain": "x.a.b", "targets": [target(2)]}, {"domain": "c", "targets": [target(3)]}]);
        let services = [
            service("1", &one, &Value::Null),
            service("2", &two, &target(9)),
        ];
        let port = port("PassThrough", true, &services);
        let told = |id: &str, port| Some((id.to_owned(), port));
        assert_eq!(chosen(&port, Some("x.a.b")), told("1", 1));
        assert_eq!(chosen(&port, Some("c")), told("2", 3));
        assert_eq!(chosen(&port, Some("d")), told("2", 9));
        assert_eq!(chosen(&port, None), told("2", 9));
    }

    #[test]
    fn without_names_the_targets_of_all_rules_take_turns() {
        let rules = json!([{"domain": "a", "targets": [target(1), target(2)]}, {"domain": "b", "targets": [target(3)]}]);
        let services = [service("1", &rules, &Value::Null)];
        let port = port("Disabled", true, &services);
        let (_, pool) = port.choose(Some("b")).expect("a service");
        let ports: Vec<u16> = (0..4)
            .filter_map(|_| pool.target(pool.begin(), 0))
            .map(|target| target.port)
            .collect();
        assert_eq!(ports, [1, 2, 3, 1]);
        assert_eq!(pool.target(2, 1).map(|target| target.port), Some(1));
        assert!(pool.target(0, 3).is_none());
    }

    #[test]
    fn no_target_and_no_rule_are_no_answer() {
        let none = [service("1", &json!([]), &Value::Null)];
        assert!(port("PassThrough", true, &none).choose(Some("a")).is_none());
        let (_, pool) = port("Disabled", false, &none)
            .choose(None)
            .map(|(service, pool)| (Arc::clone(service), Arc::clone(pool)))
            .expect("a service");
        assert!(pool.target(pool.begin(), 0).is_none());
    }
}
