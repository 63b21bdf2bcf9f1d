//! The native steps: one file each, and the table that finds them by the name plugins lower to.
//!
//! To add one: a file with its settings (a serde struct with [`StepSettings`]) and its step (a
//! [`NativeStep`]), and a line in [`KINDS`]. The Python plugin that lowers itself to it keeps its
//! hooks as the readable twin, and a property test compares the two.

mod add_missing_headers;
mod allow_methods;
mod allowed_users;
mod apikey_calls;
mod apikey_has;
mod apikey_quotas;
mod basic_auth;
mod basic_auth_caller;
mod block_http;
mod body_bandwidth;
mod body_length;
mod certificate_as_apikey;
mod client_cert_header;
mod client_cert_matching;
mod client_credentials;
mod cookies_in;
mod cookies_out;
mod cors;
mod custom_quotas;
mod custom_response;
mod disable_http10;
mod domain_names;
mod endless;
mod expectation;
mod expected_user;
mod fail2ban;
mod fields;
mod force_https;
mod forwarded;
mod generic_lists;
mod global_throttling;
mod grpc_web;
mod has_client_cert;
mod hmac_caller;
mod hmac_validator;
mod http3_switch;
mod ip_lists;
mod jwe;
mod jwks_endpoint;
mod jwt_signer;
mod jwt_user;
mod jwt_verification;
mod jwt_verification_only;
mod legacy_checks;
mod location;
mod log4shell;
mod long_headers;
mod oidc_headers;
mod otoroshi_challenge;
mod otoroshi_headers;
mod otoroshi_infos;
mod override_host;
mod prepare_for_backend;
mod public_private_paths;
mod query_transformer;
mod rate_limit;
mod rbac;
mod react2shell;
mod redirect;
mod refuse;
mod remove_headers;
mod require_cookies;
mod require_headers;
mod resource_metadata;
mod robots;
mod routing_restrictions;
mod security_headers;
mod security_txt;
mod set_headers;
mod status_in;
mod time_restriction;
mod w3c_tracing;
mod x_forwarded;

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::flow::Flow;
use super::reply::Reply;
use super::step::{Phase, Route};

pub use domain_names::DomainNames;
pub use fields::Field;
pub(super) use legacy_checks::LegacyChecks;
pub(super) use prepare_for_backend::PrepareForBackend;

/// Where a step stands while it runs.
#[derive(Debug)]
pub struct At<'a> {
    /// The exchange; steps edit its messages.
    pub flow: &'a mut Flow,
    /// Its route.
    pub route: &'a Route,
    /// When this is.
    pub phase: Phase,
}

/// What a step decides.
#[derive(Debug)]
pub enum Outcome {
    /// Go on with the next step.
    Continue,
    /// This route does not take the request; another one may. In the match_route phase only.
    Reject,
    /// Answer in the backend's place, or instead of what it answered.
    Answer(Reply),
    /// Answer with a body that is sent so often, piece after piece as the client takes it.
    Repeat(Reply, u64),
    /// Undecided: the plugin's hook in Python runs instead. Only for a step that was lowered with
    /// a twin; without one the exchange is refused, because nobody checked it.
    Python,
}

/// One thing the engine does to an exchange without Python.
pub trait NativeStep: fmt::Debug + Send + Sync {
    /// Do it.
    fn run(&self, at: &mut At<'_>) -> Outcome;

    /// The request headers that say who calls, or prove that the gateway does. A client's own are taken
    /// away from every request of the route, even where `include`, `exclude` or a listener keeps this
    /// step from running: nobody but the gateway says them.
    fn owned_headers(&self) -> Vec<&str> {
        Vec::new()
    }

    /// Ask memory for what [`NativeStep::run`] will need, while the steps before it run. A hint: nothing
    /// may depend on it.
    fn foresee(&self, _flow: &Flow) {}

    /// What it will do, for explanations: never a secret.
    fn explain(&self) -> Value {
        Value::Null
    }
}

/// The settings of a step as a plugin lowers them, flat beside `kind` and `phase`; members that a
/// step does not know are the plugin's own affair.
pub(super) trait StepSettings: DeserializeOwned {
    /// The step they make.
    type Step: NativeStep + 'static;

