//! Header fields in the settings of steps.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::expression::HeaderTemplate;
use crate::http1::headers::{is_name, is_value};
use crate::plan::flow::Flow;
use crate::plan::reply::Reply;
use crate::router::JavaRegex;

/// A header field to write: name and value.
pub type Field = (Box<[u8]>, Box<[u8]>);

/// A header field to write, its value with expressions.
pub(super) type FieldTemplate = (Box<[u8]>, HeaderTemplate);

/// Check fields that a step will write.
///
/// # Errors
/// Field, problem and fix.
pub(super) fn fields(headers: BTreeMap<String, String>) -> Result<Vec<FieldTemplate>, String> {
    headers
        .into_iter()
        .map(|(name, value)| {
            if !is_name(name.as_bytes()) {
                return Err(format!(
                    "headers.{name:?}: not a header name; use letters, digits and -"
                ));
            }
            if matches!(
                name.to_ascii_lowercase().as_str(),
                "content-length" | "transfer-encoding" | "connection"
            ) {
                return Err(format!(
                    "headers.{name}: the gateway frames messages itself; remove it"
                ));
            }
            let value = HeaderTemplate::parse(&value)
                .map_err(|problem| format!("headers.{name}: {problem}"))?;
            Ok((name.into_bytes().into(), value))
        })
        .collect()
}

/// Compile a list of patterns for whole paths.
///
/// # Errors
/// Field, problem and fix.
pub(super) fn patterns(field: &str, list: &[String]) -> Result<Vec<JavaRegex>, String> {
    let list = list.iter().enumerate();
    list.map(|(at, source)| {
        JavaRegex::new(source)
            .map_err(|error| format!("{field}[{at}]: {error}; correct the pattern {source:?}"))
    })
    .collect()
}

/// Header text as bytes: one character a byte, as Python reads and writes it.
pub(super) fn latin1(text: &str) -> Option<Vec<u8>> {
    text.chars()
        .map(|char| u8::try_from(u32::from(char)).ok())
        .collect()
}

/// Names of fields as JSON; values may be secrets.
pub(super) fn names<'a>(names: impl Iterator<Item = &'a [u8]>) -> Value {
    names
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect()
}

/// Check the name of one header that a step writes; nothing and the empty name mean the default.
///
/// # Errors
/// Field, problem and fix.
pub(super) fn header_name(
    key: &str,
    given: Option<&str>,
    default: &str,
) -> Result<Box<str>, String> {
    let name = given.filter(|name| !name.is_empty()).unwrap_or(default);
    if !is_name(name.as_bytes()) {
        return Err(format!(
            "{key}: {name:?} is no header name; use letters, digits and -"
        ));
    }
    if matches!(
        name.to_ascii_lowercase().as_str(),
        "content-length" | "transfer-encoding" | "connection"
    ) {
        return Err(format!(
            "{key}: the gateway writes {name} itself; choose another header"
        ));
    }
    Ok(name.into())
}

/// Put a secret where a format has its first `%s`, as the value of a header.
///
/// # Errors
/// Field, problem and fix; never the secret.
pub(super) fn formatted(key: &str, format: &str, secret: &str) -> Result<Vec<u8>, String> {
    latin1(&format.replacen("%s", secret, 1))
        .filter(|value| is_value(value))
        .ok_or_else(|| {
            format!("{key}: the value has a character that no header can carry; remove it")
        })
}

/// The answer when a request cannot be signed for its backend: a plugin that fails, in Otoroshi's words.
pub(super) fn signing_fault(flow: &mut Flow) -> Reply {
    flow.refusal(
        500,
        "an error happened during request-transformation plugins phase",
        "internal_server_error",
    )
}
