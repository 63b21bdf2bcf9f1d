//! Answers that are made here and not by the backend: by a step, by a hook, or as a refusal; and where an answer's body is.

use super::{Flow, Stage};
use crate::http1::{Framing, Known, Method};
use crate::plan::attrs::RefusalFacts;
use crate::plan::next::{BackendBody, Next, ResponseBody};
use crate::plan::reply::{Reply, refusal};
use crate::plan::step::Phase;

impl Flow {
    /// Answer with a reply made in Python; response steps run behind one of a call_backend hook only.
    pub fn respond(&mut self, reply: Reply) -> Next {
        let phase = self.phase();
        self.answer(reply);
        if phase == Phase::CallBackend && self.route.is_some() {
            return self.advance();
        }
        self.write_response_fields();
        Next::Reply
    }

    /// Answer with an error in Otoroshi's format.
    pub fn refuse(&mut self, status: u16, message: &str, cause: &str) {
        let reply = self.refusal(status, message, cause);
        self.answer(reply);
        self.write_response_fields();
    }

    /// Make an error answer in Otoroshi's format, for a step to give.
    pub fn refusal(&mut self, status: u16, message: &str, cause: &str) -> Reply {
        self.refused = true;
        self.attrs.refusal = Some(RefusalFacts {
            message: message.into(),
            cause: cause.into(),
        });
        let mut reply = refusal(status, message, cause, Some(&self.request));
        self.hide_challenge(&mut reply);
        reply
    }

    pub(in crate::plan) fn answer(&mut self, reply: Reply) {
        self.response.clear();
        self.response.status = reply.status;
        for (name, value) in &reply.headers {
            // A reply is framed here; what a hook says of framing would frame it twice.
            if !matches!(
                Known::of(name),
                Known::ContentLength | Known::TransferEncoding | Known::Connection
            ) {
                self.response.headers.add(name, value);
            }
        }
        self.response.framing = Framing::Length(reply.body.len() as u64);
        self.body = Some(reply.body);
        self.repeats = 1;
    }

    /// Cut the body of an answer made here to a length; says whether there is such a body.
    pub(in crate::plan) fn cut_body(&mut self, most_bytes: u64) -> bool {
        let Some(body) = &mut self.body else {
            return false;
        };
        body.truncate(usize::try_from(most_bytes).unwrap_or(usize::MAX));
        self.response.framing = Framing::Length(body.len() as u64);
        true
    }

    /// The body of an answer made here, once.
    pub fn take_body(&mut self) -> Option<Vec<u8>> {
        self.body.take()
    }

    /// Where the body of the response is; none before there is a response, and when the exchange is over.
    #[must_use]
    pub fn response_body(&self) -> Option<ResponseBody<'_>> {
        if self.stage != Stage::Response {
            return None;
        }
        let Some(body) = &self.body else {
            let route = self.route.as_ref()?;
            return Some(ResponseBody::Backend(BackendBody {
                bound: self.bounds.response,
                idle_s: route.backend.client.idle_s,
            }));
        };
        let is_sent = self.request.method != Method::Head
            && !matches!(self.response.status, 100..=199 | 204 | 304);
        Some(ResponseBody::Here(if is_sent { body } else { &[] }))
    }

    /// Whether an answer made here waits to be sent.
    #[must_use]
    pub fn has_body(&self) -> bool {
        self.body.is_some()
    }
}
