//! The access log: records as lines of JSON.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize, Serializer};

/// One exchange, as [`super::Records::drain`] packs it, field by field.
#[derive(Deserialize)]
struct Packed<'a> {
    started_s: f64,
    duration_s: f64,
    upstream_s: f64,
    ip: &'a str,
    route: Option<&'a str>,
    target: Option<&'a str>,
    method: &'a str,
    host: &'a str,
    path: &'a str,
    status: u64,
    attempts: u64,
    bytes_in: u64,
    bytes_out: u64,
    local: bool,
    request_id: &'a str,
    apikey: Option<&'a str>,
    #[serde(rename = "details")]
    _details: IgnoredAny,
}

/// A line, its keys in order.
#[derive(Serialize)]
struct Line<'a> {
    time: Moment,
    ip: &'a str,
    method: &'a str,
    host: &'a str,
    path: &'a str,
    status: u64,
    duration_ms: f64,
    upstream_ms: f64,
    bytes_in: u64,
    bytes_out: u64,
    route: Option<&'a str>,
    target: Option<&'a str>,
    attempts: u64,
    local: bool,
    request_id: &'a str,
    apikey: Option<&'a str>,
}

/// Unix time, written as ISO 8601 in UTC with milliseconds.
struct Moment(f64);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Beyond what a calendar has is the worst that a wrong clock can do.
        let unix_ms = (self.0 * 1000.0).round() as i64;
        let moment = Timestamp::from_millisecond(unix_ms).unwrap_or(Timestamp::UNIX_EPOCH);
        let at = TimeZone::UTC.to_datetime(moment);
        serializer.collect_str(&format_args!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}+00:00",
            at.year(),
            at.month(),
            at.day(),
            at.hour(),
            at.minute(),
            at.second(),
            at.millisecond(),
        ))
    }
}

/// Milliseconds to the microsecond.
fn ms(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e3
}

/// A batch of records as lines of JSON.
///
/// # Arguments
/// `batch` is a msgpack array of records as a worker drains them; `unix_offset_s` is added to their
/// times to get Unix time.
///
/// # Errors
/// It is no such batch.
///
/// Cost: about a microsecond a record.
pub fn access_lines(batch: &[u8], unix_offset_s: f64) -> Result<Vec<u8>, String> {
    let records: Vec<Packed<'_>> = rmp_serde::from_slice(batch)
        .map_err(|error| format!("it is no batch of access records: {error}"))?;
    let mut lines = Vec::with_capacity(records.len() * 320);
    for record in &records {
        let line = Line {
            time: Moment(record.started_s + unix_offset_s),
            ip: record.ip,
            method: record.method,
            host: record.host,
            path: record.path,
            status: record.status,
            duration_ms: ms(record.duration_s),
            upstream_ms: ms(record.upstream_s),
            bytes_in: record.bytes_in,
            bytes_out: record.bytes_out,
            route: record.route,
            target: record.target,
            attempts: record.attempts,
            local: record.local,
            request_id: record.request_id,
            apikey: record.apikey,
        };
        serde_json::to_writer(&mut lines, &line).map_err(|error| error.to_string())?;
        lines.push(b'\n');
    }
    Ok(lines)
}
