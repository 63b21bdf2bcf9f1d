//! HTTP message signatures: which parts of a message are signed, the text they make, and its check.
//!
//! Theory of operation. A signature covers *components*: header fields and derived ones such as
//! `@method`. [`base`] writes one line for each, and last the list of components itself; that text is
//! what is signed. A verifier builds the text from the message it got, so whatever was changed on the
//! way makes another text. [`Signer`] makes signatures; [`verify()`] adds what a signature must be like: how old, by which key, over
//! which components.
//!
//! The message is the gateway's canonical one: a client that signs a path in another spelling than the
//! gateway forwards is refused, and what is signed is what the backend gets.
//!
//! Source: RFC 9421.

mod component;
pub mod digest;
mod settings;
mod sign;
mod verify;

use super::structured::{Bare, InnerList, Item, write_inner, write_item};
use crate::http1::Headers;
use crate::jose;

pub use component::Component;
pub use settings::{Verifier, VerifierSettings};
pub use sign::{Signed, Signer, SignerSettings};
pub use verify::{Key, Policy, Rejection, Verified, keyids, verify};

/// A message as signatures see it: a request, or a response with the request it answers.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The request's method.
    pub method: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Host and port.
    pub authority: &'a str,
    /// The canonical path.
    pub path: &'a str,
    /// The query, when there is one.
    pub query: Option<&'a str>,
    /// The request's fields.
    pub headers: &'a Headers,
    /// The response: its status and fields.
    pub response: Option<(u16, &'a Headers)>,
}

/// An algorithm of RFC 9421 §3.3 and the one of JOSE that is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Algorithm {
    /// Its registered name.
    pub name: &'static str,
    /// The same by JOSE's name.
    pub same_as: jose::Algorithm,
}

/// Every algorithm, the safest of a kind of key first.
pub const ALGORITHMS: [Algorithm; 6] = [
    Algorithm {
        name: "hmac-sha256",
        same_as: jose::Algorithm::Hs256,
    },
    Algorithm {
        name: "rsa-pss-sha512",
        same_as: jose::Algorithm::Ps512,
    },
    Algorithm {
        name: "rsa-v1_5-sha256",
        same_as: jose::Algorithm::Rs256,
    },
    Algorithm {
        name: "ecdsa-p256-sha256",
        same_as: jose::Algorithm::Es256,
    },
    Algorithm {
        name: "ecdsa-p384-sha384",
        same_as: jose::Algorithm::Es384,
    },
    Algorithm {
        name: "ed25519",
        same_as: jose::Algorithm::EdDsa,
    },
];

impl Algorithm {
    /// The algorithm of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        ALGORITHMS.into_iter().find(|known| known.name == name)
    }
}

/// The text that is signed: one line for each covered component, then the list itself.
///
/// # Errors
/// The list has something that is no component, one twice, or one the message does not have.
pub fn base(message: &Message<'_>, covered: &InnerList) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    let mut seen: Vec<Component> = Vec::new();
    for item in &covered.items {
        let component = Component::read(item)?;
        let mut identifier = String::new();
        write_item(item, &mut identifier);
        if seen.contains(&component) {
            return Err(format!("component {identifier} is listed twice"));
        }
        text.extend_from_slice(identifier.as_bytes());
        text.extend_from_slice(b": ");
        component
            .write(message, &mut text)
            .map_err(|problem| format!("component {identifier}: {problem}"))?;
        text.push(b'\n');
        seen.push(component);
    }
    let mut parameters = String::new();
    write_inner(covered, &mut parameters);
    text.extend_from_slice(b"\"@signature-params\": ");
    text.extend_from_slice(parameters.as_bytes());
    Ok(text)
}

/// Read a component as a config writes it: `@method`, `content-digest;req`, `@query-param;name="a"`.
///
/// # Errors
/// What is wrong with it.
pub fn component_item(text: &str) -> Result<Item, String> {
    let (name, parameters) = text.split_once(';').unwrap_or((text, ""));
    let quoted = if name.starts_with('"') {
        text.to_owned()
    } else if parameters.is_empty() {
        format!("\"{name}\"")
    } else {
        format!("\"{name}\";{parameters}")
    };
    let item = super::structured::item(quoted.as_bytes())
        .map_err(|problem| format!("component {text:?} is none: {problem}"))?;
    let item = match item.value {
        Bare::String(name) => Item {
            value: Bare::String(name.to_ascii_lowercase()),
            parameters: item.parameters,
        },
        _ => return Err(format!("component {text:?} is none: a name expected")),
    };
    Component::read(&item)?;
    Ok(item)
}

#[cfg(test)]
mod tests;
