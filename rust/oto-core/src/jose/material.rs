//! Key material read from PEM, DER and bare base64, whichever a person has at hand.
//!
//! Public: SPKI (`PUBLIC KEY`), PKCS1 (`RSA PUBLIC KEY`), certificates. Private: PKCS8 (`PRIVATE
//! KEY`), PKCS1 (`RSA PRIVATE KEY`), SEC1 (`EC PRIVATE KEY`). Base64 without the PEM frame is tried
//! as each in turn, as Otoroshi's settings hold it.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
    KeyPair as _, RsaKeyPair,
};
use x509_parser::asn1_rs::Oid;
use x509_parser::oid_registry;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::RSAPublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::algorithm::{Algorithm, Algorithms};
use super::encoding;
use super::error::JoseError;

/// Longest key text that is read, in bytes: a certificate chain fits.
const MAX_KEY_BYTES: usize = 256 * 1024;

/// A curve of ECDSA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// P-256, secp256r1.
    P256,
    /// P-384, secp384r1.
    P384,
    /// P-521, secp521r1.
    P521,
}

impl Curve {
    const ALL: [Self; 3] = [Self::P256, Self::P384, Self::P521];

    /// Its name in a JWK.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    /// The curve of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|curve| curve.name() == name)
    }

    /// The one algorithm it serves.
    #[must_use]
    pub const fn algorithm(self) -> Algorithm {
        match self {
            Self::P256 => Algorithm::Es256,
            Self::P384 => Algorithm::Es384,
            Self::P521 => Algorithm::Es512,
        }
    }

    /// Bytes of a coordinate.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    pub(super) fn signing(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
            Self::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
            Self::P521 => &ECDSA_P521_SHA512_FIXED_SIGNING,
        }
    }

    fn of_oid(oid: &Oid<'_>) -> Option<Self> {
        if *oid == oid_registry::OID_EC_P256 {
            Some(Self::P256)
        } else if *oid == oid_registry::OID_NIST_EC_P384 {
            Some(Self::P384)
        } else if *oid == oid_registry::OID_NIST_EC_P521 {
            Some(Self::P521)
        } else {
            None
        }
    }
}

/// A public key's numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Public {
    /// Modulus and exponent, big-endian, without leading zeros.
    Rsa {
        /// The modulus.
        n: Vec<u8>,
        /// The exponent.
        e: Vec<u8>,
    },
    /// A point, uncompressed: 4, x, y.
    Ec {
        /// Where the point lies.
        curve: Curve,
        /// The point.
        point: Vec<u8>,
    },
    /// An Ed25519 key: 32 bytes.
    Ed(Vec<u8>),
}

impl Public {
    /// The algorithms that it can verify.
    #[must_use]
    pub fn algorithms(&self) -> Algorithms {
        use super::algorithm::Family;
        match self {
            Self::Rsa { .. } => Algorithms::of_family(Family::Rsa),
            Self::Ec { curve, .. } => Algorithms::only(curve.algorithm()),
            Self::Ed(_) => Algorithms::only(Algorithm::EdDsa),
        }
    }

    /// Read a public key: the first key or certificate of a PEM text, or bare base64.
    ///
    /// # Errors
    /// [`JoseError::BadKey`] with `field`, what is wrong and the fix.
    pub fn read(text: &str, field: &str) -> Result<Self, JoseError> {
        let block = Block::read(text, field)?;
        let der = &block.der;
        let found = match block.label.as_deref() {
            Some("PUBLIC KEY") => Self::of_spki(der),
            Some("RSA PUBLIC KEY") => Self::of_pkcs1(der),
            Some("CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE") => {
                Self::of_certificate(der)
            }
            Some("PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY") => {
                return Err(bad(
                    field,
                    "holds a private key; give the public key or the certificate",
                ));
            }
            Some(_) => None,
            None => Self::of_spki(der)
                .or_else(|| Self::of_certificate(der))
                .or_else(|| Self::of_pkcs1(der)),
        };
        found.ok_or_else(|| {
            bad(
                field,
                "not a public key that is known here; give an RSA, P-256, P-384, P-521 or \
                 Ed25519 key as PEM (PUBLIC KEY, RSA PUBLIC KEY or CERTIFICATE)",
            )
        })
    }

    /// The key in a DER SubjectPublicKeyInfo.
    #[must_use]
    pub fn of_spki(der: &[u8]) -> Option<Self> {
        match SubjectPublicKeyInfo::from_der(der) {
            Ok(([], info)) => Self::of_info(&info),
            _ => None,
        }
    }

    /// The key that a DER certificate certifies.
    #[must_use]
    pub fn of_certificate(der: &[u8]) -> Option<Self> {
        let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
        Self::of_info(certificate.public_key())
    }

    fn of_info(info: &SubjectPublicKeyInfo<'_>) -> Option<Self> {
        let kind = &info.algorithm.algorithm;
        let data = &*info.subject_public_key.data;
        if *kind == oid_registry::OID_PKCS1_RSAENCRYPTION
            || *kind == oid_registry::OID_PKCS1_RSASSAPSS
        {
            return Self::of_pkcs1(data);
        }
        if *kind == oid_registry::OID_KEY_TYPE_EC_PUBLIC_KEY {
            let oid = info.algorithm.parameters.as_ref()?.as_oid().ok()?;
            return Self::of_point(Curve::of_oid(&oid)?, data);
        }
        if *kind == oid_registry::OID_SIG_ED25519 && data.len() == 32 {
            return Some(Self::Ed(data.to_vec()));
        }
        None
    }

