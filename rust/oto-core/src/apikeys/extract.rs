//! What a request shows of its client: five kinds of credentials, each looked for in its places.
//!
//! Where Otoroshi forgets or misnames the place of a credential (a token in a header is noted as
//! `Authorization`, one in a query as a header, a cookie goes by the path's name), this module does
//! what was meant: the place is the one it was found in, so that exactly that is taken away.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use serde_json::Value;

use super::places::{cookie, query_value, without_cookie, without_param, written_values};
use super::validate::JwtRules;
use crate::http1::{Known, Request};

/// How tokens of a client's own begin.
pub(super) const BEARER_START: &str = "otoapk_";

/// Base64 with or without padding; `-` and `_` are turned into `+` and `/` before.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Longest credential that is looked at, in bytes.
const LONGEST: usize = 16 * 1024;

/// Names and switches of an extractor as JSON has them.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names are Otoroshi's and say it")]
pub struct PlacesSpec {
    pub enabled: bool,
    pub header_name: Option<String>,
    pub query_name: Option<String>,
    pub cookie_name: Option<String>,
    pub path_name: Option<String>,
}

impl Default for PlacesSpec {
    fn default() -> Self {
        Self {
            enabled: true,
            header_name: None,
            query_name: None,
            cookie_name: None,
            path_name: None,
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names are Otoroshi's and say it")]
pub struct CustomHeadersSpec {
    pub enabled: bool,
    pub client_id_header_name: Option<String>,
    pub client_secret_header_name: Option<String>,
}

impl Default for CustomHeadersSpec {
    fn default() -> Self {
        Self {
            enabled: true,
            client_id_header_name: None,
            client_secret_header_name: None,
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names are Otoroshi's and say it")]
pub struct JwtSpec {
    #[serde(flatten)]
    pub places: PlacesSpec,
    pub secret_signed: bool,
    pub keypair_signed: bool,
    pub include_request_attrs: bool,
    pub max_jwt_lifespan_sec: Option<f64>,
}

impl Default for JwtSpec {
    fn default() -> Self {
        Self {
            places: PlacesSpec::default(),
            secret_signed: true,
            keypair_signed: true,
            include_request_attrs: false,
            max_jwt_lifespan_sec: None,
        }
    }
}

/// `extractors` of the API key plugins.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names are Otoroshi's and say it")]
pub struct ExtractSpec {
    pub basic: PlacesSpec,
    pub custom_headers: CustomHeadersSpec,
    pub client_id: PlacesSpec,
    pub jwt: JwtSpec,
    pub oto_bearer: PlacesSpec,
}

/// What a client shows to prove who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof<'a> {
    /// Nothing but its id.
    Nothing,
    /// Its secret.
    Secret(Cow<'a, str>),
    /// A token that it signed.
    Jwt(Cow<'a, str>),
    /// The token that stands for its id and secret.
    Bearer(Cow<'a, str>),
}

/// A client's id, and what it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential<'a> {
    /// The id.
    pub client_id: Cow<'a, str>,
    /// The proof.
    pub proof: Proof<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    ClientId,
    CustomHeaders,
    Jwt,
    Basic,
    Bearer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The header of the extractor's own name.
    Header,
    Authorization,
    Query,
    /// `x-api-key`, where a token of the client's own may stand too.
    OtherHeader,
    OtherQuery,
    Cookie,
    Path,
}

/// Where a credential was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    kind: Kind,
    place: Place,
}

impl Found {
    /// Whether it is a part of the path, which the access log tells.
    #[must_use]
    pub fn is_in_path(self) -> bool {
        self.place == Place::Path
    }
}

/// The names under which one kind of credential is looked for.
#[derive(Debug)]
struct Names {
    enabled: bool,
    header: Box<str>,
    query: Box<str>,
    cookie: Box<str>,
    path: Box<str>,
}

impl Names {
    fn new(spec: PlacesSpec, [header, query, cookie, path]: [&str; 4]) -> Self {
        Self {
            enabled: spec.enabled,
            header: named(spec.header_name, header),
            query: named(spec.query_name, query),
            cookie: named(spec.cookie_name, cookie),
            path: named(spec.path_name, path),
        }
    }
}

fn named(name: Option<String>, default: &str) -> Box<str> {
    name.filter(|name| !name.trim().is_empty())
        .map_or_else(|| default.into(), Into::into)
}

const API_KEY: &str = "x-api-key";

/// The extractors of one plugin.
#[derive(Debug)]
pub struct Extractors {
    client_id: Names,
    custom_enabled: bool,
    id_header: Box<str>,
    secret_header: Box<str>,
    /// Whether the id's and the secret's header have the names that the gateway removes by itself.
    custom_names: (bool, bool),
    jwt: Names,
    jwt_rules: JwtRules,
    basic: Names,
    bearer: Names,
}

/// What of a request may hold a credential.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// The request.
    pub request: &'a Request,
    /// Path parameters as (name, value).
    pub params: &'a [(Box<str>, Box<str>)],
}

impl<'a> Shown<'a> {
    fn header(&self, name: &str) -> Option<&'a str> {
        text(self.request.headers.find(name.as_bytes())?)
    }

    /// All fields of a name.
    fn headers<'b>(&self, name: &'b str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'b> {
        self.request
            .headers
            .iter()
            .filter(move |(field, _, _)| field.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value, _)| value)
    }

    /// What follows `scheme` and a space in `Authorization`.
    fn authorization(&self, scheme: &str) -> Option<&'a str> {
        let value = text(self.request.headers.find(b"authorization")?)?;
        let (start, rest) = value.split_once(' ')?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    }

    fn query(&self, name: &str, last: bool) -> Option<Cow<'a, str>> {
        let value = query_value(self.request.query()?, name, last)?;
        (value.len() <= LONGEST).then_some(value)
    }

