//! Take a client's certificate for an API key (`NgCertificateAsApikey`).

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{At, NativeStep, Outcome, StepSettings};
use crate::apikeys::ApiKey;
use crate::tls::{ClientCertificate, normalised};

/// Longest serial number that is taken, in hexadecimal digits; RFC 5280 allows 40.
const SERIAL_DIGITS: usize = 128;

#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    read_only: bool,
    allow_client_id_only: bool,
    throttling_quota: i64,
    daily_quota: i64,
    monthly_quota: i64,
    constrained_services_only: bool,
    tags: Vec<String>,
    metadata: BTreeMap<String, String>,
}

/// The step.
#[derive(Debug)]
pub(super) struct CertificateAsApikey {
    settings: Settings,
}

impl StepSettings for Settings {
    type Step = CertificateAsApikey;

    fn build(self) -> Result<CertificateAsApikey, String> {
        Ok(CertificateAsApikey { settings: self })
    }
}

impl NativeStep for CertificateAsApikey {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        if let Some(key) = self.key(at) {
            at.flow.attrs.apikey = Some(key);
        }
        Outcome::Continue
    }

    fn explain(&self) -> Value {
        json!({ "tags": self.settings.tags })
    }
}

impl CertificateAsApikey {
    /// The stored key of a certificate that a trusted authority vouches for, or one that stands for it.
    fn key(&self, at: &At<'_>) -> Option<Arc<ApiKey>> {
        let certificate = at.flow.downstream.client_cert.as_ref()?;
        if !certificate.is_trusted {
            return None;
        }
        let subject = normalised(&certificate.subject);
        let serial = decimal(&certificate.serial)?;
        let client_id = STANDARD.encode(format!("{subject}-{serial}"));
        let unix_s = at.flow.moment.unix_s;
        if let Some(stored) = at.flow.snapshot.tables.api_key(&client_id, unix_s) {
            let is_good =
                stored.is_enabled(unix_s) && stored.tenant() == at.route.membership.tenant();
            return is_good.then(|| Arc::clone(stored));
        }
        let name = format!("{subject} ({serial})");
        self.make(&client_id, &name, certificate, &at.route.id)
    }

    fn make(
        &self,
        client_id: &str,
        name: &str,
        certificate: &ClientCertificate,
        route_id: &str,
    ) -> Option<Arc<ApiKey>> {
        let mut random = [0; 48];
        aws_lc_rs::rand::fill(&mut random).ok()?;
        let settings = &self.settings;
        let document = json!({
            "clientId": client_id,
            // Nobody is told it: what signs with a key's secret must not find a known one.
            "clientSecret": STANDARD.encode(random),
            "clientName": name,
            "authorizations": [{ "kind": "route", "id": route_id }],
            "validUntil": certificate.not_after_s.saturating_mul(1000),
            "readOnly": settings.read_only,
            "allowClientIdOnly": settings.allow_client_id_only,
            "throttlingQuota": settings.throttling_quota,
            "dailyQuota": settings.daily_quota,
            "monthlyQuota": settings.monthly_quota,
            "constrainedServicesOnly": settings.constrained_services_only,
            "tags": settings.tags,
            "metadata": settings.metadata,
        });
        let document = serde_json::to_vec(&document).ok()?;
        ApiKey::read(&document).ok().map(Arc::new)
    }
}

/// A number in hexadecimal, in decimal; none when it is no number or too long.
fn decimal(hex: &str) -> Option<String> {
    if hex.is_empty() || hex.len() > SERIAL_DIGITS {
        return None;
    }
    // The lowest digit first.
    let mut digits: Vec<u32> = vec![0];
    for digit in hex.chars() {
        let mut carry = digit.to_digit(16)?;
        for place in &mut digits {
            let value = *place * 16 + carry;
            *place = value % 10;
            carry = value / 10;
        }
        while carry > 0 {
            digits.push(carry % 10);
            carry /= 10;
        }
    }
    let texts = digits.iter().rev();
    Some(texts.filter_map(|&it| char::from_digit(it, 10)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_numbers_are_written_in_decimal() {
        for (hex, text) in [
            ("0", "0"),
            ("ff", "255"),
            ("100", "256"),
            ("ffffffffffffffff", "18446744073709551615"),
            ("10000000000000000", "18446744073709551616"),
        ] {
            assert_eq!(decimal(hex).as_deref(), Some(text));
        }
        assert_eq!(decimal(""), None);
        assert_eq!(decimal("-1"), None);
        assert_eq!(decimal(&"f".repeat(SERIAL_DIGITS + 1)), None);
    }
}