    fn of_pkcs1(der: &[u8]) -> Option<Self> {
        match RSAPublicKey::from_der(der) {
            Ok(([], key)) => Some(Self::Rsa {
                n: without_zeros(key.modulus).to_vec(),
                e: without_zeros(key.exponent).to_vec(),
            }),
            _ => None,
        }
    }

    fn of_point(curve: Curve, point: &[u8]) -> Option<Self> {
        (point.len() == 1 + 2 * curve.size() && point[0] == 4).then(|| Self::Ec {
            curve,
            point: point.to_vec(),
        })
    }
}

/// A private key.
#[derive(Debug)]
pub enum Private {
    /// RSA.
    Rsa(Box<RsaKeyPair>),
    /// A NIST curve.
    Ec(Curve, Box<EcdsaKeyPair>),
    /// Ed25519.
    Ed(Box<Ed25519KeyPair>),
}

impl Private {
    /// Read a private key: the first of a PEM text, or bare base64. Encrypted keys are refused.
    ///
    /// # Errors
    /// [`JoseError::BadKey`] with `field`, what is wrong and the fix.
    pub fn read(text: &str, field: &str) -> Result<Self, JoseError> {
        let block = Block::read_where(text, field, |label| label.ends_with("PRIVATE KEY"))?;
        let der = &block.der;
        let found = match block.label.as_deref() {
            Some("ENCRYPTED PRIVATE KEY") => {
                return Err(bad(
                    field,
                    "the private key is encrypted; store it decrypted",
                ));
            }
            Some("PRIVATE KEY") => Self::of_pkcs8(der),
            Some("RSA PRIVATE KEY") => Self::of_pkcs1(der),
            Some("EC PRIVATE KEY") => Self::of_sec1(der),
            Some(_) => None,
            None => Self::of_der(der),
        };
        found.ok_or_else(|| {
            bad(
                field,
                "not a private key that is known here; give an RSA (2048 to 8192 bits), P-256, \
                 P-384, P-521 or Ed25519 key as PEM (PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY)",
            )
        })
    }

    /// The key in DER: PKCS8, PKCS1 or SEC1.
    #[must_use]
    pub fn of_der(der: &[u8]) -> Option<Self> {
        Self::of_pkcs8(der)
            .or_else(|| Self::of_pkcs1(der))
            .or_else(|| Self::of_sec1(der))
    }

    fn of_pkcs8(der: &[u8]) -> Option<Self> {
        if let Ok(pair) = RsaKeyPair::from_pkcs8(der) {
            return Some(Self::Rsa(Box::new(pair)));
        }
        for curve in Curve::ALL {
            if let Ok(pair) = EcdsaKeyPair::from_pkcs8(curve.signing(), der) {
                return Some(Self::Ec(curve, Box::new(pair)));
            }
        }
        let pair = Ed25519KeyPair::from_pkcs8(der).ok()?;
        Some(Self::Ed(Box::new(pair)))
    }

    fn of_pkcs1(der: &[u8]) -> Option<Self> {
        let pair = RsaKeyPair::from_der(der).ok()?;
        Some(Self::Rsa(Box::new(pair)))
    }

    fn of_sec1(der: &[u8]) -> Option<Self> {
        Curve::ALL.into_iter().find_map(|curve| {
            let pair = EcdsaKeyPair::from_private_key_der(curve.signing(), der).ok()?;
            Some(Self::Ec(curve, Box::new(pair)))
        })
    }

    /// The public key that belongs to it.
    #[must_use]
    pub fn public(&self) -> Option<Public> {
        match self {
            Self::Rsa(pair) => Public::of_pkcs1(pair.public_key().as_ref()),
            Self::Ec(curve, pair) => Public::of_point(*curve, pair.public_key().as_ref()),
            Self::Ed(pair) => Some(Public::Ed(pair.public_key().as_ref().to_vec())),
        }
    }
}

/// One PEM block; the label is absent for bare base64.
struct Block {
    label: Option<String>,
    der: Vec<u8>,
}

impl Block {
    fn read(text: &str, field: &str) -> Result<Self, JoseError> {
        Self::read_where(text, field, |label| label != "EC PARAMETERS")
    }

    /// The first block whose label is wanted; `EC PARAMETERS` often stands before a key.
    fn read_where(
        text: &str,
        field: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Self, JoseError> {
        if text.len() > MAX_KEY_BYTES {
            return Err(bad(field, "longer than 262144 bytes; give one key"));
        }
        let mut rest = text;
        let mut framed = false;
        while let Some((_, after)) = rest.split_once("-----BEGIN ") {
            framed = true;
            let (label, after) = after
                .split_once("-----")
                .ok_or_else(|| bad(field, "a PEM frame is not closed; paste the whole key"))?;
            let end = format!("-----END {label}-----");
            let (body, after) = after
                .split_once(&end)
                .ok_or_else(|| bad(field, "the PEM has no END line; paste the whole key"))?;
            if wanted(label) {
                if body.contains("ENCRYPTED") {
                    return Err(bad(
                        field,
                        "the private key is encrypted; store it decrypted",
                    ));
                }
                let der = encoding::decode_leniently(body)
                    .ok_or_else(|| bad(field, "the PEM does not hold base64"))?;
                let label = Some(label.to_owned());
                return Ok(Self { label, der });
            }
            rest = after;
        }
        if framed {
            return Err(bad(field, "the PEM holds no such key"));
        }
        let der = encoding::decode_leniently(text)
            .filter(|der| !der.is_empty())
            .ok_or_else(|| bad(field, "neither PEM nor base64; paste the key as PEM"))?;
        Ok(Self { label: None, der })
    }
}

/// A number without its leading zeros.
pub(super) fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

pub(super) fn bad(field: &str, problem: &str) -> JoseError {
    JoseError::BadKey(format!("{field}: {problem}"))
}
