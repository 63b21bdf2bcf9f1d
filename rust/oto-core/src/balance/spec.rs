//! The backend part of a lowered route, as JSON, checked and turned into a [`Backend`].

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::intern::Interner;

use super::{
    Backend, Breaker, Choices, Lists, Place, Protocol, Several, Strategy, Target, TargetTls,
    round_robin::RoundRobin, unix_path, unix_path_problem,
};

/// A backend as Otoroshi writes it; every key has Otoroshi's default.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub struct BackendSpec {
    targets: Vec<TargetSpec>,
    root: String,
    rewrite: bool,
    load_balancing: BalancingSpec,
    client: Option<Box<RawValue>>,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct TargetSpec {
    id: Option<String>,
    hostname: String,
    port: u32,
    tls: bool,
    weight: u32,
    backup: bool,
    protocol: String,
    ip_address: Option<String>,
    tls_config: Option<TargetTls>,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct BalancingSpec {
    r#type: String,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct ClientSpec {
    retries: u32,
    max_errors: u32,
    retry_initial_delay: f64,
    backoff_factor: f64,
    connection_timeout: f64,
    idle_timeout: f64,
    call_timeout: f64,
    call_and_stream_timeout: f64,
    global_timeout: f64,
    sample_interval: f64,
}

impl Default for BackendSpec {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            root: "/".to_owned(),
            rewrite: false,
            load_balancing: BalancingSpec::default(),
            client: None,
        }
    }
}

impl Default for TargetSpec {
    fn default() -> Self {
        Self {
            id: None,
            hostname: String::new(),
            port: 0,
            tls: false,
            weight: 1,
            backup: false,
            protocol: "HTTP/1.1".to_owned(),
            ip_address: None,
            tls_config: None,
        }
    }
}

impl Default for BalancingSpec {
    fn default() -> Self {
        Self {
            r#type: "RoundRobin".to_owned(),
        }
    }
}

impl Default for ClientSpec {
    fn default() -> Self {
        Self {
            retries: 1,
            max_errors: 20,
            retry_initial_delay: 50.0,
            backoff_factor: 2.0,
            connection_timeout: 10_000.0,
            idle_timeout: 60_000.0,
            call_timeout: 30_000.0,
            call_and_stream_timeout: 120_000.0,
            global_timeout: 30_000.0,
            sample_interval: 2_000.0,
        }
    }
}

/// Timeouts (seconds), retries and breaker settings of a backend.
#[derive(Clone, Copy, Debug)]
pub struct ClientSettings {
    /// Attempts in all; 1 means no retry.
    pub attempts: u32,
    /// Failures in a row that open the breaker.
    pub max_errors: u32,
    /// Wait before the first retry.
    pub retry_delay_s: f64,
    /// Each further wait is this much longer.
    pub backoff_factor: f64,
    /// To an established connection.
    pub connect_s: f64,
    /// Between two reads of the response body.
    pub idle_s: f64,
    /// One attempt, up to the response head.
    pub call_s: f64,
    /// The whole exchange, body included.
    pub call_and_stream_s: f64,
    /// All attempts together, up to the response head.
    pub global_s: f64,
    /// How long an open breaker stays open.
    pub sample_interval_s: f64,
}

impl Default for ClientSettings {
    fn default() -> Self {
        ClientSpec::default().build()
    }
}

/// A backend that cannot be used, with the field and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub struct BackendSpecError {
    /// Where, inside `backend`.
    pub field: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl fmt::Display for BackendSpecError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "backend.{}: {}", self.field, self.problem)
    }
}

/// Copies of one target among the choices, at most.
const MAX_WEIGHT: u32 = 1000;
/// Targets of one backend, at most.
const MAX_TARGETS: usize = 1000;

/// Parts that backends share when they are equal.
#[derive(Debug, Default)]
pub struct BackendParts {
    texts: Interner<str>,
    clients: Interner<ClientSettings>,
    tls: Interner<TargetTls>,
    places: Interner<Place>,
}

impl BackendParts {
    fn tls(&self, key: &str, tls: TargetTls) -> Arc<TargetTls> {
        let made = self
            .tls
            .get_or_try(key, || Ok::<_, std::convert::Infallible>(Arc::new(tls)));
        match made {
            Ok(tls) => tls,
            Err(never) => match never {},
        }
    }

    fn place(&self, written: &str, make: impl FnOnce() -> Place) -> Arc<Place> {
        let made = self.places.get_or_try(written, || {
            Ok::<_, std::convert::Infallible>(Arc::new(make()))
        });
        match made {
            Ok(place) => place,
            Err(never) => match never {},
        }
    }

    fn client(&self, json: Option<&RawValue>) -> Result<Arc<ClientSettings>, BackendSpecError> {
        let json = json.map_or("{}", RawValue::get);
        self.clients.get_or_try(json, || {
            serde_json::from_str::<ClientSpec>(json)
                .map(|spec| Arc::new(spec.build()))
                .map_err(|error| BackendSpecError {
                    field: "client".to_owned(),
                    problem: error.to_string(),
                })
        })
    }
}

