//! Some paths are open to all, the others to callers with an API key or a login.

use serde::Deserialize;

use super::fields::patterns;
use super::{At, NativeStep, Outcome, StepSettings};
use crate::router::JavaRegex;

#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    strict: bool,
    private_patterns: Vec<String>,
    public_patterns: Vec<String>,
}

/// The step.
#[derive(Debug)]
pub(super) struct PublicPrivatePaths {
    strict: bool,
    private: Vec<JavaRegex>,
    public: Vec<JavaRegex>,
}

impl StepSettings for Settings {
    type Step = PublicPrivatePaths;

    fn build(self) -> Result<PublicPrivatePaths, String> {
        Ok(PublicPrivatePaths {
            strict: self.strict,
            private: patterns("private_patterns", &self.private_patterns)?,
            public: patterns("public_patterns", &self.public_patterns)?,
        })
    }
}

impl NativeStep for PublicPrivatePaths {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let path = at.flow.request.path().as_bytes();
        let is_in = |list: &[JavaRegex]| list.iter().any(|pattern| pattern.matches(path));
        let is_public = !is_in(&self.private) && is_in(&self.public);
        let attrs = &at.flow.attrs;
        if is_public || attrs.apikey.is_some() || (!self.strict && attrs.user.is_some()) {
            return Outcome::Continue;
        }
        let refusal = at
            .flow
            .refusal(401, "Not authorized", "errors.unauthorized");
        Outcome::Answer(refusal)
    }
}
