//! What a route declares in `frontend.domains`: a host, perhaps with stars, and a path of segments.
//!
//! | segment        | matches                                                        |
//! |----------------|----------------------------------------------------------------|
//! | `users`        | itself, in the canonical spelling of requests                  |
//! | `:id`          | any one segment, bound to the name `id`                        |
//! | `$id<[0-9]+>`  | one segment that the expression matches whole, bound to `id`   |
//! | `v*`, `*`      | one segment that the pattern matches whole                     |
//!
//! Empty segments vanish, as they do in requests. A path that ends with `/` matches whole segments
//! only; otherwise its last literal segment also matches the start of a longer one.

use std::borrow::Cow;
use std::sync::Arc;

use smol_str::SmolStr;

use super::java_regex::JavaRegex;
use super::problem::{FrontendError, Problem};
use crate::http1::canonical::{TargetError, canonical_path};

/// One segment of a declared path.
#[derive(Clone, Debug)]
pub(crate) enum Segment {
    /// The segment itself.
    Literal(SmolStr),
    /// Any segment, bound to a name.
    Named(SmolStr),
    /// A segment that an expression matches, bound to a name.
    Regex {
        name: SmolStr,
        regex: Arc<JavaRegex>,
    },
    /// A segment that a pattern with stars matches.
    Glob(SmolStr),
}

/// One item of `frontend.domains`, parsed.
#[derive(Clone, Debug)]
pub(crate) struct DeclaredPath {
    /// As written in the configuration.
    pub(crate) text: Box<str>,
    /// What the text says, where it costs something to read it again.
    place: Option<Box<Place>>,
    /// The path was written with a `/` at its end: no match inside a segment.
    pub(crate) whole_segments: bool,
    /// Some segment binds a name.
    pub(crate) has_params: bool,
}

/// Where in the trees a declaration leads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    /// Lower-case host; a pattern when it has a star.
    pub(crate) host: SmolStr,
    /// The path, `/`-separated, empty ones left out.
    pub(crate) segments: Box<[Segment]>,
}

impl DeclaredPath {
    /// Parse `host[/path]`; `field` names it in errors.
    pub(crate) fn parse(field: &str, text: &str) -> Result<Self, FrontendError> {
        let error = |problem| FrontendError::new(field, text, problem);
        if text.chars().any(char::is_control) {
            return Err(error(Problem::ControlCharacter));
        }
        let text = text.trim();
        let place = Place::parse(text).map_err(error)?;
        let binds =
            |segment: &Segment| matches!(segment, Segment::Named(_) | Segment::Regex { .. });
        let is_literal = |segment: &Segment| matches!(segment, Segment::Literal(_));
        Ok(Self {
            text: text.into(),
            has_params: place.segments.iter().any(binds),
            whole_segments: !place.segments.is_empty() && text.ends_with('/'),
            place: (!place.segments.iter().all(is_literal)).then(|| Box::new(place)),
        })
    }

    /// Where it leads. Of most declarations this is read from the text, which costs about what hashing it
    /// costs: it is asked for only when a route comes or goes.
    pub(crate) fn place(&self) -> Cow<'_, Place> {
        match &self.place {
            Some(place) => Cow::Borrowed(place),
            // It could be read before, so it can be read now.
            None => Cow::Owned(Place::parse(&self.text).unwrap_or_default()),
        }
    }

    /// The names that the path binds, with the place of their segments.
    pub(crate) fn params(&self) -> impl Iterator<Item = (usize, &str)> {
        let segments = self.place.iter().flat_map(|place| &place.segments);
        segments
            .enumerate()
            .filter_map(|(place, segment)| match segment {
                Segment::Named(name) | Segment::Regex { name, .. } => Some((place, name.as_str())),
                _ => None,
            })
    }
}

impl Place {
    fn parse(text: &str) -> Result<Self, Problem> {
        let (host, path) = text.split_once('/').unwrap_or((text, ""));
        let host = parse_host(host)?;
        let mut segments = Vec::new();
        for segment in path.split('/').filter(|segment| !segment.trim().is_empty()) {
            if segments.len() == MAX_SEGMENTS {
                return Err(Problem::TooManySegments);
            }
            segments.push(parse_segment(segment)?);
        }
        Ok(Self {
            host,
            segments: segments.into(),
        })
    }

    /// Whether the host is a pattern.
    pub(crate) fn has_wildcard_host(&self) -> bool {
        self.host.contains('*')
    }

    /// Host and path with the names left out: two declarations of one shape match the same requests.
    pub(crate) fn shape(&self) -> String {
        let mut shape = self.host.to_string();
        for segment in &self.segments {
            shape.push('/');
            match segment {
                Segment::Literal(text) | Segment::Glob(text) => shape.push_str(text),
                Segment::Named(_) => shape.push(':'),
                Segment::Regex { regex, .. } => {
                    shape.push_str("$<");
                    shape.push_str(regex.source());
                }
            }
        }
        shape
    }
}

