//! Tell the backend of the client's certificate in header fields.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use super::fields::header_name;
use super::{At, NativeStep, Outcome, StepSettings};
use crate::tls::{ClientCertificate, chain_json, normalised};

#[derive(Deserialize)]
pub(super) struct Settings {
    send_pem: bool,
    pem_header_name: String,
    send_dns: bool,
    dns_header_name: String,
    send_chain: bool,
    chain_header_name: String,
}

/// Otoroshi's own fields: PEM, names, and the chain's facts as JSON.
#[derive(Debug)]
pub(super) struct ClientCertChain {
    fields: Vec<(Box<str>, Fact)>,
}

#[derive(Clone, Copy, Debug)]
enum Fact {
    Pem,
    Names,
    Chain,
}

impl StepSettings for Settings {
    type Step = ClientCertChain;

    fn build(self) -> Result<ClientCertChain, String> {
        let mut fields = Vec::new();
        for (key, wanted, name, default, fact) in [
            (
                "pem_header_name",
                self.send_pem,
                &self.pem_header_name,
                "X-Client-Cert-Pem",
                Fact::Pem,
            ),
            (
                "dns_header_name",
                self.send_dns,
                &self.dns_header_name,
                "X-Client-Cert-DNs",
                Fact::Names,
            ),
            (
                "chain_header_name",
                self.send_chain,
                &self.chain_header_name,
                "X-Client-Cert-Chain",
                Fact::Chain,
            ),
        ] {
            if wanted {
                fields.push((header_name(key, Some(name), default)?, fact));
            }
        }
        Ok(ClientCertChain { fields })
    }
}

impl NativeStep for ClientCertChain {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let certificate = at.flow.downstream.client_cert.clone();
        for (name, fact) in &self.fields {
            // What a client claims of itself in these fields never counts.
            at.flow.request.headers.remove(name.as_bytes());
            if let Some(certificate) = &certificate {
                let value = fact.of(certificate);
                at.flow
                    .request
                    .headers
                    .set(name.as_bytes(), value.as_bytes());
            }
        }
        Outcome::Continue
    }

    fn owned_headers(&self) -> Vec<&str> {
        self.fields.iter().map(|(name, _)| &**name).collect()
    }
}

impl Fact {
    fn of(self, certificate: &ClientCertificate) -> String {
        match self {
            Self::Pem => {
                let chain = certificate.chain.iter().map(|der| {
                    let text = STANDARD.encode(der);
                    format!("-----BEGIN CERTIFICATE----- {text} -----END CERTIFICATE-----")
                });
                chain.collect::<Vec<_>>().join(",")
            }
            Self::Names => {
                let chain = certificate.certificates();
                let names = chain
                    .iter()
                    .map(|one| Value::from(normalised(&one.subject)));
                ascii_json(&Value::Array(names.collect()))
            }
            Self::Chain => ascii_json(&chain_json(certificate)),
        }
    }
}

/// JSON that a header can carry: what is not ASCII is escaped.
fn ascii_json(value: &Value) -> String {
    let mut out = String::new();
    for char in value.to_string().chars() {
        if char.is_ascii() && char != '\u{7f}' {
            out.push(char);
        } else {
            let mut units = [0; 2];
            for unit in char.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

#[derive(Deserialize)]
pub(super) struct Rfc9440Settings {
    send_chain: bool,
}

/// `Client-Cert` and `Client-Cert-Chain` of RFC 9440.
#[derive(Debug)]
pub(super) struct Rfc9440ClientCert {
    send_chain: bool,
}

impl StepSettings for Rfc9440Settings {
    type Step = Rfc9440ClientCert;

    fn build(self) -> Result<Rfc9440ClientCert, String> {
        Ok(Rfc9440ClientCert {
            send_chain: self.send_chain,
        })
    }
}

impl NativeStep for Rfc9440ClientCert {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let certificate = at.flow.downstream.client_cert.clone();
        let headers = &mut at.flow.request.headers;
        for name in [&b"Client-Cert"[..], b"Client-Cert-Chain"] {
            headers.remove(name);
        }
        let bytes = |der: &Vec<u8>| format!(":{}:", STANDARD.encode(der));
        let Some((own, others)) = certificate.as_ref().and_then(|it| it.chain.split_first()) else {
            return Outcome::Continue;
        };
        headers.set(b"Client-Cert", bytes(own).as_bytes());
        if self.send_chain && !others.is_empty() {
            let others = others.iter().map(bytes).collect::<Vec<_>>().join(", ");
            headers.set(b"Client-Cert-Chain", others.as_bytes());
        }
        Outcome::Continue
    }

    fn owned_headers(&self) -> Vec<&str> {
        vec!["Client-Cert", "Client-Cert-Chain"]
    }
}