    fn cookie(&self, name: &str) -> Option<&'a str> {
        self.request
            .headers
            .iter()
            .filter(|(_, _, known)| *known == Known::Cookie)
            .find_map(|(_, value, _)| cookie(value, name))
            .and_then(text)
    }

    fn path(&self, name: &str) -> Option<Cow<'a, str>> {
        let (_, value) = self.params.iter().find(|(held, _)| **held == *name)?;
        super::places::percent_decoded_path(value).filter(|value| !value.is_empty())
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes)
        .ok()
        .filter(|text| !text.is_empty() && text.len() <= LONGEST)
}

impl Extractors {
    /// From what the plugin's config says.
    #[must_use]
    pub fn new(spec: ExtractSpec) -> Self {
        let custom = spec.custom_headers;
        let id_header = named(custom.client_id_header_name, "Otoroshi-Client-Id");
        let secret_header = named(custom.client_secret_header_name, "Otoroshi-Client-Secret");
        Self {
            client_id: Names::new(
                spec.client_id,
                [API_KEY, API_KEY, API_KEY, "apikey_simple_id"],
            ),
            custom_enabled: custom.enabled,
            custom_names: (
                id_header.eq_ignore_ascii_case("Otoroshi-Client-Id"),
                secret_header.eq_ignore_ascii_case("Otoroshi-Client-Secret"),
            ),
            id_header,
            secret_header,
            jwt_rules: JwtRules {
                secret_signed: spec.jwt.secret_signed,
                keypair_signed: spec.jwt.keypair_signed,
                include_request_attrs: spec.jwt.include_request_attrs,
                max_lifespan_s: spec.jwt.max_jwt_lifespan_sec.filter(|limit| *limit >= 0.0),
            },
            jwt: Names::new(
                spec.jwt.places,
                [
                    "Otoroshi-Token",
                    "bearer_auth",
                    "access_token",
                    "apikey_jwt",
                ],
            ),
            basic: Names::new(
                spec.basic,
                [
                    "Otoroshi-Authorization",
                    "basic_auth",
                    "basic_auth",
                    "apikey_basic",
                ],
            ),
            bearer: Names::new(
                spec.oto_bearer,
                ["Otoroshi-Token", "bearer_auth", "bearer", "apikey_bearer"],
            ),
        }
    }

    /// What tokens that clients sign must be.
    #[must_use]
    pub fn jwt_rules(&self) -> &JwtRules {
        &self.jwt_rules
    }

    /// Whether id and secret headers have their usual names.
    #[must_use]
    pub fn usual_headers(&self) -> (bool, bool) {
        self.custom_names
    }

