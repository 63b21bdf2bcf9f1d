//! What the router asks of a request.

use crate::http1::Request;
use crate::router::RequestFacts;

/// A request on a listener, for the router.
pub(super) struct Facts<'a> {
    pub(super) request: &'a Request,
    pub(super) listener: &'a str,
    pub(super) is_exclusive: bool,
}

impl RequestFacts for Facts<'_> {
    fn domain(&self) -> &str {
        self.request.domain()
    }

    fn path(&self) -> &str {
        self.request.path()
    }

    fn method(&self) -> &str {
        self.request.method_text()
    }

    fn query(&self) -> &str {
        self.request.query().unwrap_or("")
    }

    fn header(&self, lower_name: &str, visit: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.request
            .headers
            .find_all(lower_name.as_bytes())
            .any(visit)
    }

    fn listener(&self) -> &str {
        self.listener
    }

    fn listener_is_exclusive(&self) -> bool {
        self.is_exclusive
    }
}
