//! Calls of gRPC-Web while they pass: their bodies are translated between the client and the backend.
//!
//! What is to be done a step has said ([`oto_core::grpc_web::Bridged`]); this keeps where it stands. Nothing is
//! gathered: what comes in goes out in the same turn, but for the bytes that make no whole group of base64.

use oto_core::grpc_web::{self, Answer, Decoder, Form, NotBase64};
use oto_core::http1::{Framing, encode};

use crate::connection::Exchange;

/// Where the translation of an exchange's bodies stands.
#[derive(Debug, Default)]
pub(crate) struct Web {
    /// The request's, when it comes in base64.
    request: Option<Decoder>,
    /// What was gathered of the request for a hook is out of base64 already.
    is_decoded: bool,
    /// The answer's, once that is known to be one of gRPC.
    answer: Option<Answer>,
    coded: Vec<u8>,
}

impl Web {
    /// Bytes of the request body as the backend gets them.
    pub(crate) fn request_bytes<'a>(&'a mut self, data: &'a [u8]) -> Result<&'a [u8], NotBase64> {
        let Some(decoder) = &mut self.request else {
            return Ok(data);
        };
        self.coded.clear();
        decoder.push(data, &mut self.coded)?;
        Ok(&self.coded)
    }

    /// Bytes of the backend's body as the client gets them.
    pub(crate) fn answer_bytes<'a>(&'a mut self, data: &'a [u8]) -> &'a [u8] {
        let Some(answer) = self.answer.as_mut().filter(|answer| answer.is_text()) else {
            return data;
        };
        self.coded.clear();
        answer.push(data, &mut self.coded);
        &self.coded
    }

    /// End the body of an answer of unknown length with these trailers; false when they go as trailers.
    pub(crate) fn say_end(&mut self, framing: Framing, trailers: &[u8], out: &mut Vec<u8>) -> bool {
        let is_open = matches!(framing, Framing::Chunked | Framing::UntilClose);
        let Some(answer) = self.answer.as_mut().filter(|_| is_open) else {
            return false;
        };
        self.coded.clear();
        answer.finish(trailers, &mut self.coded);
        if framing == Framing::Chunked && !self.coded.is_empty() {
            encode::chunk_size(self.coded.len(), out);
            out.extend_from_slice(&self.coded);
            out.extend_from_slice(b"\r\n");
        } else {
            out.extend_from_slice(&self.coded);
        }
        true
    }
}

impl Exchange {
    /// Have the request body translated on its way to the backend, or translate what is here of it.
    pub(crate) fn translate_request(&mut self) -> Result<(), NotBase64> {
        let bridged = self.flow.as_ref().and_then(|flow| flow.attrs.bridged);
        let Some(bridged) = bridged.filter(|bridged| bridged.form == Form::Text) else {
            return Ok(());
        };
        let web = self.web.get_or_insert_default();
        let Some(body) = &mut self.buffered else {
            // What was passed on already is sent again as it was translated.
            web.request.get_or_insert_default();
            self.body_framing = grpc_web::framing_in(bridged.form, self.body_framing);
            return Ok(());
        };
        if !std::mem::replace(&mut web.is_decoded, true) {
            *body = grpc_web::decoded(body)?;
        }
        Ok(())
    }

    /// Whether the request body, which is over, could be translated; `gathered` for a hook, it waits for that.
    pub(crate) fn is_translated(&self, gathered: Option<usize>) -> Result<(), &'static str> {
        let web = self.web.as_ref().filter(|_| gathered.is_none());
        let decoder = web.and_then(|web| web.request.as_ref());
        decoder
            .map_or(Ok(()), Decoder::finish)
            .map_err(NotBase64::message)
    }

    /// Have the answer's body translated on its way to the client, if a step said so; whether one did.
    pub(crate) fn translate_answer(&mut self) -> bool {
        let bridged = self.flow.as_ref().and_then(|flow| flow.attrs.bridged);
        let Some(bridged) = bridged.filter(|bridged| bridged.answers) else {
            return false;
        };
        self.web.get_or_insert_default().answer = Some(Answer::new(bridged.form));
        true
    }
}
