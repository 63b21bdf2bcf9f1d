//! The route that takes the request: `route.…`, and `service.…` as older configurations say.

use super::parse::{Lookup, index_with_default, with_default};
use super::{Answer, Fault};
use crate::plan::{Flow, RouteFacts};

/// A fact of the route.
#[derive(Debug)]
pub(super) enum RouteFact {
    Id,
    Name,
    /// The same text for every route.
    Fixed(&'static str),
    Group(Option<usize>),
    Domain(Option<usize>),
    Metadata(Box<str>),
    Json {
        pretty: bool,
    },
}

impl RouteFact {
    pub(super) fn parse(text: &str) -> Lookup<Self> {
        let (family, rest) = text.split_once('.')?;
        let is_service = match family {
            "service" => true,
            "route" => false,
            _ => return None,
        };
        let fact = match rest {
            "id" => Self::Id,
            "name" => Self::Name,
            // A route has no domain of the older kind, in three parts.
            "domain" | "subdomain" | "tld" if is_service => Self::Fixed("--"),
            "env" if is_service => Self::Fixed("prod"),
            "json" if !is_service => Self::Json { pretty: false },
            "json.pretty" if !is_service => Self::Json { pretty: true },
            _ => return Self::named(rest, is_service),
        };
        Some((fact, "".into()))
    }

    fn named(rest: &str, is_service: bool) -> Lookup<Self> {
        if let Some(rest) = rest.strip_prefix("metadata.") {
            let (name, missing) = with_default(rest, "no-meta-");
            return Some((Self::Metadata(name.into()), missing));
        }
        if is_service {
            let (at, missing) = index_with_default(rest.strip_prefix("groups")?, "no-group-")?;
            return Some((Self::Group(at), missing));
        }
        let (at, missing) = index_with_default(rest.strip_prefix("domains")?, "no-domain-")?;
        Some((Self::Domain(at), missing))
    }

    pub(super) fn read(&self, flow: &Flow, out: &mut String) -> Result<Answer, Fault> {
        let Some(route) = &flow.route else {
            return Ok(Answer::NotApplicable);
        };
        let none = RouteFacts::default();
        let facts = route.facts.as_deref().unwrap_or(&none);
        let value: Option<&str> = match self {
            Self::Id => Some(&route.id),
            Self::Name => Some(&route.name),
            Self::Fixed(text) => Some(text),
            Self::Group(at) => facts.groups.get(at.ok_or(Fault)?).map(String::as_str),
            Self::Domain(at) => facts.domains.get(at.ok_or(Fault)?).map(String::as_str),
            Self::Metadata(name) => facts.metadata.get(&**name).map(String::as_str),
            Self::Json { pretty: false } => {
                out.push_str(&facts.document.to_string());
                Some("")
            }
            Self::Json { pretty: true } => {
                out.push_str(&serde_json::to_string_pretty(&facts.document).map_err(|_| Fault)?);
                Some("")
            }
        };
        let Some(value) = value else {
            return Ok(Answer::Missing);
        };
        out.push_str(value);
        Ok(Answer::Found)
    }
}