impl BackendSpec {
    /// Check and build.
    ///
    /// # Errors
    /// [`BackendSpecError`] for the first target that cannot be connected to.
    pub fn build(self, parts: &BackendParts) -> Result<Backend, BackendSpecError> {
        let fail = |field: String, problem: &str| BackendSpecError {
            field,
            problem: problem.to_owned(),
        };
        if self.targets.len() > MAX_TARGETS {
            return Err(fail(
                "targets".to_owned(),
                "more than 1000 targets; split the backend",
            ));
        }
        if !self.root.is_ascii() || self.root.bytes().any(|byte| byte < 0x21 || byte == 0x7f) {
            return Err(fail(
                "root".to_owned(),
                "must be printable ASCII; escape other characters",
            ));
        }
        let mut targets = Vec::<Target>::with_capacity(self.targets.len());
        let mut lists = Lists::default();
        for (at, spec) in self.targets.into_iter().enumerate() {
            let weight = spec.weight.clamp(0, MAX_WEIGHT);
            let target = spec.build(at, parts)?;
            let same = |other: &Target| {
                other.pool_key == target.pool_key
                    && other.hostname == target.hostname
                    && other.backup == target.backup
            };
            if targets.iter().any(same) {
                continue;
            }
            let list = if target.backup {
                &mut lists.backups
            } else {
                &mut lists.primaries
            };
            // MAX_TARGETS fits in sixteen bits.
            list.extend(std::iter::repeat_n(targets.len() as u16, weight as usize));
            targets.push(target);
        }
        let strategy = match self.load_balancing.r#type.as_str() {
            "Random" => Strategy::Random,
            _ => Strategy::RoundRobin(RoundRobin::default()),
        };
        let counts = lists.primaries.len() + lists.backups.len() > 0;
        let choices = match targets.len() {
            0 | 1 => Choices::One(counts),
            _ => Choices::Many(Box::new(Several { lists, strategy })),
        };
        Ok(Backend {
            targets: targets.into(),
            root: parts.texts.text(&self.root),
            rewrite: self.rewrite,
            client: parts.client(self.client.as_deref())?,
            choices,
        })
    }
}

impl TargetSpec {
    fn build(mut self, at: usize, parts: &BackendParts) -> Result<Target, BackendSpecError> {
        let fail = |key: &str, problem: &str| BackendSpecError {
            field: format!("targets[{at}].{key}"),
            problem: problem.to_owned(),
        };
        let named = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
        if self.hostname.is_empty() || !self.hostname.bytes().all(named) {
            return Err(fail(
                "hostname",
                "must be a host name or an IP address, without scheme or path",
            ));
        }
        let port = u16::try_from(self.port)
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| fail("port", "must be between 1 and 65535"))?;
        if let Some(ip) = &self.ip_address {
            if let Some(path) = unix_path(ip) {
                if let Some(problem) = unix_path_problem(path) {
                    return Err(fail("ip_address", problem));
                }
            } else if ip.parse::<std::net::IpAddr>().is_err() {
                return Err(fail(
                    "ip_address",
                    "must be an IPv4 or IPv6 address, unix: and the path of a socket, or null",
                ));
            }
        }
        let protocol = Protocol::named(&self.protocol);
        // QUIC has no form without it.
        let is_secured = self.tls || protocol == Protocol::Http3;
        let scheme = if is_secured { "https" } else { "http" };
        if protocol == Protocol::Http3 && self.ip_address.as_deref().and_then(unix_path).is_some() {
            return Err(fail(
                "protocol",
                "HTTP/3.0 goes over UDP: use HTTP/1.1 or HTTP/2.0 with a unix: socket",
            ));
        }
        let at_ip = self
            .ip_address
            .as_ref()
            .map(|ip| format!("@{ip}"))
            .unwrap_or_default();
        let id = self
            .id
            .unwrap_or_else(|| format!("{scheme}://{}{at_ip}:{port}", self.hostname));
        // `Host: ::1` and `::1:80` are no hosts.
        if self.hostname.parse::<std::net::Ipv6Addr>().is_ok() {
            self.hostname = format!("[{}]", self.hostname);
        }
        let host = match self.ip_address.as_deref() {
            Some(ip) if ip.parse::<std::net::Ipv6Addr>().is_ok() => &format!("[{ip}]"),
            Some(ip) => ip,
            None => &self.hostname,
        };
        let standard = port == if is_secured { 443 } else { 80 };
        let authority = if standard {
            self.hostname.clone()
        } else {
            format!("{}:{port}", self.hostname)
        };
        let address = match unix_path(host) {
            Some(_) => host.to_owned(),
            None => format!("{host}:{port}"),
        };
        let (tls, pool_key) = if is_secured {
            let tls = self.tls_config.unwrap_or_default().effective();
            let key = tls.key();
            let pool_key = format!("{address}|{}|{key}", self.hostname);
            (Some(parts.tls(&key, tls)), Some(pool_key))
        } else {
            (None, None)
        };
        let shared = match protocol {
            Protocol::Http2 => "|h2",
            Protocol::Http3 => "|h3",
            Protocol::Http10 | Protocol::Http11 => "",
        };
        let pool_key = match pool_key {
            pool_key if shared.is_empty() => pool_key,
            Some(pool_key) => Some(format!("{pool_key}{shared}")),
            None => Some(format!("{address}{shared}")),
        };
        let http10 = protocol == Protocol::Http10;
        let ip = self.ip_address.as_deref().unwrap_or("");
        let pool = pool_key.as_deref().unwrap_or("");
        let written = format!(
            "{} {ip} {port} {http10} {} {pool} {id}",
            self.hostname,
            pool.len()
        );
        // Its texts are its own: interned one by one they would take twice what they take.
        let place = parts.place(&written, || {
            let address: Arc<str> = address.into();
            let same_or = |text: String| match *text == *address {
                true => Arc::clone(&address),
                false => Arc::from(text),
            };
            Place {
                id: id.into(),
                pool_key: pool_key.map_or_else(|| Arc::clone(&address), Arc::from),
                authority: same_or(authority),
                hostname: same_or(self.hostname),
                ip_address: self.ip_address.map(Into::into),
                port,
                tls,
                protocol,
                address,
            }
        });
        Ok(Target {
            place,
            backup: self.backup,
            weight: self.weight.clamp(0, MAX_WEIGHT) as u16,
            breaker: Breaker::default(),
        })
    }
}