    /// The first credential of a request, in Otoroshi's order of precedence, and where it stands.
    ///
    /// A token `otoapk_…` under `x-api-key` is a token, though Otoroshi takes it for a client id,
    /// which no client can want: it never finds a key then.
    #[must_use]
    pub fn find<'a>(&self, shown: &Shown<'a>) -> Option<(Credential<'a>, Found)> {
        self.find_client_id(shown)
            .or_else(|| self.find_custom_headers(shown))
            .or_else(|| self.find_jwt(shown))
            .or_else(|| self.find_basic(shown))
            .or_else(|| self.find_bearer(shown))
    }

    fn find_client_id<'a>(&self, shown: &Shown<'a>) -> Option<(Credential<'a>, Found)> {
        let names = self.client_id.enabled.then_some(&self.client_id)?;
        let make = |client_id: Cow<'a, str>, place| {
            let is_token = self.bearer.enabled && client_id.starts_with(BEARER_START);
            (!is_token).then_some((
                Credential {
                    client_id,
                    proof: Proof::Nothing,
                },
                Found {
                    kind: Kind::ClientId,
                    place,
                },
            ))
        };
        shown
            .header(&names.header)
            .and_then(|id| make(id.into(), Place::Header))
            .or_else(|| make(shown.query(&names.query, true)?, Place::Query))
            .or_else(|| make(shown.cookie(&names.cookie)?.into(), Place::Cookie))
            .or_else(|| make(shown.path(&names.path)?, Place::Path))
    }

    fn find_custom_headers<'a>(&self, shown: &Shown<'a>) -> Option<(Credential<'a>, Found)> {
        if !self.custom_enabled {
            return None;
        }
        let client_id = shown.header(&self.id_header)?.into();
        let secret = shown.header(&self.secret_header)?.into();
        Some((
            Credential {
                client_id,
                proof: Proof::Secret(secret),
            },
            Found {
                kind: Kind::CustomHeaders,
                place: Place::Header,
            },
        ))
    }

    fn find_jwt<'a>(&self, shown: &Shown<'a>) -> Option<(Credential<'a>, Found)> {
        let names = self.jwt.enabled.then_some(&self.jwt)?;
        let make = |token: Cow<'a, str>, place| {
            let client_id = client_of_jwt(&token)?.into();
            Some((
                Credential {
                    client_id,
                    proof: Proof::Jwt(token),
                },
                Found {
                    kind: Kind::Jwt,
                    place,
                },
            ))
        };
        shown
            .header(&names.header)
            .and_then(|token| make(token.into(), Place::Header))
            .or_else(|| make(shown.authorization("Bearer")?.into(), Place::Authorization))
            .or_else(|| make(shown.query(&names.query, false)?, Place::Query))
            .or_else(|| make(shown.cookie(&names.cookie)?.into(), Place::Cookie))
            .or_else(|| make(shown.path(&names.path)?, Place::Path))
    }

    fn find_basic<'a>(&self, shown: &Shown<'a>) -> Option<(Credential<'a>, Found)> {
        let names = self.basic.enabled.then_some(&self.basic)?;
        let make = |encoded: &str, place| {
            let (client_id, secret) = basic(encoded)?;
            Some((
                Credential {
                    client_id: client_id.into(),
                    proof: Proof::Secret(secret.into()),
                },
                Found {
                    kind: Kind::Basic,
                    place,
                },
            ))
        };
        shown
            .header(&names.header)
            .map(|value| without_scheme(value, "Basic"))
            .and_then(|value| make(value, Place::Header))
            .or_else(|| make(shown.authorization("Basic")?, Place::Authorization))
            .or_else(|| make(&shown.query(&names.query, false)?, Place::Query))
            .or_else(|| make(shown.cookie(&names.cookie)?, Place::Cookie))
            .or_else(|| make(&shown.path(&names.path)?, Place::Path))
    }

    fn find_bearer<'a>(&self, shown: &Shown<'a>) -> Option<(Credential<'a>, Found)> {
        let names = self.bearer.enabled.then_some(&self.bearer)?;
        let make = |token: Cow<'a, str>, place| {
            let client_id = client_of_bearer(&token)?.to_owned().into();
            Some((
                Credential {
                    client_id,
                    proof: Proof::Bearer(token),
                },
                Found {
                    kind: Kind::Bearer,
                    place,
                },
            ))
        };
        shown
            .header(&names.header)
            .and_then(|token| make(token.into(), Place::Header))
            .or_else(|| make(shown.authorization("Bearer")?.into(), Place::Authorization))
            .or_else(|| make(shown.query(&names.query, false)?, Place::Query))
            .or_else(|| make(shown.query(API_KEY, false)?, Place::OtherQuery))
            .or_else(|| make(shown.header(API_KEY)?.into(), Place::OtherHeader))
            .or_else(|| make(shown.cookie(&names.cookie)?.into(), Place::Cookie))
            .or_else(|| make(shown.path(&names.path)?, Place::Path))
    }

    /// The texts of a request that hold a credential, as they stand there, in places whose names
    /// an operator may have chosen: those that are always hidden are left out.
    #[must_use]
    pub fn texts<'a>(&self, found: Found, shown: &Shown<'a>) -> Vec<&'a [u8]> {
        let names = match found.kind {
            Kind::ClientId => return Vec::new(),
            Kind::CustomHeaders => {
                return shown.headers(&self.secret_header).collect();
            }
            Kind::Jwt => &self.jwt,
            Kind::Basic => &self.basic,
            Kind::Bearer => &self.bearer,
        };
        match found.place {
            Place::Header => shown.headers(&names.header).collect(),
            Place::Query => shown
                .request
                .query()
                .map(|query| {
                    written_values(query, &names.query)
                        .map(str::as_bytes)
                        .collect()
                })
                .unwrap_or_default(),
            Place::Path => shown
                .params
                .iter()
                .filter(|(name, _)| **name == *names.path)
                .map(|(_, value)| value.as_bytes())
                .collect(),
            Place::Authorization | Place::OtherHeader | Place::OtherQuery | Place::Cookie => {
                Vec::new()
            }
        }
    }

    /// Take a credential away from the request: every field, parameter or cookie of the name it
    /// stood under. A path stays as it is.
    ///
    /// `edited` is the query that the backend gets in place of the request's, if a step made one.
    pub fn wipe(&self, found: Found, request: &mut Request, edited: &mut Option<Box<str>>) {
        let names = match found.kind {
            Kind::ClientId => &self.client_id,
            Kind::Jwt => &self.jwt,
            Kind::Basic => &self.basic,
            Kind::Bearer => &self.bearer,
            Kind::CustomHeaders => {
                request.headers.remove(self.id_header.as_bytes());
                request.headers.remove(self.secret_header.as_bytes());
                return;
            }
        };
        match found.place {
            Place::Header => {
                request.headers.remove(names.header.as_bytes());
            }
            Place::Authorization => {
                request.headers.remove(b"authorization");
            }
            Place::OtherHeader => {
                request.headers.remove(API_KEY.as_bytes());
            }
            Place::Query => remove_param(request, edited, &names.query),
            Place::OtherQuery => remove_param(request, edited, API_KEY),
            Place::Cookie => remove_cookie(request, &names.cookie),
            Place::Path => {}
        }
    }
}

