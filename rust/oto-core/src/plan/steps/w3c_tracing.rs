//! W3C trace context: take up the client's trace, or begin one, and hand it to the backend.
//!
//! Source: W3C Trace Context (level 1, with the reading of later versions that it asks for) and W3C
//! Baggage.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::fields::{FieldTemplate, fields};
use super::{At, NativeStep, Outcome, StepSettings};
use crate::http1::Headers;
use crate::plan::Trace;
use crate::record::hex;

/// The longest `baggage` that is handed on, and the most members.
const BAGGAGE_BYTES: usize = 8192;
const BAGGAGE_MEMBERS: usize = 180;
/// The most members of a `tracestate`, and its length.
const STATE_MEMBERS: usize = 32;
const STATE_BYTES: usize = 4096;

#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    #[serde(default)]
    baggage: BTreeMap<String, String>,
}

/// The step.
#[derive(Debug)]
pub(super) struct W3cTracing {
    baggage: Vec<FieldTemplate>,
}

impl StepSettings for Settings {
    type Step = W3cTracing;

    fn build(self) -> Result<W3cTracing, String> {
        fields(self.baggage)
            .map(|baggage| W3cTracing { baggage })
            .map_err(|problem| problem.replacen("headers.", "baggage.", 1))
    }
}

impl NativeStep for W3cTracing {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let flow = &mut *at.flow;
        let parent = parent(&flow.request.headers);
        let random = flow.moment.random ^ flow.request_id.rotate_left(32) ^ flow.id;
        let span_id = nonzero(mixed(random, 1)).to_be_bytes();
        let trace = match parent {
            Some((trace_id, parent_id, flags)) => Trace {
                trace_id,
                span_id,
                parent_id: Some(parent_id),
                sampled: flags & 1 != 0,
            },
            None => {
                let mut trace_id = [0; 16];
                trace_id[..8].copy_from_slice(&nonzero(mixed(random, 2)).to_be_bytes());
                trace_id[8..].copy_from_slice(&mixed(random, 3).to_be_bytes());
                Trace {
                    trace_id,
                    span_id,
                    parent_id: None,
                    sampled: true,
                }
            }
        };
        flow.attrs.trace = Some(trace);
        let state = parent.and_then(|_| state(&flow.request.headers));
        let mut baggage = baggage(&flow.request.headers);
        for (name, template) in &self.baggage {
            let value = template.value(flow);
            add_baggage(&mut baggage, name, &value);
        }
        let headers = &mut flow.request.headers;
        let flags = u8::from(trace.sampled);
        let told = format!("00-{}-{}-{flags:02x}", hex(&trace.trace_id), hex(&span_id));
        headers.set(b"traceparent", told.as_bytes());
        put(headers, b"tracestate", state);
        put(
            headers,
            b"baggage",
            (!baggage.is_empty()).then_some(baggage),
        );
        Outcome::Continue
    }

    fn explain(&self) -> Value {
        json!({ "baggage": self.baggage.len() })
    }
}

fn put(headers: &mut Headers, name: &[u8], value: Option<Vec<u8>>) {
    match value {
        Some(value) => headers.set(name, &value),
        None => {
            headers.remove(name);
        }
    }
}

