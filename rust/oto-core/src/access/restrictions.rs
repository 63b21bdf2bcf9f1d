//! Restrictions: which methods and paths are let through, refused, or hidden. A route has them through
//! the plugin `RoutingRestrictions`, an API key of its own (engine_apikeys.md §6).

use serde::Deserialize;

use crate::router::JavaRegex;

/// Restrictions as JSON has them: `allow_last` or, in API keys, `allowLast`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct RestrictionsSpec {
    /// Whether they count at all. The plugin has no such switch, so absent means yes here; an API key
    /// has one that is off when absent, which is for its reader to fill in.
    pub enabled: Option<bool>,
    /// Whether what no list names may pass.
    #[serde(alias = "allowLast")]
    pub allow_last: bool,
    /// What may pass when `allow_last` is off; not looked at when it is on.
    pub allowed: Vec<ItemSpec>,
    /// What is refused with 403.
    pub forbidden: Vec<ItemSpec>,
    /// What is hidden with 404.
    #[serde(alias = "notFound")]
    pub not_found: Vec<ItemSpec>,
}

impl Default for RestrictionsSpec {
    fn default() -> Self {
        Self {
            enabled: None,
            allow_last: true,
            allowed: Vec::new(),
            forbidden: Vec::new(),
            not_found: Vec::new(),
        }
    }
}

/// One line of a list.
#[derive(Clone, Debug, Deserialize)]
pub struct ItemSpec {
    /// A method in any case; `*` is every one.
    #[serde(default = "any_method")]
    pub method: String,
    /// A Java expression for the whole path, or for domain and path when it does not start with `/`.
    #[serde(default = "any_path")]
    pub path: String,
    /// The route, service, API or group for which alone this line counts.
    #[serde(default)]
    pub authorized_entity: Option<EntitySpec>,
}

/// What an item is limited to.
#[derive(Clone, Debug, Deserialize)]
pub struct EntitySpec {
    /// `route`, `service`, `route-composition`, `api` or `group`.
    pub kind: String,
    /// Its id.
    pub id: String,
}

fn any_method() -> String {
    "*".into()
}

fn any_path() -> String {
    "/.*".into()
}

/// A request as restrictions see it.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The method as sent.
    pub method: &'a str,
    /// The domain in lower case, without port.
    pub domain: &'a str,
    /// The canonical path.
    pub path: &'a str,
    /// Whether a line for this (kind, id) counts for the caller on this route.
    pub concerns: &'a dyn Fn(&str, &str) -> bool,
}

/// What restrictions say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Pass,
    /// Answer 404: as if there were nothing.
    NotFound,
    /// Answer 403.
    Forbidden,
}

impl Verdict {
    /// Status, message and cause of the refusal; none when the request may pass. The page for
    /// browsers has an empty body.
    #[must_use]
    pub fn refusal(self) -> Option<(u16, &'static str, &'static str)> {
        match self {
            Self::Pass => None,
            Self::NotFound => Some((404, "Not Found", "errors.not.found")),
            Self::Forbidden => Some((403, "Forbidden", "errors.forbidden")),
        }
    }
}

/// Checked restrictions.
#[derive(Debug, Default)]
pub struct Restrictions {
    enabled: bool,
    allow_last: bool,
    allowed: Vec<Item>,
    forbidden: Vec<Item>,
    not_found: Vec<Item>,
}

#[derive(Debug)]
struct Item {
    method: Option<Box<str>>,
    path: JavaRegex,
    with_domain: bool,
    entity: Option<(Box<str>, Box<str>)>,
}

impl Restrictions {
    /// Check patterns.
    ///
    /// # Errors
    /// Field, problem and fix in one line.
    pub fn build(spec: RestrictionsSpec) -> Result<Self, String> {
        Ok(Self {
            enabled: spec.enabled.unwrap_or(true),
            allow_last: spec.allow_last,
            allowed: items("allowed", spec.allowed)?,
            forbidden: items("forbidden", spec.forbidden)?,
            not_found: items("not_found", spec.not_found)?,
        })
    }

    /// Judge a request. With `allow_last` the list `allowed` is not looked at, as in Otoroshi.
    ///
    /// Cost: one linear match per line, in the order not_found, forbidden.
    #[must_use]
    pub fn judge(&self, asked: &Asked<'_>) -> Verdict {
        if !self.enabled || (!self.allow_last && any(&self.allowed, asked)) {
            return Verdict::Pass;
        }
        if any(&self.not_found, asked) {
            return Verdict::NotFound;
        }
        if any(&self.forbidden, asked) {
            return Verdict::Forbidden;
        }
        if self.allow_last {
            Verdict::Pass
        } else {
            Verdict::NotFound
        }
    }
}