fn remove_param(request: &mut Request, edited: &mut Option<Box<str>>, name: &str) {
    if let Some(query) = edited {
        *query = without_param(query, name).unwrap_or_default().into();
    }
    let query = request.query().and_then(|query| without_param(query, name));
    request.set_query(query.as_deref());
}

fn remove_cookie(request: &mut Request, name: &str) {
    let kept: Vec<_> = request
        .headers
        .find_all(b"cookie")
        .filter_map(|field| without_cookie(field, name))
        .collect();
    request.headers.remove(b"cookie");
    for field in kept {
        request.headers.add(b"Cookie", &field);
    }
}

fn without_scheme<'a>(value: &'a str, scheme: &str) -> &'a str {
    match value.split_once(' ') {
        Some((start, rest)) if start.eq_ignore_ascii_case(scheme) => rest,
        _ => value,
    }
}

/// Read `base64(id:secret)`: standard or URL-safe alphabet, padded or not.
fn basic(encoded: &str) -> Option<(String, String)> {
    let standard: Vec<u8> = encoded
        .trim()
        .bytes()
        .map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            byte => byte,
        })
        .collect();
    let text = String::from_utf8(LENIENT.decode(standard).ok()?).ok()?;
    let (client_id, secret) = text.split_once(':')?;
    (!client_id.is_empty()).then(|| (client_id.to_owned(), secret.to_owned()))
}

/// The client that a token is for, by its claims; not trusted before the token is verified.
fn client_of_jwt(token: &str) -> Option<String> {
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(payload.trim_end_matches('='))
        .ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    ["clientId", "client_id", "cid", "iss"]
        .into_iter()
        .find_map(|name| claims.get(name).and_then(Value::as_str))
        .map(str::to_owned)
}

fn client_of_bearer(token: &str) -> Option<&str> {
    let (client_id, _) = token.strip_prefix(BEARER_START)?.rsplit_once('_')?;
    (!client_id.is_empty()).then_some(client_id)
}
