//! The keys that protect the packets of one direction (RFC 9001 section 5).

use std::fmt;

use aws_lc_rs::aead::quic::{AES_128, AES_256, CHACHA20, HeaderProtectionKey};
use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey,
};

/// Octets that are sampled for the protection of a header.
pub(super) const SAMPLE: usize = 16;
/// Octets that a packet grows by when it is sealed.
pub(super) const TAG: usize = 16;
/// The longest packet number; the sample begins so far behind its start.
pub(super) const LONGEST_NUMBER: usize = 4;

/// The ciphers of TLS 1.3 that QUIC uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// `TLS_AES_128_GCM_SHA256`.
    Aes128,
    /// `TLS_AES_256_GCM_SHA384`.
    Aes256,
    /// `TLS_CHACHA20_POLY1305_SHA256`.
    ChaCha20,
}

impl Suite {
    /// The suite with this number in TLS.
    #[must_use]
    pub fn of(number: u16) -> Option<Self> {
        match number {
            0x1301 => Some(Self::Aes128),
            0x1302 => Some(Self::Aes256),
            0x1303 => Some(Self::ChaCha20),
            _ => None,
        }
    }
}

/// The keys of one direction.
pub struct Keys {
    aead: LessSafeKey,
    iv: [u8; NONCE_LEN],
    header: HeaderProtectionKey,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(..)")
    }
}

impl Keys {
    /// Keys from what was derived from the handshake's secret; nothing when a length is wrong.
    #[must_use]
    pub fn new(suite: Suite, key: &[u8], iv: &[u8], header: &[u8]) -> Option<Self> {
        let (payload, mask) = match suite {
            Suite::Aes128 => (&AES_128_GCM, &AES_128),
            Suite::Aes256 => (&AES_256_GCM, &AES_256),
            Suite::ChaCha20 => (&CHACHA20_POLY1305, &CHACHA20),
        };
        Some(Self {
            aead: LessSafeKey::new(UnboundKey::new(payload, key).ok()?),
            iv: iv.try_into().ok()?,
            header: HeaderProtectionKey::new(mask, header).ok()?,
        })
    }

    fn nonce(&self, number: u64) -> Nonce {
        let mut nonce = self.iv;
        for (octet, part) in nonce.iter_mut().rev().zip(number.to_le_bytes()) {
            *octet ^= part;
        }
        Nonce::assume_unique_for_key(nonce)
    }

    /// What the header is masked with; nothing when the sample is short.
    pub(super) fn mask(&self, sample: &[u8]) -> Option<[u8; 5]> {
        self.header.new_mask(sample.get(..SAMPLE)?).ok()
    }

    /// Open a payload in place and give it; nothing when it was not sealed with these keys.
    pub(super) fn open<'p>(
        &self,
        number: u64,
        header: &[u8],
        payload: &'p mut [u8],
    ) -> Option<&'p [u8]> {
        self.aead
            .open_in_place(self.nonce(number), Aad::from(header), payload)
            .ok()
            .map(|plain| &*plain)
    }

    /// Seal a payload in place; gives the octets to put behind it.
    pub(super) fn seal(
        &self,
        number: u64,
        header: &[u8],
        payload: &mut [u8],
    ) -> Option<impl AsRef<[u8]> + use<>> {
        self.aead
            .seal_in_place_separate_tag(self.nonce(number), Aad::from(header), payload)
            .ok()
    }
}
