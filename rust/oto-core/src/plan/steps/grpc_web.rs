//! Make a call of gRPC-Web one of gRPC, and its answer one of gRPC-Web; the request or the response, as the phase
//! has it. The engine translates the bodies while they pass.
//!
//! Source: Otoroshi, plugins.md (GrpcWebProxyPlugin); the gRPC project, "gRPC Web".

use serde::Deserialize;
use serde_json::{Value, json};

use super::{At, NativeStep, Outcome, StepSettings};
use crate::grpc_web::{self, Bridged, Form};
use crate::plan::reply::Reply;
use crate::plan::{Flow, Phase, PlanStep, Step};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Settings {
    allowed_services: Vec<String>,
    allow_services: Vec<String>,
    allow_methods: Vec<String>,
    blocked_methods: Vec<String>,
}

/// The step.
#[derive(Debug)]
pub(super) struct GrpcWeb {
    settings: Settings,
}

impl StepSettings for Settings {
    type Step = GrpcWeb;

    fn build(mut self) -> Result<GrpcWeb, String> {
        // Otoroshi writes one name and reads the other.
        self.allowed_services.append(&mut self.allow_services);
        Ok(GrpcWeb { settings: self })
    }
}

impl NativeStep for GrpcWeb {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        if at.phase >= Phase::TransformResponse {
            bring_back(at.flow);
            return Outcome::Continue;
        }
        let content_type = at.flow.request.headers.find(b"content-type");
        let Some((form, format)) = content_type.and_then(grpc_web::asked) else {
            return Outcome::Continue;
        };
        let content_type = grpc_web::content_type_in(form, format);
        if !self.allows(at.flow.request.path()) {
            return Outcome::Answer(refused());
        }
        at.flow.request.headers.set(b"content-type", &content_type);
        at.flow.attrs.bridged = Some(Bridged {
            form,
            answers: false,
        });
        Outcome::Continue
    }

    fn explain(&self) -> Value {
        json!({
            "allowed_services": self.settings.allowed_services,
            "allow_methods": self.settings.allow_methods,
            "blocked_methods": self.settings.blocked_methods,
        })
    }
}

impl GrpcWeb {
    /// Whether the service and the method that a path names may be called.
    fn allows(&self, path: &str) -> bool {
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        let (Some(service), Some(method)) = (parts.next(), parts.next()) else {
            return false;
        };
        let bare = service.rsplit('.').next().unwrap_or(service);
        let Settings {
            allowed_services,
            allow_methods,
            blocked_methods,
            ..
        } = &self.settings;
        let is_named = |allowed: &String| {
            let below = service.strip_prefix(allowed.as_str());
            bare == allowed || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        !blocked_methods.iter().any(|name| name == method)
            && (allowed_services.is_empty() || allowed_services.iter().any(is_named))
            && (allow_methods.is_empty() || allow_methods.iter().any(|name| name == method))
    }
}

impl Flow {
    /// How the caller of gRPC-Web writes, where the route bridges such calls; none for other requests.
    #[must_use]
    pub fn web_form(&self) -> Option<Form> {
        if let Some(bridged) = self.attrs.bridged {
            return Some(bridged.form);
        }
        let form = grpc_web::form(&self.request)?;
        let mut steps = self.route.as_ref()?.plan.steps.iter();
        let bridges = |step: &PlanStep| matches!(step.step, Step::Native { kind, .. } if kind == grpc_web::STEP);
        steps.any(bridges).then_some(form)
    }
}

/// What Otoroshi answers, status included: none of gRPC's codes.
fn refused() -> Reply {
    let fields: [(&[u8], &[u8]); 3] = [
        (b"grpc-status", b"403"),
        (b"grpc-message", b"You're not authorized here!"),
        (b"content-type", b"application/grpc-web+proto"),
    ];
    Reply {
        status: 200,
        headers: fields
            .map(|(name, value)| (name.to_vec(), value.to_vec()))
            .to_vec(),
        body: Vec::new(),
    }
}

/// Say that the answer of a backend is one of gRPC-Web, if it is one of gRPC.
fn bring_back(flow: &mut Flow) {
    // What a plugin answers in the backend's place is for the caller as it is.
    let is_made_here = flow.has_body();
    let Some(bridged) = flow.attrs.bridged.as_mut() else {
        return;
    };
    let content_type = flow.response.headers.find(b"content-type");
    let written = content_type
        .filter(|_| !is_made_here)
        .and_then(|content_type| grpc_web::content_type_out(bridged.form, content_type));
    bridged.answers = written.is_some();
    if let Some(content_type) = written {
        flow.response.headers.set(b"content-type", &content_type);
    }
}
