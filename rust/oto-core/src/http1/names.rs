//! Header names the gateway itself acts on, told apart once when a head is parsed.

/// A header name the gateway treats specially; every other name is [`Known::Other`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Known {
    /// No special treatment.
    Other,
    /// `Accept`
    Accept,
    /// `Connection`
    Connection,
    /// `Content-Length`
    ContentLength,
    /// `Cookie`
    Cookie,
    /// `Expect`
    Expect,
    /// `Host`
    Host,
    /// A hop-by-hop field that is always removed (`Keep-Alive`, `Proxy-Connection`, `TE`, ...).
    HopByHop,
    /// A field that only the gateway may set on a request to a backend (Otoroshi's list).
    GatewayOwned,
    /// `Otoroshi-State`, gateway-owned too; its value is echoed in error answers.
    OtoroshiState,
    /// `Otoroshi-State-Resp`: what a backend proves to the gateway; never sent on to the client.
    OtoroshiStateResp,
    /// `Trailer`
    Trailer,
    /// `Transfer-Encoding`
    TransferEncoding,
    /// `Upgrade`
    Upgrade,
    /// `X-Forwarded-For`, gateway-owned.
    XForwardedFor,
    /// `X-Forwarded-Host`
    XForwardedHost,
    /// `X-Forwarded-Proto`, gateway-owned.
    XForwardedProto,
    /// `X-Forwarded-Protocol`, gateway-owned.
    XForwardedProtocol,
    /// `Raw-Request-Uri`, `Remote-Address`, `Timeout-Access`, `Tls-Session-Info`: removed both ways.
    Internal,
}

impl Known {
    /// Tell a header name (any case) apart.
    #[must_use]
    pub fn of(name: &[u8]) -> Self {
        // By length first: most names fall out here without a comparison.
        let candidates: &[(&[u8], Self)] = match name.len() {
            2 => &[(b"te", Self::HopByHop)],
            4 => &[(b"host", Self::Host)],
            6 => &[
                (b"accept", Self::Accept),
                (b"cookie", Self::Cookie),
                (b"expect", Self::Expect),
            ],
            7 => &[(b"upgrade", Self::Upgrade), (b"trailer", Self::Trailer)],
            10 => &[
                (b"connection", Self::Connection),
                (b"keep-alive", Self::HopByHop),
            ],
            14 => &[
                (b"content-length", Self::ContentLength),
                (b"otoroshi-state", Self::OtoroshiState),
                (b"otoroshi-claim", Self::GatewayOwned),
                (b"remote-address", Self::Internal),
                (b"timeout-access", Self::Internal),
                (b"http2-settings", Self::HopByHop),
            ],
            15 => &[
                (b"x-forwarded-for", Self::XForwardedFor),
                (b"raw-request-uri", Self::Internal),
            ],
            16 => &[
                (b"proxy-connection", Self::HopByHop),
                (b"x-forwarded-host", Self::XForwardedHost),
                (b"tls-session-info", Self::Internal),
            ],
            17 => &[
                (b"transfer-encoding", Self::TransferEncoding),
                (b"x-forwarded-proto", Self::XForwardedProto),
            ],
            18 => &[
                (b"proxy-authenticate", Self::HopByHop),
                (b"otoroshi-client-id", Self::GatewayOwned),
            ],
            19 => &[
                (b"proxy-authorization", Self::HopByHop),
                (b"otoroshi-request-id", Self::GatewayOwned),
                (b"otoroshi-state-resp", Self::OtoroshiStateResp),
            ],
            20 => &[(b"x-forwarded-protocol", Self::XForwardedProtocol)],
            22 => &[
                (b"otoroshi-client-secret", Self::GatewayOwned),
                (b"otoroshi-authorization", Self::GatewayOwned),
            ],
            26 => &[(b"otoroshi-try-it-request-id", Self::GatewayOwned)],
            _ => &[],
        };
        candidates
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map_or(Self::Other, |(_, kind)| *kind)
    }

    /// The name that CGI and its heirs read here: for them `_` and `-` are one.
    #[must_use]
    pub fn imitated_by(name: &[u8]) -> Self {
        if !name.contains(&b'_') {
            return Self::of(name);
        }
        let hyphens: Vec<u8> = name
            .iter()
            .map(|byte| if *byte == b'_' { b'-' } else { *byte })
            .collect();
        Self::of(&hyphens)
    }