fn items(list: &str, specs: Vec<ItemSpec>) -> Result<Vec<Item>, String> {
    specs
        .into_iter()
        .enumerate()
        .map(|(at, spec)| {
            let path = JavaRegex::new(&spec.path).map_err(|error| {
                format!(
                    "{list}[{at}].path: {error}; correct the pattern {:?}",
                    spec.path
                )
            })?;
            Ok(Item {
                method: (spec.method != "*").then(|| spec.method.into()),
                with_domain: !spec.path.starts_with('/'),
                path,
                entity: spec
                    .authorized_entity
                    .map(|entity| (entity.kind.into(), entity.id.into())),
            })
        })
        .collect()
}

fn any(items: &[Item], asked: &Asked<'_>) -> bool {
    items.iter().any(|item| {
        item.method
            .as_ref()
            .is_none_or(|method| method.eq_ignore_ascii_case(asked.method))
            && item
                .entity
                .as_ref()
                .is_none_or(|(kind, id)| (asked.concerns)(kind, id))
            && if item.with_domain {
                let whole = [asked.domain, asked.path].concat();
                item.path.matches(whole.as_bytes())
            } else {
                item.path.matches(asked.path.as_bytes())
            }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(spec: &str, method: &str, path: &str) -> Verdict {
        let spec = serde_json::from_str(spec).expect("a spec");
        let restrictions = Restrictions::build(spec).expect("valid");
        restrictions.judge(&Asked {
            method,
            domain: "api.test",
            path,
            concerns: &|kind, id| kind == "route" && id == "r1",
        })
    }

    const LISTS: &str = r#""allowed":[{"method":"get","path":"/open/.*"}],
        "forbidden":[{"method":"*","path":"/.*/secret"},{"method":"DELETE","path":"/.*"}],
        "not_found":[{"method":"*","path":"/hidden"}]"#;

    #[test]
    fn allow_last_passes_what_no_list_names() {
        let spec = format!("{{{LISTS}}}");
        for (method, path, verdict) in [
            ("GET", "/open/a", Verdict::Pass),
            ("GET", "/other", Verdict::Pass),
            ("DELETE", "/open/a", Verdict::Forbidden),
            ("GET", "/open/secret", Verdict::Forbidden),
            ("GET", "/hidden", Verdict::NotFound),
            ("DELETE", "/hidden", Verdict::NotFound),
            ("GET", "/hidden/more", Verdict::Pass),
        ] {
            assert_eq!(judge(&spec, method, path), verdict, "{method} {path}");
        }
    }

    #[test]
    fn allow_first_hides_what_no_list_names() {
        let spec = format!("{{\"allow_last\":false,{LISTS}}}");
        for (method, path, verdict) in [
            ("GET", "/open/secret", Verdict::Pass),
            ("DELETE", "/open/a", Verdict::Forbidden),
            ("GET", "/hidden", Verdict::NotFound),
            ("GET", "/other", Verdict::NotFound),
        ] {
            assert_eq!(judge(&spec, method, path), verdict, "{method} {path}");
        }
    }

    #[test]
    fn a_key_writes_camel_case_and_a_switch() {
        let on = r#"{"enabled":true,"allowLast":false,"notFound":[]}"#;
        let off = r#"{"enabled":false,"allowLast":false}"#;
        assert_eq!(judge(on, "GET", "/a"), Verdict::NotFound);
        assert_eq!(judge(off, "GET", "/a"), Verdict::Pass);
    }

    #[test]
    fn a_pattern_without_slash_sees_the_domain() {
        let spec = r#"{"forbidden":[{"method":"*","path":"api\\.test/.*"}]}"#;
        assert_eq!(judge(spec, "GET", "/a"), Verdict::Forbidden);
        let spec = r#"{"forbidden":[{"method":"*","path":"other\\.test/.*"}]}"#;
        assert_eq!(judge(spec, "GET", "/a"), Verdict::Pass);
    }

    #[test]
    fn a_line_for_an_entity_counts_for_it_alone() {
        for (id, verdict) in [("r1", Verdict::Forbidden), ("r2", Verdict::Pass)] {
            let spec = format!(
                r#"{{"forbidden":[{{"method":"*","path":"/.*","authorized_entity":{{"kind":"route","id":"{id}"}}}}]}}"#
            );
            assert_eq!(judge(&spec, "GET", "/a"), verdict);
        }
    }

    #[test]
    fn a_bad_pattern_is_named() {
        let spec = r#"{"forbidden":[{"path":"/ok"},{"path":"/(?=a)"}]}"#;
        let spec = serde_json::from_str(spec).expect("a spec");
        let problem = Restrictions::build(spec).expect_err("no look-around");
        assert!(problem.starts_with("forbidden[1].path: "), "{problem}");
    }
}
