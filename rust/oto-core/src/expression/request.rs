//! What the client asked: `req.…`.

use super::Answer;
use super::parse::{Lookup, with_default};
use super::value::{decode_query, push_latin1};
use crate::http1::Version;
use crate::plan::Flow;

/// A fact of the request.
#[derive(Debug)]
pub(super) enum RequestFact {
    FullUrl,
    Listener,
    Id,
    Path,
    Uri,
    Host,
    Domain,
    Method,
    Protocol,
    Version,
    Ip,
    Secured,
    Header(Box<[u8]>),
    Query(Box<str>),
    Cookie(Box<str>),
    PathParam(Box<str>),
    CertificateSubject,
    CertificateIssuer,
    CertificateSerial,
    CertificateName,
}

impl RequestFact {
    pub(super) fn parse(text: &str) -> Lookup<Self> {
        let rest = text.strip_prefix("req.")?;
        let fact = match rest {
            "fullUrl" => Self::FullUrl,
            "listener" => Self::Listener,
            "id" => Self::Id,
            "path" => Self::Path,
            "uri" => Self::Uri,
            "host" => Self::Host,
            "domain" => Self::Domain,
            "method" => Self::Method,
            "protocol" => Self::Protocol,
            "version" => Self::Version,
            "ip" | "ip_address" => Self::Ip,
            "secured" => Self::Secured,
            "client_cert.dn" => Self::CertificateSubject,
            "client_cert.issuer_dn" => Self::CertificateIssuer,
            "client_cert.id" => Self::CertificateSerial,
            "client_cert.domain" | "client_cert.cn" => Self::CertificateName,
            _ => return Self::named(rest),
        };
        Some((fact, "".into()))
    }

    fn named(rest: &str) -> Lookup<Self> {
        let (family, rest) = rest.split_once('.')?;
        Some(match family {
            "headers" => {
                let (name, missing) = with_default(rest, "no-header-");
                (Self::Header(name.as_bytes().into()), missing)
            }
            "query" => {
                let (name, missing) = with_default(rest, "no-query-");
                (Self::Query(name.into()), missing)
            }
            // The marker is the query's, as in Otoroshi.
            "cookies" => {
                let (name, missing) = with_default(rest, "no-query-");
                (Self::Cookie(name.into()), missing)
            }
            "pathparams" => {
                let (name, missing) = with_default(rest, "no-path-param-");
                (Self::PathParam(name.into()), missing)
            }
            _ => return None,
        })
    }

    pub(super) fn read(&self, flow: &Flow, out: &mut String) -> Answer {
        let request = &flow.request;
        match self {
            Self::FullUrl => {
                out.push_str(protocol(flow));
                out.push_str("://");
                out.push_str(request.host());
                push_uri(flow, out);
            }
            Self::Listener => out.push_str(&flow.downstream.listener),
            Self::Id => out.push_str(&flow.id.to_string()),
            Self::Path => out.push_str(request.path()),
            Self::Uri => push_uri(flow, out),
            Self::Host => out.push_str(request.host()),
            Self::Domain => out.push_str(request.domain()),
            Self::Method => out.push_str(request.method_text()),
            Self::Protocol => out.push_str(protocol(flow)),
            Self::Version => out.push_str(match request.version {
                Version::Http10 => "HTTP/1.0",
                Version::Http11 => "HTTP/1.1",
                Version::Http2 => "HTTP/2.0",
                Version::Http3 => "HTTP/3.0",
            }),
            Self::Ip => out.push_str(&flow.remote_address()),
            Self::Secured => out.push_str(if flow.secured { "true" } else { "false" }),
            Self::Header(name) => return found(flow.headers_as_arrived().find(name), out),
            Self::Query(name) => return query(request.query().unwrap_or(""), name, out),
            Self::Cookie(name) => return cookie(flow, name, out),
            Self::PathParam(name) => {
                let value = flow.params.iter().find(|(known, _)| known == name);
                return found(value.map(|(_, value)| value.as_bytes()), out);
            }
            Self::CertificateSubject
            | Self::CertificateIssuer
            | Self::CertificateSerial
            | Self::CertificateName => return self.certificate(flow, out),
        }
        Answer::Found
    }

    fn certificate(&self, flow: &Flow, out: &mut String) -> Answer {
        let Some(certificate) = &flow.downstream.client_cert else {
            return Answer::NotApplicable;
        };
        let first_name = certificate.alternative_names.first();
        out.push_str(match self {
            Self::CertificateSubject => &certificate.subject,
            Self::CertificateIssuer => &certificate.issuer,
            Self::CertificateSerial => &certificate.serial,
            _ => certificate
                .common_name
                .as_ref()
                .or(first_name)
                .map_or("", String::as_str),
        });
        Answer::Found
    }
}

fn protocol(flow: &Flow) -> &'static str {
    if flow.secured { "https" } else { "http" }
}

fn push_uri(flow: &Flow, out: &mut String) {
    out.push_str(flow.request.path());
    if let Some(query) = flow.request.query() {
        out.push('?');
        out.push_str(query);
    }
}

fn found(value: Option<&[u8]>, out: &mut String) -> Answer {
    match value {
        Some(bytes) => push_latin1(bytes, out),
        None => return Answer::Missing,
    }
    Answer::Found
}

/// The first value of a query parameter, decoded.
fn query(query: &str, wanted: &str, out: &mut String) -> Answer {
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if decode_query(name) == wanted {
            out.push_str(&decode_query(value));
            return Answer::Found;
        }
    }
    Answer::Missing
}

fn cookie(flow: &Flow, wanted: &str, out: &mut String) -> Answer {
    for line in flow.headers_as_arrived().find_all(b"cookie") {
        for pair in line.split(|byte| *byte == b';') {
            let pair = pair.trim_ascii();
            let at = memchr::memchr(b'=', pair);
            let Some((name, value)) = at.and_then(|at| pair.split_at_checked(at)) else {
                continue;
            };
            if name == wanted.as_bytes() {
                let value = value.get(1..).unwrap_or(b"");
                let inner = value
                    .strip_prefix(b"\"")
                    .and_then(|value| value.strip_suffix(b"\""));
                return found(Some(inner.unwrap_or(value)), out);
            }
        }
    }
    Answer::Missing
}
