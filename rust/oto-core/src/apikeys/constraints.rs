//! Which keys a route takes, by their tags and metadata (`routing` of the API key plugins).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::entity::ApiKey;

/// Constraints as JSON has them: the keys of the plugin's config.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names are Otoroshi's and say it")]
pub struct ConstraintsSpec {
    pub enabled: bool,
    pub none_tag_in: Vec<String>,
    pub one_tag_in: Vec<String>,
    pub all_tags_in: Vec<String>,
    pub none_meta_in: BTreeMap<String, String>,
    pub one_meta_in: BTreeMap<String, String>,
    pub all_meta_in: BTreeMap<String, String>,
    pub none_meta_keys_in: Vec<String>,
    pub one_meta_key_in: Vec<String>,
    pub all_meta_keys_in: Vec<String>,
}

/// Constraints on keys; every one that is not empty must hold.
#[derive(Debug, Default)]
pub struct Constraints(ConstraintsSpec);

impl Constraints {
    /// From what the plugin's config says.
    #[must_use]
    pub fn new(spec: ConstraintsSpec) -> Self {
        Self(spec)
    }

    /// Whether they count at all.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.0.enabled
    }

    /// Whether there is no constraint.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let spec = &self.0;
        [&spec.none_tag_in, &spec.one_tag_in, &spec.all_tags_in]
            .iter()
            .all(|list| list.is_empty())
            && [&spec.none_meta_in, &spec.one_meta_in, &spec.all_meta_in]
                .iter()
                .all(|map| map.is_empty())
            && [
                &spec.none_meta_keys_in,
                &spec.one_meta_key_in,
                &spec.all_meta_keys_in,
            ]
            .iter()
            .all(|list| list.is_empty())
    }

    /// Whether a key fulfils them. Without any, only a key that wants a constrained route does not.
    #[must_use]
    pub fn admit(&self, key: &ApiKey) -> bool {
        if self.is_empty() {
            return !key.is_constrained();
        }
        let spec = &self.0;
        let tag = |tag: &String| key.tags().any(|held| *held == **tag);
        let pair = |(name, value): (&String, &String)| key.metadata(name) == Some(value);
        let name = |name: &String| key.metadata(name).is_some();
        !spec.none_tag_in.iter().any(tag)
            && (spec.one_tag_in.is_empty() || spec.one_tag_in.iter().any(tag))
            && spec.all_tags_in.iter().all(tag)
            && !spec.none_meta_in.iter().any(pair)
            && (spec.one_meta_in.is_empty() || spec.one_meta_in.iter().any(pair))
            && spec.all_meta_in.iter().all(pair)
            && !spec.none_meta_keys_in.iter().any(name)
            && (spec.one_meta_key_in.is_empty() || spec.one_meta_key_in.iter().any(name))
            && spec.all_meta_keys_in.iter().all(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(more: &str) -> ApiKey {
        let json = format!(
            r#"{{"clientId":"c","clientSecret":"s","clientName":"n","tags":["a","b"],
                "metadata":{{"k":"v","l":"w"}}{more}}}"#
        );
        ApiKey::read(json.as_bytes()).expect("a key")
    }

    #[test]
    fn each_constraint_says_what_it_says() {
        for (spec, admitted) in [
            (r#"{"one_tag_in":["a","z"]}"#, true),
            (r#"{"one_tag_in":["y","z"]}"#, false),
            (r#"{"all_tags_in":["a","b"]}"#, true),
            (r#"{"all_tags_in":["a","z"]}"#, false),
            (r#"{"none_tag_in":["z"]}"#, true),
            (r#"{"none_tag_in":["z","a"]}"#, false),
            (r#"{"one_meta_in":{"k":"v","x":"y"}}"#, true),
            (r#"{"one_meta_in":{"k":"w"}}"#, false),
            (r#"{"all_meta_in":{"k":"v","l":"w"}}"#, true),
            (r#"{"all_meta_in":{"k":"v","l":"x"}}"#, false),
            (r#"{"none_meta_in":{"k":"w"}}"#, true),
            (r#"{"none_meta_in":{"k":"v"}}"#, false),
            (r#"{"one_meta_key_in":["k","z"]}"#, true),
            (r#"{"one_meta_key_in":["z"]}"#, false),
            (r#"{"all_meta_keys_in":["k","l"]}"#, true),
            (r#"{"all_meta_keys_in":["k","z"]}"#, false),
            (r#"{"none_meta_keys_in":["z"]}"#, true),
            (r#"{"none_meta_keys_in":["k"]}"#, false),
            (r#"{"one_tag_in":["a"],"none_meta_in":{"k":"v"}}"#, false),
        ] {
            let constraints = Constraints::new(serde_json::from_str(spec).expect("a spec"));
            assert!(!constraints.is_empty());
            assert_eq!(constraints.admit(&key("")), admitted, "{spec}");
        }
    }

    #[test]
    fn without_constraints_only_a_constrained_key_is_refused() {
        let none = Constraints::default();
        assert!(none.is_empty());
        assert!(none.admit(&key("")));
        assert!(!none.admit(&key(r#","constrainedServicesOnly":true"#)));
        let one =
            Constraints::new(serde_json::from_str(r#"{"one_tag_in":["a"]}"#).expect("a spec"));
        assert!(one.admit(&key(r#","constrainedServicesOnly":true"#)));
    }
}
