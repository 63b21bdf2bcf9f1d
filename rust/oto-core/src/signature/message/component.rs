//! One part of a message that a signature may cover, and its value (RFC 9421 §2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Message;
use crate::http1::Headers;
use crate::signature::structured::{
    self, Bare, Item, Member, write_dictionary, write_item, write_list, write_member,
};

/// The name of a component and the parameters that change its value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Component {
    name: String,
    /// `req`: of the request that a response answers.
    of_request: bool,
    /// `sf`: written anew as a structured field.
    structured: bool,
    /// `bs`: each line as a byte sequence.
    bytes: bool,
    /// `key`: one member of a dictionary.
    key: Option<String>,
    /// `name`: which query parameter.
    parameter: Option<String>,
}

impl Component {
    /// Read a component's identifier.
    ///
    /// # Errors
    /// It is none: no text, upper case, an unknown derived name or parameter.
    pub fn read(item: &Item) -> Result<Self, String> {
        let Bare::String(name) = &item.value else {
            return Err("a component is not a name in quotes".to_owned());
        };
        let mut component = Self {
            name: name.clone(),
            ..Self::default()
        };
        for (parameter, value) in &item.parameters {
            match (parameter.as_str(), value) {
                ("req", Bare::Boolean(true)) => component.of_request = true,
                ("sf", Bare::Boolean(true)) => component.structured = true,
                ("bs", Bare::Boolean(true)) => component.bytes = true,
                ("key", Bare::String(key)) => component.key = Some(key.clone()),
                ("name", Bare::String(name)) => component.parameter = Some(name.clone()),
                _ => {
                    return Err(format!(
                        "component {name:?}: parameter {parameter} is not known"
                    ));
                }
            }
        }
        component.check()?;
        Ok(component)
    }

    fn check(&self) -> Result<(), String> {
        let name = &self.name;
        let is_derived = name.starts_with('@');
        let has_field_form = self.structured || self.bytes || self.key.is_some();
        let is_token = |text: &str| crate::http1::headers::is_name(text.as_bytes());
        if is_derived {
            let is_known = matches!(
                name.as_str(),
                "@method"
                    | "@target-uri"
                    | "@authority"
                    | "@scheme"
                    | "@request-target"
                    | "@path"
                    | "@query"
                    | "@query-param"
                    | "@status"
            );
            if !is_known || has_field_form {
                return Err(format!("component {name:?} is not known in this form"));
            }
        } else if !is_token(name) || name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(format!("component {name:?} is no field name in lower case"));
        }
        if self.bytes && (self.structured || self.key.is_some()) {
            return Err(format!("component {name:?}: bs cannot go with sf or key"));
        }
        if self.parameter.is_some() != (name == "@query-param") {
            return Err(format!(
                "component {name:?}: name belongs to @query-param, and only there"
            ));
        }
        Ok(())
    }

    /// Write the component's value behind what is there.
    ///
    /// # Errors
    /// The message does not have it, or not in this form.
    pub fn write(&self, message: &Message<'_>, out: &mut Vec<u8>) -> Result<(), String> {
        if self.of_request && message.response.is_none() {
            return Err("req is for responses only".to_owned());
        }
        let is_request = self.of_request || message.response.is_none();
        if self.name == "@status" {
            let Some((status, _)) = message.response.filter(|_| !self.of_request) else {
                return Err("a request has no status".to_owned());
            };
            out.extend_from_slice(status.to_string().as_bytes());
            return Ok(());
        }
        if self.name.starts_with('@') {
            if !is_request {
                return Err("a response has this only of its request; add ;req".to_owned());
            }
            return self.write_derived(message, out);
        }
        let headers = match message.response {
            Some((_, headers)) if !is_request => headers,
            _ => message.headers,
        };
        self.write_field(headers, out)
    }

    fn write_derived(&self, message: &Message<'_>, out: &mut Vec<u8>) -> Result<(), String> {
        let query = message.query.map(|query| format!("?{query}"));
        let shown = query.as_deref().unwrap_or_default();
        let text = match self.name.as_str() {
            "@method" => message.method.to_owned(),
            "@scheme" => message.scheme.to_ascii_lowercase(),
            "@authority" => authority(message),
            "@target-uri" => {
                format!(
                    "{}://{}{}{shown}",
                    message.scheme,
                    authority(message),
                    message.path
                )
            }
            "@request-target" => format!("{}{shown}", message.path),
            "@path" => message.path.to_owned(),
            "@query" => query.clone().unwrap_or_else(|| "?".to_owned()),
            _ => query_parameter(
                message.query.unwrap_or_default(),
                self.parameter.as_deref().unwrap_or_default(),
            )?,
        };
        out.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn write_field(&self, headers: &Headers, out: &mut Vec<u8>) -> Result<(), String> {
        let lines: Vec<&[u8]> = headers
            .find_all(self.name.as_bytes())
            .map(<[u8]>::trim_ascii)
            .collect();
        if lines.is_empty() {
            return Err("the message has no such field".to_owned());
        }
        if self.bytes {
            let lines: Vec<String> = lines
                .iter()
                .map(|line| format!(":{}:", STANDARD.encode(line)))
                .collect();
            out.extend_from_slice(lines.join(", ").as_bytes());
            return Ok(());
        }
        let whole = lines.join(&b", "[..]);
        if let Some(key) = &self.key {
            let members = structured::dictionary(&whole)
                .map_err(|problem| format!("the field is no dictionary: {problem}"))?;
            let Some((_, member)) = members.iter().find(|(name, _)| name == key) else {
                return Err("the dictionary has no such member".to_owned());
            };
            let mut text = String::new();
            write_member(member, &mut text);
            out.extend_from_slice(text.as_bytes());
            return Ok(());
        }
        if self.structured {
            out.extend_from_slice(rewritten(&whole)?.as_bytes());
            return Ok(());
        }
        out.extend_from_slice(&whole);
        Ok(())
    }
}