    /// Check them.
    ///
    /// # Errors
    /// Field, problem and fix in one line.
    fn build(self) -> Result<Self::Step, String>;
}

type Build = fn(Map<String, Value>) -> Result<Box<dyn NativeStep>, String>;

fn build<S: StepSettings>(settings: Map<String, Value>) -> Result<Box<dyn NativeStep>, String> {
    let settings: S =
        serde_json::from_value(Value::Object(settings)).map_err(|error| error.to_string())?;
    Ok(Box::new(settings.build()?))
}

/// Every kind, in alphabetical order.
const KINDS: &[(&str, Build)] = &[
    ("add_cookie", build::<cookies_in::Add>),
    ("add_missing_cookie", build::<cookies_in::AddMissing>),
    (
        "add_missing_headers",
        build::<add_missing_headers::Settings>,
    ),
    ("allow_methods", build::<allow_methods::Settings>),
    ("allowed_users", build::<allowed_users::Settings>),
    ("apikey_calls", build::<apikey_calls::Settings>),
    ("apikey_metadata", build::<apikey_has::MetadataSettings>),
    ("apikey_quotas", build::<apikey_quotas::Settings>),
    ("apikey_tags", build::<apikey_has::TagSettings>),
    ("basic_auth", build::<basic_auth::Settings>),
    ("basic_auth_caller", build::<basic_auth_caller::Settings>),
    ("block_http", build::<block_http::Settings>),
    ("body_bandwidth", build::<body_bandwidth::Settings>),
    ("body_length", build::<body_length::Settings>),
    (
        "certificate_as_apikey",
        build::<certificate_as_apikey::Settings>,
    ),
    ("client_cert_chain", build::<client_cert_header::Settings>),
    (
        "client_cert_matching",
        build::<client_cert_matching::Settings>,
    ),
    (
        "client_cert_of_apikey",
        build::<has_client_cert::ApikeySettings>,
    ),
    ("client_credentials", build::<client_credentials::Settings>),
    ("cors", build::<cors::Settings>),
    ("custom_quotas", build::<custom_quotas::Quotas>),
    ("custom_throttling", build::<custom_quotas::Throttling>),
    ("disable_http10", build::<disable_http10::Settings>),
    ("domain_names", build::<domain_names::Settings>),
    ("endless", build::<endless::Settings>),
    ("expected_consumer", build::<expected_user::Consumer>),
    ("expected_user", build::<expected_user::User>),
    ("fail2ban", build::<fail2ban::Settings>),
    ("fail2ban_count", build::<fail2ban::AtTheEnd>),
    ("force_https", build::<force_https::Settings>),
    ("forwarded", build::<forwarded::Settings>),
    ("generic_allowed_list", build::<generic_lists::Allowed>),
    ("generic_block_list", build::<generic_lists::Blocked>),
    ("grpc_web", build::<grpc_web::Settings>),
    ("has_client_cert", build::<has_client_cert::Settings>),
    ("hmac_caller", build::<hmac_caller::Settings>),
    ("hmac_validator", build::<hmac_validator::Settings>),
    ("http3_switch", build::<http3_switch::Settings>),
    ("ip_allowed_list", build::<ip_lists::Allowed>),
    ("ip_block_list", build::<ip_lists::Blocked>),
    ("jwe_extractor", build::<jwe::ExtractorSettings>),
    ("jwe_signer", build::<jwe::SignerSettings>),
    ("jwks_endpoint", build::<jwks_endpoint::Settings>),
    ("jwt_signer", build::<jwt_signer::Settings>),
    ("jwt_user", build::<jwt_user::Settings>),
    ("jwt_verification", build::<jwt_verification::Settings>),
    (
        "jwt_verification_only",
        build::<jwt_verification_only::Settings>,
    ),
    ("log4shell", build::<log4shell::Settings>),
    ("long_headers", build::<long_headers::Settings>),
    ("oidc_headers", build::<oidc_headers::Settings>),
    ("otoroshi_challenge", build::<otoroshi_challenge::Settings>),
    (
        "otoroshi_headers_back",
        build::<otoroshi_headers::BackSettings>,
    ),
    ("otoroshi_headers_in", build::<otoroshi_headers::InSettings>),
    ("otoroshi_infos", build::<otoroshi_infos::Settings>),
    ("override_host", build::<override_host::Settings>),
    ("override_location", build::<location::Settings>),
    (
        "public_private_paths",
        build::<public_private_paths::Settings>,
    ),
    (
        "query_transformer",
        build::<query_transformer::QueryTransformer>,
    ),
    ("rate_limit", build::<rate_limit::Settings>),
    ("rbac", build::<rbac::Settings>),
    ("react2shell", build::<react2shell::Settings>),
    ("redirect", build::<redirect::Settings>),
    ("refuse", build::<refuse::Settings>),
    ("remove_cookies", build::<cookies_in::Remove>),
    ("remove_headers", build::<remove_headers::Settings>),
    ("remove_set_cookies", build::<cookies_out::Remove>),
    ("require_cookies", build::<require_cookies::Settings>),
    ("require_headers", build::<require_headers::Settings>),
    ("resource_metadata", build::<resource_metadata::Settings>),
    (
        "rfc9440_client_cert",
        build::<client_cert_header::Rfc9440Settings>,
    ),
    ("robots", build::<robots::Settings>),
    ("route_quotas", build::<custom_quotas::Route>),
    (
        "routing_restrictions",
        build::<routing_restrictions::Settings>,
    ),
    ("security_headers", build::<security_headers::Settings>),
    ("security_txt", build::<security_txt::Settings>),
    ("set_cookie", build::<cookies_out::Add>),
    ("set_headers", build::<set_headers::Settings>),
    ("set_missing_cookie", build::<cookies_out::AddMissing>),
    ("status_in", build::<status_in::Settings>),
    ("throttle_address", build::<global_throttling::PerAddress>),
    ("throttle_all", build::<global_throttling::All>),
    ("time_restriction", build::<time_restriction::Settings>),
    ("w3c_tracing", build::<w3c_tracing::Settings>),
    ("x_forwarded", build::<x_forwarded::Settings>),
];

/// Build a step of a kind.
///
/// # Errors
/// There is no such kind, or its settings are wrong.
pub(super) fn build_step(
    kind: &str,
    settings: Map<String, Value>,
) -> Result<(&'static str, Box<dyn NativeStep>), String> {
    let found = KINDS.binary_search_by(|(name, _)| (*name).cmp(kind));
    let Some((name, build)) = found.ok().and_then(|at| KINDS.get(at)) else {
        let known: Vec<_> = KINDS.iter().map(|(name, _)| *name).collect();
        return Err(format!(
            "there is no native step {kind:?}; use one of python, {}",
            known.join(", ")
        ));
    };
    Ok((name, build(settings)?))
}

/// An answer that sends the client elsewhere.
fn redirection(status: u16, to: &[u8]) -> Reply {
    Reply {
        status,
        headers: vec![(b"Location".to_vec(), to.to_vec())],
        body: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(KINDS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
