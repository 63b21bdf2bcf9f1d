//! Why a request head is refused, and with which status.

use super::canonical::TargetError;

/// Why a head is refused. Each has one status; the connection is closed after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeadError {
    /// Not the grammar of RFC 9112.
    Malformed,
    /// A line ends in a bare CR or LF.
    LineEnd,
    /// A version other than 1.0 and 1.1.
    Version,
    /// More bytes than [`HeadLimits::head_bytes`].
    HeadTooLarge,
    /// More fields than [`HeadLimits::fields`].
    TooManyFields,
    /// A target longer than [`HeadLimits::target_bytes`].
    TargetTooLong,
    /// The target has no canonical form.
    Target(TargetError),
    /// No `Host`, several, or one that is no host.
    Host,
    /// A name that differs from one the gateway acts on only by `_` for `-`.
    Lookalike,
    /// Both `Content-Length` and `Transfer-Encoding`, or one of them twice.
    AmbiguousFraming,
    /// A `Content-Length` that is no number.
    ContentLength,
    /// A transfer coding other than `chunked`, or chunked in HTTP/1.0.
    TransferEncoding,
    /// `Connection` names a field that frames or addresses the message.
    Connection,
    /// An expectation other than `100-continue`.
    Expectation,
    /// CONNECT, which this gateway does not serve.
    Connect,
}

impl HeadError {
    /// The status of the answer.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Version => 505,
            Self::HeadTooLarge | Self::TooManyFields => 431,
            Self::TargetTooLong => 414,
            Self::TransferEncoding => 501,
            Self::Expectation => 417,
            Self::Connect => 405,
            _ => 400,
        }
    }

    /// A sentence for the answer and the log.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::Malformed => "The request head is malformed",
            Self::LineEnd => "A line of the request head does not end in CR LF",
            Self::Version => "This HTTP version is not supported",
            Self::HeadTooLarge => "The request head is too large",
            Self::TooManyFields => "The request has too many header fields",
            Self::TargetTooLong => "The request target is too long",
            Self::Target(error) => error.message(),
            Self::Host => "The request needs exactly one valid Host",
            Self::Lookalike => "A header name imitates one that the gateway acts on",
            Self::AmbiguousFraming => "The request body is framed more than once",
            Self::ContentLength => "The Content-Length is not a number",
            Self::TransferEncoding => "This Transfer-Encoding is not supported",
            Self::Connection => "The Connection field names a field that must stay",
            Self::Expectation => "This expectation cannot be met",
            Self::Connect => "CONNECT is not allowed",
        }
    }
}