/// A structured field in the one form it is signed in. What kind of field it is nobody says; a list
/// that reads as a dictionary is written the same, unless a member stands twice, and then signer and
/// verifier have to agree on the kind.
fn rewritten(field: &[u8]) -> Result<String, String> {
    if let Ok(members) = structured::dictionary(field) {
        return Ok(write_dictionary(&members));
    }
    if let Ok(members) = structured::list(field) {
        return Ok(write_list(&members));
    }
    match structured::item(field) {
        Ok(item) => {
            let mut text = String::new();
            write_item(&item, &mut text);
            Ok(text)
        }
        Err(problem) => Err(format!("the field is not structured: {problem}")),
    }
}

/// The host in lower case, without the scheme's own port.
fn authority(message: &Message<'_>) -> String {
    let lower = message.authority.to_ascii_lowercase();
    let port = if message.scheme == "https" {
        ":443"
    } else {
        ":80"
    };
    lower
        .strip_suffix(port)
        .map_or(lower.clone(), str::to_owned)
}

/// The value of a query parameter, decoded and encoded again in the one form (§2.2.8).
fn query_parameter(query: &str, name: &str) -> Result<String, String> {
    let decode = |text: &str| {
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let Some((byte, behind)) = rest.split_first() {
            rest = behind;
            let digits = behind
                .get(..2)
                .and_then(|pair| std::str::from_utf8(pair).ok());
            let value = digits.and_then(|pair| u8::from_str_radix(pair, 16).ok());
            match (byte, value) {
                (b'+', _) => bytes.push(b' '),
                (b'%', Some(value)) => {
                    bytes.push(value);
                    rest = &rest[2..];
                }
                _ => bytes.push(*byte),
            }
        }
        bytes
    };
    let encode = |bytes: &[u8]| {
        let mut text = String::with_capacity(bytes.len());
        for byte in String::from_utf8_lossy(bytes).bytes() {
            if byte.is_ascii_alphanumeric() || b"*-._".contains(&byte) {
                text.push(char::from(byte));
            } else {
                text.push_str(&format!("%{byte:02X}"));
            }
        }
        text
    };
    let mut found = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter(|(known, _)| encode(&decode(known)) == name);
    match (found.next(), found.next()) {
        (Some((_, value)), None) => Ok(encode(&decode(value))),
        (Some(_), Some(_)) => Err("the parameter stands twice; sign @query instead".to_owned()),
        (None, _) => Err("the query has no such parameter".to_owned()),
    }
}

/// Whether a member is a byte sequence; its bytes.
pub(super) fn bytes_of(member: &Member) -> Option<&[u8]> {
    match member {
        Member::Item(Item {
            value: Bare::Bytes(bytes),
            ..
        }) => Some(bytes),
        _ => None,
    }
}
