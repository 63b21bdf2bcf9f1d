//! Telling operators that an API key has used up its quotas, or nearly (`quotasSettings`).

use serde::Deserialize;
use serde_json::{Value, json};

use super::flow::Flow;
use crate::apikeys::ApiKey;
use crate::limits::{Count, UNLIMITED, Usage};

/// When to tell (Otoroshi's `quotasSettings`).
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default)]
pub struct QuotaAlerts {
    /// Whether to tell at all.
    pub enabled: bool,
    /// The used share of the daily quota from which on it is nearly used up.
    pub daily_threshold: f64,
    /// The same of the monthly quota.
    pub monthly_threshold: f64,
}

impl Default for QuotaAlerts {
    fn default() -> Self {
        Self {
            enabled: false,
            daily_threshold: 0.8,
            monthly_threshold: 0.8,
        }
    }
}

impl QuotaAlerts {
    fn json(&self) -> Value {
        json!({
            "enabled": self.enabled,
            "dailyQuotasThreshold": self.daily_threshold,
            "monthlyQuotasThreshold": self.monthly_threshold,
        })
    }
}

/// How a calendar quota stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Fine,
    Almost,
    Exceeded,
}

fn standing(count: &Count, threshold: f64) -> Standing {
    #[allow(clippy::cast_precision_loss, reason = "a share needs no more digits")]
    let share = count.used as f64 / count.limit.max(1) as f64;
    match count.limit {
        UNLIMITED => Standing::Fine,
        _ if !count.is_within() => Standing::Exceeded,
        _ if share >= threshold => Standing::Almost,
        _ => Standing::Fine,
    }
}

impl Flow {
    /// Count a call of an API key (or only look, without `update`), keep how its quotas stand for
    /// later steps, tell the client of those that are limits, and raise the alerts that are due. Each call from the threshold on raises one,
    /// as in Otoroshi; exporters may thin them out.
    pub fn count_call(&mut self, key: &ApiKey, update: bool) -> Usage {
        let usage = self.count_call_of(key, update);
        self.attrs.quota = Some(usage);
        self.tell_usage(&usage);
        let settings = self.snapshot.settings.quota_alerts;
        if settings.enabled {
            self.alert_of_quotas(&settings, key, &usage);
        }
        usage
    }

    fn alert_of_quotas(&mut self, settings: &QuotaAlerts, key: &ApiKey, usage: &Usage) {
        for (count, threshold, period) in [
            (&usage.daily, settings.daily_threshold, "Daily"),
            (&usage.monthly, settings.monthly_threshold, "Monthly"),
        ] {
            let mut fields = json!({
                "apikey": key.light_json(),
                "remaining": usage.json(),
            });
            let name = match standing(count, threshold) {
                Standing::Fine => continue,
                Standing::Almost => {
                    fields["settings"] = settings.json();
                    "QuotasAlmostExceeded"
                }
                Standing::Exceeded => "QuotasExceeded",
            };
            fields["reason"] = format!("{period}{name}").into();
            self.attrs.alert(name, fields);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_nearly_used_up_from_the_threshold_to_the_limit() {
        let at = |used, limit| {
            let count = Count {
                used,
                limit,
                ..Count::default()
            };
            standing(&count, 0.8)
        };
        assert_eq!(at(7, 10), Standing::Fine);
        assert_eq!(at(8, 10), Standing::Almost);
        assert_eq!(at(10, 10), Standing::Almost);
        assert_eq!(at(11, 10), Standing::Exceeded);
        assert_eq!(at(1, 0), Standing::Exceeded);
        assert_eq!(at(0, 0), Standing::Fine);
        assert_eq!(at(u64::MAX, UNLIMITED), Standing::Fine);
    }
}
