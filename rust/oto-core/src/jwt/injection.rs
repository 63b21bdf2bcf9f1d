//! What becomes of the token on its way to the backend.

use super::source::{cookies, is_named};
use crate::http1::Known;
use crate::http1::headers::is_value;
use crate::plan::{Flow, Phase};

/// Edits of the request that wait until it is transformed.
#[derive(Debug, Default, PartialEq)]
pub struct Injection {
    /// Cookies to take away.
    pub remove_cookies: Vec<Box<str>>,
    /// Header fields to take away.
    pub remove_headers: Vec<Box<str>>,
    /// Header fields to set.
    pub add_headers: Vec<(Box<str>, Box<str>)>,
    /// Cookies to set.
    pub add_cookies: Vec<(Box<str>, Box<str>)>,
}

impl Injection {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remove_cookies.is_empty()
            && self.remove_headers.is_empty()
            && self.add_headers.is_empty()
            && self.add_cookies.is_empty()
    }

    /// Edit the request: cookies go, fields go, fields come, cookies come.
    pub fn apply(&self, flow: &mut Flow) {
        for name in &self.remove_headers {
            flow.headers(Phase::TransformRequest)
                .remove(name.as_bytes());
        }
        for (name, value) in &self.add_headers {
            if is_value(value.as_bytes()) {
                flow.set_header(Phase::TransformRequest, name.as_bytes(), value.as_bytes());
            }
        }
        if self.remove_cookies.is_empty() && self.add_cookies.is_empty() {
            return;
        }
        let gone = |name: &[u8]| {
            let added = self.add_cookies.iter().map(|(name, _)| name);
            added
                .chain(&self.remove_cookies)
                .any(|it| is_named(name, it))
        };
        let mut line = Vec::new();
        let kept = cookies(&flow.request).filter(|(name, _)| !gone(name));
        let added = self
            .add_cookies
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        for (name, value) in kept.chain(added) {
            if !line.is_empty() {
                line.extend_from_slice(b"; ");
            }
            line.extend_from_slice(name);
            line.push(b'=');
            line.extend_from_slice(value);
        }
        let headers = flow.headers(Phase::TransformRequest);
        headers.remove_known(|known| known == Known::Cookie);
        if !line.is_empty() && is_value(&line) {
            headers.add(b"Cookie", &line);
        }
    }
}
