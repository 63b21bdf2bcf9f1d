//! The signature algorithms (RFC 7518 section 3.1, RFC 8037), and sets of them.

use std::fmt;

/// A JWS algorithm. `none` is not among them and cannot be expressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
    /// Ed25519.
    EdDsa,
}

/// What kind of key an algorithm takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// A shared secret.
    Hmac,
    /// An RSA key.
    Rsa,
    /// A key on a NIST curve.
    Ec,
    /// An Ed25519 key.
    Ed,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 13] = [
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::EdDsa,
    ];

    /// Its name in the `alg` member.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of that name; names are case-sensitive. `Ed25519` (RFC 9864) is `EdDSA` here.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        if name == "Ed25519" {
            return Some(Self::EdDsa);
        }
        Self::ALL.into_iter().find(|item| item.name() == name)
    }

    /// The HMAC algorithm of 256, 384 or 512 bits.
    #[must_use]
    pub const fn hs(size: u16) -> Option<Self> {
        Some(match size {
            256 => Self::Hs256,
            384 => Self::Hs384,
            512 => Self::Hs512,
            _ => return None,
        })
    }

    /// The RSASSA-PKCS1-v1_5 algorithm of 256, 384 or 512 bits.
    #[must_use]
    pub const fn rs(size: u16) -> Option<Self> {
        Some(match size {
            256 => Self::Rs256,
            384 => Self::Rs384,
            512 => Self::Rs512,
            _ => return None,
        })
    }

    /// The ECDSA algorithm of 256, 384 or 512 bits.
    #[must_use]
    pub const fn es(size: u16) -> Option<Self> {
        Some(match size {
            256 => Self::Es256,
            384 => Self::Es384,
            512 => Self::Es512,
            _ => return None,
        })
    }

    /// The kind of key it takes.
    #[must_use]
    pub const fn family(self) -> Family {
        match self {
            Self::Hs256 | Self::Hs384 | Self::Hs512 => Family::Hmac,
            Self::Rs256 | Self::Rs384 | Self::Rs512 | Self::Ps256 | Self::Ps384 | Self::Ps512 => {
                Family::Rsa
            }
            Self::Es256 | Self::Es384 | Self::Es512 => Family::Ec,
            Self::EdDsa => Family::Ed,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// A set of algorithms: what a verifier or a key allows.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Algorithms(u16);

impl Algorithms {
    /// No algorithm.
    pub const NONE: Self = Self(0);
    /// Every algorithm that the project knows.
    pub const ALL: Self = Self((1 << 13) - 1);

    /// Exactly one.
    #[must_use]
    pub const fn only(algorithm: Algorithm) -> Self {
        Self(1 << algorithm as u16)
    }

    /// All that take that kind of key.
    #[must_use]
    pub fn of_family(family: Family) -> Self {
        Algorithm::ALL
            .into_iter()
            .filter(|algorithm| algorithm.family() == family)
            .collect()
    }

    /// Whether it is in.
    #[must_use]
    pub const fn has(self, algorithm: Algorithm) -> bool {
        self.0 & (1 << algorithm as u16) != 0
    }

    /// What both have.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What either has.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether none is in.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Its members.
    pub fn iter(self) -> impl Iterator<Item = Algorithm> {
        Algorithm::ALL
            .into_iter()
            .filter(move |item| self.has(*item))
    }
}

impl FromIterator<Algorithm> for Algorithms {
    fn from_iter<I: IntoIterator<Item = Algorithm>>(items: I) -> Self {
        Self(
            items
                .into_iter()
                .fold(0, |bits, item| bits | Self::only(item).0),
        )
    }
}

impl fmt::Debug for Algorithms {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exact_and_none_has_no_algorithm() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::named(algorithm.name()), Some(algorithm));
            assert!(Algorithms::ALL.has(algorithm));
            assert!(!Algorithms::NONE.has(algorithm));
        }
        for name in [
            "none", "None", "NONE", "", "hs256", "HS256 ", "RS1", "ES256K",
        ] {
            assert_eq!(Algorithm::named(name), None, "{name}");
        }
    }

    #[test]
    fn a_set_holds_what_was_put_in() {
        let set: Algorithms = [Algorithm::Rs256, Algorithm::EdDsa].into_iter().collect();
        assert!(set.has(Algorithm::Rs256) && set.has(Algorithm::EdDsa));
        assert!(!set.has(Algorithm::Hs256));
        assert_eq!(
            set.and(Algorithms::only(Algorithm::EdDsa)).iter().count(),
            1
        );
        assert_eq!(Algorithms::of_family(Family::Rsa).iter().count(), 6);
    }
}