impl ClientSpec {
    fn build(&self) -> ClientSettings {
        // Milliseconds in the entity; a zero or negative time-out means "none", here a year.
        let seconds = |ms: f64| if ms > 0.0 { ms / 1000.0 } else { 31_536_000.0 };
        ClientSettings {
            attempts: self.retries.clamp(1, 100),
            max_errors: self.max_errors,
            retry_delay_s: (self.retry_initial_delay / 1000.0).max(0.0),
            backoff_factor: self.backoff_factor.clamp(1.0, 100.0),
            connect_s: seconds(self.connection_timeout),
            idle_s: seconds(self.idle_timeout),
            call_s: seconds(self.call_timeout),
            call_and_stream_s: seconds(self.call_and_stream_timeout),
            global_s: seconds(self.global_timeout),
            sample_interval_s: (self.sample_interval / 1000.0).max(0.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(json: &str) -> Result<Backend, BackendSpecError> {
        serde_json::from_str::<BackendSpec>(json)
            .expect("json")
            .build(&BackendParts::default())
    }

    #[test]
    fn defaults_are_otoroshis() {
        let backend =
            build(r#"{"targets":[{"hostname":"a.b","port":8080},{"hostname":"a.b","port":8080}]}"#)
                .expect("valid");
        assert_eq!(backend.targets.len(), 1, "identical targets are one");
        assert_eq!(&*backend.targets[0].id, "http://a.b:8080");
        assert_eq!((backend.client.attempts, backend.client.call_s), (1, 30.0));
    }

    #[test]
    fn addresses_of_ipv6_are_written_in_brackets() {
        for (json, hostname, authority, address) in [
            (
                r#"{"hostname":"::1","port":8080}"#,
                "[::1]",
                "[::1]:8080",
                "[::1]:8080",
            ),
            (
                r#"{"hostname":"[::1]","port":80}"#,
                "[::1]",
                "[::1]",
                "[::1]:80",
            ),
            (
                r#"{"hostname":"a.b","port":80,"ip_address":"2001:db8::7"}"#,
                "a.b",
                "a.b",
                "[2001:db8::7]:80",
            ),
            (
                r#"{"hostname":"a.b","port":80,"ip_address":"unix:/run/a.sock"}"#,
                "a.b",
                "a.b",
                "unix:/run/a.sock",
            ),
        ] {
            let backend = build(&format!(r#"{{"targets":[{json}]}}"#)).expect("valid");
            let target = &backend.targets[0];
            let found = (&*target.hostname, &*target.authority, &*target.address);
            assert_eq!(found, (hostname, authority, address), "{json}");
            assert_eq!(target.pool_key, target.address);
        }
    }

    #[test]
    fn bad_targets_name_field_and_fix() {
        for (json, field) in [
            (
                r#"{"targets":[{"hostname":"http://a","port":1}]}"#,
                "targets[0].hostname",
            ),
            (
                r#"{"targets":[{"hostname":"a","port":70000}]}"#,
                "targets[0].port",
            ),
            (
                r#"{"targets":[{"hostname":"a","port":1,"ip_address":"x"}]}"#,
                "targets[0].ip_address",
            ),
            (
                r#"{"targets":[{"hostname":"a","port":1,"ip_address":"unix:/run/../x"}]}"#,
                "targets[0].ip_address",
            ),
            (r#"{"targets":[],"root":"/a b"}"#, "root"),
        ] {
            assert_eq!(
                build(json).err().map(|error| error.field).as_deref(),
                Some(field)
            );
        }
    }
}
