//! Answers the gateway gives itself, errors in Otoroshi's format among them (engine.md §6).

use crate::http1::{Known, Request};

/// A whole response made here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Fields in order; framing is added when it is sent.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// An answer with a JSON body and nothing else, as plugins give that do not use the gateway's
    /// error format.
    #[must_use]
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self {
            status,
            headers: vec![(b"Content-Type".to_vec(), b"application/json".to_vec())],
            body: body.to_string().into_bytes(),
        }
    }
}

/// Build an error answer: HTML when the client accepts `text/html` or says nothing, else JSON.
///
/// `cause` picks the page (maintenance, under construction); it is not shown.
#[must_use]
pub fn refusal(status: u16, message: &str, cause: &str, request: Option<&Request>) -> Reply {
    let state = request
        .and_then(|request| request.headers.find_known(Known::OtoroshiState))
        .unwrap_or(b"--");
    let mut headers = vec![
        (b"Otoroshi-Error".to_vec(), b"true".to_vec()),
        (b"Otoroshi-Error-Msg".to_vec(), field_text(message)),
        (b"Otoroshi-State-Resp".to_vec(), state.to_vec()),
    ];
    let html = request.is_some_and(wants_html);
    let (kind, body): (&[u8], String) = if html {
        (b"text/html; charset=utf-8", page(status, message, cause))
    } else {
        (
            b"application/json",
            format!("{{\"Otoroshi-Error\":{}}}", json_string(message)),
        )
    };
    headers.push((b"Content-Type".to_vec(), kind.to_vec()));
    Reply {
        status,
        headers,
        body: body.into_bytes(),
    }
}

/// Otoroshi's negotiation: an element that is exactly `text/html`, or no `Accept` at all.
fn wants_html(request: &Request) -> bool {
    request
        .headers
        .find_known(Known::Accept)
        .is_none_or(|accept| {
            accept
                .split(|byte| *byte == b',')
                .any(|item| item == b"text/html")
        })
}

fn field_text(message: &str) -> Vec<u8> {
    message
        .chars()
        .map(|char| {
            if char.is_ascii() && !char.is_ascii_control() {
                char as u8
            } else {
                b'?'
            }
        })
        .collect()
}

fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn page(status: u16, message: &str, cause: &str) -> String {
    let title = match cause {
        "errors.service.in.maintenance" => "Down for maintenance",
        "errors.service.under.construction" => "Under construction",
        _ if status < 500 => "This request was refused",
        _ => "Something went wrong",
    };
    let mut safe = String::with_capacity(message.len());
    for char in message.chars() {
        match char {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            _ => safe.push(char),
        }
    }
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{status} {title}</title>\
         <style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1rem;\
         color:#1b1f24;background:#fff}}h1{{font-size:1.5rem;margin:0}}p{{color:#57606a}}\
         @media(prefers-color-scheme:dark){{body{{color:#e6edf3;background:#0d1117}}p{{color:#9198a1}}}}</style>\
         </head><body><h1>{title}</h1><p>{safe}</p><p>{status}</p></body></html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::{HeadLimits, Version};

    fn request(accept: Option<&[u8]>) -> Request {
        let mut fields: Vec<(&[u8], &[u8])> = vec![(b"host", b"a"), (b"otoroshi-state", b"s1")];
        fields.extend(accept.map(|value| (&b"accept"[..], value)));
        Request::from_parts(
            b"GET",
            b"/",
            fields.into_iter(),
            Version::Http11,
            &HeadLimits::default(),
        )
        .expect("valid")
    }

    #[test]
    fn json_unless_html_is_asked_for() {
        let json = refusal(
            404,
            "no \"route\"",
            "not_found",
            Some(&request(Some(b"*/*"))),
        );
        assert_eq!(json.body, br#"{"Otoroshi-Error":"no \"route\""}"#);
        assert!(
            json.headers
                .contains(&(b"Otoroshi-State-Resp".to_vec(), b"s1".to_vec()))
        );
        for accept in [None, Some(&b"text/html,*/*"[..])] {
            let html = refusal(503, "<b>", "x", Some(&request(accept)));
            assert!(html.body.starts_with(b"<!doctype html>"));
            assert!(!String::from_utf8_lossy(&html.body).contains("<b>"));
        }
    }
}