fn parse_host(host: &str) -> Result<SmolStr, Problem> {
    let is_address = host.starts_with('[') && host.ends_with(']');
    if host.is_empty() {
        return Err(Problem::EmptyDomain);
    }
    if host.len() > MAX_HOST_BYTES {
        return Err(Problem::DomainTooLong);
    }
    if host.contains(':') && !is_address {
        return Err(Problem::PortInDomain);
    }
    if !host.is_ascii() {
        return Err(Problem::NonAsciiDomain);
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._*~%:[]".contains(&byte);
    if !host.bytes().all(allowed) {
        return Err(Problem::BadDomain);
    }
    Ok(host.to_ascii_lowercase().into())
}

fn parse_segment(text: &str) -> Result<Segment, Problem> {
    if let Some(name) = text.strip_prefix(':') {
        return parse_name(name).map(Segment::Named);
    }
    if let Some((name, regex)) = text.strip_prefix('$').and_then(|text| text.split_once('<')) {
        let regex = regex.strip_suffix('>').ok_or(Problem::OpenSegmentRegex)?;
        if regex.len() > MAX_PATTERN_BYTES {
            return Err(Problem::PatternTooLong);
        }
        let regex = Arc::new(JavaRegex::new(regex).map_err(Problem::BadRegex)?);
        let name = parse_name(name)?;
        return Ok(Segment::Regex { name, regex });
    }
    if text.contains(['?', '#']) {
        return Err(Problem::QueryInPath);
    }
    let literal = canonical_segment(text)?;
    if literal.len() > MAX_SEGMENT_BYTES {
        return Err(Problem::SegmentTooLong);
    }
    Ok(match literal.contains('*') {
        true => Segment::Glob(literal),
        false => Segment::Literal(literal),
    })
}

fn parse_name(name: &str) -> Result<SmolStr, Problem> {
    match name {
        "" => Err(Problem::UnnamedParam),
        _ if name.len() > MAX_SEGMENT_BYTES => Err(Problem::SegmentTooLong),
        _ => Ok(name.into()),
    }
}

/// The spelling that this segment has in a canonical request path.
fn canonical_segment(text: &str) -> Result<SmolStr, Problem> {
    // A space is what people paste into a console; requests carry it escaped.
    let spelled = format!("/{}", text.replace(' ', "%20"));
    let mut path = Vec::new();
    canonical_path(spelled.as_bytes(), &mut path).map_err(|why| match why {
        TargetError::AboveRoot => Problem::DotSegment,
        why => Problem::BadPath(why),
    })?;
    match String::from_utf8(path) {
        // A dot segment resolves to nothing and cannot occur in a request.
        Ok(path) if path.len() > 1 && !path.ends_with('/') => Ok(path[1..].into()),
        _ => Err(Problem::DotSegment),
    }
}

/// Segments of one declared path.
pub(crate) const MAX_SEGMENTS: usize = 256;
/// Bytes of one declared segment, and of any prefix that a lookup tries.
pub(crate) const MAX_SEGMENT_BYTES: usize = 255;
/// Bytes of one regular expression or matcher value.
pub(crate) const MAX_PATTERN_BYTES: usize = 4096;
/// Bytes of a host name (RFC 1035 §2.3.4).
const MAX_HOST_BYTES: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> Result<String, Problem> {
        DeclaredPath::parse("f", text)
            .map(|declared| declared.place().shape())
            .map_err(|error| error.problem)
    }

    #[test]
    fn declarations_have_one_shape() {
        for (text, expected) in [
            ("Api.Foo.BAR", "api.foo.bar"),
            ("a.b/", "a.b"),
            ("a.b//x//y/", "a.b/x/y"),
            ("a.b/:id/$n<[0-9]+>/v*/$x", "a.b/:/$<[0-9]+/v*/$x"),
            ("a.b/caf\u{e9} 1/%7e", "a.b/caf%C3%A9%201/~"),
            ("*/x", "*/x"),
            ("[::1]/x", "[::1]/x"),
        ] {
            assert_eq!(shape(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (text, problem) in [
            ("", Problem::EmptyDomain),
            ("/x", Problem::EmptyDomain),
            ("a.b:80/x", Problem::PortInDomain),
            ("caf\u{e9}.fr", Problem::NonAsciiDomain),
            ("a b", Problem::BadDomain),
            ("a\u{0}b", Problem::ControlCharacter),
            ("a.b/x\n", Problem::ControlCharacter),
            ("a.b/x?y=1", Problem::QueryInPath),
            ("a.b/../x", Problem::DotSegment),
            ("a.b/./x", Problem::DotSegment),
            ("a.b/:", Problem::UnnamedParam),
            ("a.b/$<a>", Problem::UnnamedParam),
            ("a.b/$id<a", Problem::OpenSegmentRegex),
        ] {
            assert_eq!(shape(text), Err(problem), "{text}");
        }
        assert!(matches!(shape("a.b/%zz"), Err(Problem::BadPath(_))));
        assert!(matches!(shape("a.b/$x<(>"), Err(Problem::BadRegex(_))));
        let deep = format!("a{}", "/x".repeat(257));
        assert_eq!(shape(&deep), Err(Problem::TooManySegments));
        assert!(shape(&deep[..513]).is_ok());
        let long = format!("a/{}", "x".repeat(256));
        assert_eq!(shape(&long), Err(Problem::SegmentTooLong));
        let host = "x".repeat(254);
        assert_eq!(shape(&host), Err(Problem::DomainTooLong));
    }

    #[test]
    fn a_text_says_the_same_again() {
        for text in [
            "A.b",
            "a.b/x/y%7e/",
            "a.b/caf\u{e9} 1",
            "*.b/x",
            "a.b/x/:id",
            "a.b/$n<[0-9]+>/v*",
        ] {
            let declared = DeclaredPath::parse("f", text).expect("valid");
            let first = Place::parse(text).expect("valid");
            assert_eq!(declared.place().shape(), first.shape(), "{text}");
            assert_eq!(
                declared.place().segments.len(),
                first.segments.len(),
                "{text}"
            );
        }
    }

    #[test]
    fn a_slash_at_the_end_asks_for_whole_segments() {
        let whole = |text| DeclaredPath::parse("f", text).map(|declared| declared.whole_segments);
        assert_eq!(whole("a.b/x/"), Ok(true));
        assert_eq!(whole("a.b/x"), Ok(false));
        assert_eq!(whole("a.b/"), Ok(false));
    }
}