/// SplitMix64's output for one number of a row.
fn mixed(seed: u64, row: u64) -> u64 {
    let mut mixed = seed.wrapping_add(row.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Ids of zeros mean none.
fn nonzero(id: u64) -> u64 {
    id.max(1)
}

/// The trace, span and flags that the client sent; none unless there is exactly one good field.
fn parent(headers: &Headers) -> Option<([u8; 16], [u8; 8], u8)> {
    let mut sent = headers.find_all(b"traceparent");
    let (value, None) = (sent.next()?, sent.next()) else {
        return None;
    };
    let version: [u8; 1] = unhex(value.get(..2)?)?;
    let later = value.len() > 55;
    if version == [0xff] || value.len() < 55 || (version == [0] && later) {
        return None;
    }
    let dashes = [2, 35, 52].iter().all(|at| value.get(*at) == Some(&b'-'));
    if !dashes || (later && value.get(55) != Some(&b'-')) {
        return None;
    }
    let trace_id: [u8; 16] = unhex(value.get(3..35)?)?;
    let span_id: [u8; 8] = unhex(value.get(36..52)?)?;
    let [flags] = unhex(value.get(53..55)?)?;
    let known = trace_id != [0; 16] && span_id != [0; 8];
    known.then_some((trace_id, span_id, flags))
}

/// Lower-case hexadecimal digits as bytes.
fn unhex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    if digits.len() != 2 * N {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut out = [0; N];
    for (slot, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        *slot = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(out)
}

/// All fields of a name as one list; none when there is no field.
fn joined(headers: &Headers, name: &[u8]) -> Option<Vec<u8>> {
    let mut all: Option<Vec<u8>> = None;
    for value in headers.find_all(name) {
        match &mut all {
            Some(all) => {
                all.push(b',');
                all.extend_from_slice(value);
            }
            None => all = Some(value.to_vec()),
        }
    }
    all
}

/// The client's `tracestate`, when all of it is good.
fn state(headers: &Headers) -> Option<Vec<u8>> {
    let all = joined(headers, b"tracestate")?;
    let members: Vec<&[u8]> = all
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
        .collect();
    let good = all.len() <= STATE_BYTES
        && !members.is_empty()
        && members.len() <= STATE_MEMBERS
        && members.iter().all(|member| is_state_member(member));
    good.then(|| members.join(&b','))
}

fn is_state_member(member: &[u8]) -> bool {
    let Some(at) = member.iter().position(|byte| *byte == b'=') else {
        return false;
    };
    let (key, value) = (&member[..at], &member[at + 1..]);
    let first = key
        .first()
        .is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    first
        && key.len() <= 256
        && key.iter().all(|byte| {
            byte.is_ascii_lowercase()
                || byte.is_ascii_digit()
                || matches!(byte, b'_' | b'-' | b'*' | b'/' | b'@')
        })
        && (1..=256).contains(&value.len())
        && value
            .iter()
            .all(|byte| (0x20..=0x7e).contains(byte) && *byte != b'=')
}

/// The client's `baggage`, when all of it is good; else nothing.
fn baggage(headers: &Headers) -> Vec<u8> {
    let Some(all) = joined(headers, b"baggage") else {
        return Vec::new();
    };
    let members: Vec<&[u8]> = all
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .collect();
    let good = all.len() <= BAGGAGE_BYTES
        && members.len() <= BAGGAGE_MEMBERS
        && members.iter().all(|member| is_baggage_member(member));
    if good {
        members.join(&b',')
    } else {
        Vec::new()
    }
}

fn is_baggage_member(member: &[u8]) -> bool {
    let main = member
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default();
    let Some(at) = main.iter().position(|byte| *byte == b'=') else {
        return false;
    };
    let key = main[..at].trim_ascii();
    crate::http1::headers::is_name(key) && member.iter().all(|byte| (0x20..=0x7e).contains(byte))
}

/// Add a member, the value percent-encoded, unless the whole gets too long.
fn add_baggage(baggage: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    let mut member = name.to_vec();
    member.push(b'=');
    for byte in value {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            member.push(*byte);
        } else {
            member.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    let separator = usize::from(!baggage.is_empty());
    if baggage.len() + separator + member.len() > BAGGAGE_BYTES {
        return;
    }
    if separator == 1 {
        baggage.push(b',');
    }
    baggage.extend_from_slice(&member);
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn of(values: &[&str], name: &[u8]) -> Headers {
        let mut headers = Headers::default();
        for value in values {
            headers.add(name, value.as_bytes());
        }
        headers
    }

    #[test]
    fn only_one_good_parent_is_taken_up() {
        let read = |values: &[&str]| parent(&of(values, b"traceparent"));
        let (trace_id, span_id, flags) = read(&[GOOD]).expect("good");
        assert_eq!(hex(&trace_id), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!((hex(&span_id).as_str(), flags), ("00f067aa0ba902b7", 1));
        assert!(read(&[&GOOD.replacen("00", "cc", 1)]).is_some());
        assert!(read(&[&format!("{}-later", GOOD.replacen("00", "cc", 1))]).is_some());
        for bad in [
            "",
            "00",
            &GOOD[..54],
            &format!("{GOOD}-x"),
            &format!("{}x", GOOD.replacen("00", "cc", 1)),
            &GOOD.replacen("00", "ff", 1),
            &GOOD.to_uppercase(),
            &GOOD.replace('-', "_"),
            &GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &GOOD.replace("4bf9", "4bg9"),
        ] {
            assert_eq!(read(&[bad]), None, "{bad}");
        }
        assert_eq!(read(&[GOOD, GOOD]), None);
        for at in 0..GOOD.len() {
            read(&[&GOOD[..at]]);
        }
    }

    #[test]
    fn a_state_is_handed_on_whole_or_not_at_all() {
        let read = |values: &[&str]| {
            state(&of(values, b"tracestate"))
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        };
        assert_eq!(
            read(&["a=1, b=2", "c@d=3"]).as_deref(),
            Some("a=1,b=2,c@d=3")
        );
        for bad in ["a", "A=1", "a=", "a=b=c", "=1", "a=\u{e9}", ""] {
            assert_eq!(read(&[bad]), None, "{bad}");
        }
        let many: Vec<String> = (0..33).map(|at| format!("k{at}=1")).collect();
        assert_eq!(read(&[&many.join(",")]), None);
        assert!(read(&[&many[..32].join(",")]).is_some());
    }

    #[test]
    fn baggage_is_bounded_and_encoded() {
        let mut own = baggage(&of(&["a=1;p=2", "b=3"], b"baggage"));
        add_baggage(&mut own, b"c", b"x y\r\n");
        assert_eq!(own, b"a=1;p=2,b=3,c=x%20y%0D%0A");
        assert!(baggage(&of(&["a"], b"baggage")).is_empty());
        let long = format!("a={}", "x".repeat(BAGGAGE_BYTES));
        assert!(baggage(&of(&[&long], b"baggage")).is_empty());
        let before = own.clone();
        add_baggage(&mut own, b"d", &[b'x'; BAGGAGE_BYTES]);
        assert_eq!(own, before);
    }
}