    /// Whether the field concerns one connection only and is never passed on (RFC 9110 §7.6.1).
    #[must_use]
    pub fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            Self::HopByHop
                | Self::Connection
                | Self::TransferEncoding
                | Self::Upgrade
                | Self::Trailer
        )
    }

    /// Whether a client's value never reaches a backend (Otoroshi: engine.md §7).
    #[must_use]
    pub fn is_removed_from_request(self) -> bool {
        matches!(
            self,
            Self::GatewayOwned
                | Self::OtoroshiState
                | Self::XForwardedFor
                | Self::XForwardedProto
                | Self::XForwardedProtocol
                | Self::Internal
        )
    }

    /// Whether a backend's value never reaches a client (Otoroshi: engine.md §7).
    #[must_use]
    pub fn is_removed_from_response(self) -> bool {
        self == Self::Internal
    }

    /// Whether `Connection: <name>` may not take this field away: it frames or addresses the message.
    #[must_use]
    pub fn is_protected(self) -> bool {
        matches!(
            self,
            Self::Host
                | Self::ContentLength
                | Self::TransferEncoding
                | Self::Cookie
                | Self::XForwardedFor
                | Self::XForwardedHost
                | Self::XForwardedProto
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Known;

    /// What a client may not send on to a backend, and a backend not to a client: Otoroshi's lists
    /// (plugins.md, section 0).
    const REMOVED_FROM_REQUESTS: [&str; 14] = [
        "Otoroshi-State",
        "Otoroshi-Claim",
        "Otoroshi-Request-Id",
        "Otoroshi-Client-Id",
        "Otoroshi-Client-Secret",
        "Otoroshi-Authorization",
        "Otoroshi-Try-It-Request-Id",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Protocol",
        "Raw-Request-Uri",
        "Remote-Address",
        "Timeout-Access",
        "Tls-Session-Info",
    ];
    const REMOVED_FROM_RESPONSES: [&str; 7] = [
        "Otoroshi-State-Resp",
        "Keep-Alive",
        "Transfer-Encoding",
        "Raw-Request-Uri",
        "Remote-Address",
        "Timeout-Access",
        "Tls-Session-Info",
    ];

    /// Every way to write a name with one letter in the other case, and the plain ways.
    fn cases(name: &str) -> Vec<Vec<u8>> {
        let mut all = vec![
            name.as_bytes().to_vec(),
            name.to_ascii_lowercase().into_bytes(),
            name.to_ascii_uppercase().into_bytes(),
        ];
        for at in 0..name.len() {
            let mut changed = name.as_bytes().to_vec();
            changed[at] ^= if changed[at].is_ascii_alphabetic() {
                0x20
            } else {
                0
            };
            all.push(changed);
        }
        all
    }

    #[test]
    fn what_only_the_gateway_says_is_removed_in_every_letter_case() {
        for name in REMOVED_FROM_REQUESTS {
            for written in cases(name) {
                assert!(Known::of(&written).is_removed_from_request(), "{name}");
            }
            let imitation = name.replace('-', "_");
            let imitated = Known::imitated_by(imitation.as_bytes());
            assert!(imitated.is_removed_from_request(), "{imitation}");
        }
        for name in REMOVED_FROM_RESPONSES {
            for written in cases(name) {
                let known = Known::of(&written);
                // The flow removes the answer to a challenge itself, when its step has read it.
                let gone = known.is_removed_from_response()
                    || known.is_hop_by_hop()
                    || known == Known::OtoroshiStateResp;
                assert!(gone, "{name}");
            }
        }
        for name in [
            "X-Forwarded-Host",
            "Authorization",
            "Otoroshi-Claims",
            "Cookie",
        ] {
            assert!(
                !Known::of(name.as_bytes()).is_removed_from_request(),
                "{name}"
            );
        }
    }

    #[test]
    fn names_are_told_apart_in_any_case() {
        assert_eq!(Known::of(b"CONTENT-length"), Known::ContentLength);
        assert_eq!(Known::of(b"Host"), Known::Host);
        assert_eq!(Known::of(b"Hosts"), Known::Other);
        assert_eq!(
            Known::of(b"otoroshi-try-it-request-id"),
            Known::GatewayOwned
        );
        assert_eq!(Known::of(b""), Known::Other);
    }
}
