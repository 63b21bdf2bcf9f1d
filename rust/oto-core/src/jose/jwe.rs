//! The compact JWE (RFC 7516 section 7.1) with RSA-OAEP keys, as Otoroshi's JWE plugins use it.
//!
//! Key management: RSA-OAEP-256, -384 and -512 (and RSA-OAEP, with SHA-1, only to decrypt). Contents:
//! A128/192/256GCM and A128CBC-HS256, A192CBC-HS384, A256CBC-HS512 (RFC 7518 sections 4.3 and 5).
//! Nothing tells why a decryption failed: neither the answer nor the order of checks helps to guess.

use aws_lc_rs::aead::{AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm as Cipher, DecryptingKey, DecryptionContext,
    EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512,
    OaepAlgorithm, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
    PublicEncryptingKey,
};
use aws_lc_rs::signature::RsaPublicKeyComponents;
use aws_lc_rs::{hmac, rand};
use serde_json::{Map, Value};

use super::encoding;
use super::error::JoseError;
use super::jws::MAX_TOKEN_BYTES;
use super::material::{Private, Public};

/// How the key of the contents is wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyWrap {
    /// `RSA-OAEP`, with SHA-1: only to decrypt.
    RsaOaep,
    /// `RSA-OAEP-256`
    RsaOaep256,
    /// `RSA-OAEP-384`
    RsaOaep384,
    /// `RSA-OAEP-512`
    RsaOaep512,
}

impl KeyWrap {
    const ALL: [Self; 4] = [
        Self::RsaOaep,
        Self::RsaOaep256,
        Self::RsaOaep384,
        Self::RsaOaep512,
    ];

    /// Its name in `alg`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RsaOaep => "RSA-OAEP",
            Self::RsaOaep256 => "RSA-OAEP-256",
            Self::RsaOaep384 => "RSA-OAEP-384",
            Self::RsaOaep512 => "RSA-OAEP-512",
        }
    }

    fn oaep(self) -> &'static OaepAlgorithm {
        match self {
            Self::RsaOaep => &OAEP_SHA1_MGF1SHA1,
            Self::RsaOaep256 => &OAEP_SHA256_MGF1SHA256,
            Self::RsaOaep384 => &OAEP_SHA384_MGF1SHA384,
            Self::RsaOaep512 => &OAEP_SHA512_MGF1SHA512,
        }
    }
}

/// How the contents are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// `A128GCM`
    A128Gcm,
    /// `A192GCM`
    A192Gcm,
    /// `A256GCM`
    A256Gcm,
    /// `A128CBC-HS256`
    A128CbcHs256,
    /// `A192CBC-HS384`
    A192CbcHs384,
    /// `A256CBC-HS512`
    A256CbcHs512,
}

impl Contents {
    const ALL: [Self; 6] = [
        Self::A128Gcm,
        Self::A192Gcm,
        Self::A256Gcm,
        Self::A128CbcHs256,
        Self::A192CbcHs384,
        Self::A256CbcHs512,
    ];

    /// Its name in `enc`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::A128Gcm => "A128GCM",
            Self::A192Gcm => "A192GCM",
            Self::A256Gcm => "A256GCM",
            Self::A128CbcHs256 => "A128CBC-HS256",
            Self::A192CbcHs384 => "A192CBC-HS384",
            Self::A256CbcHs512 => "A256CBC-HS512",
        }
    }

    const fn key_bytes(self) -> usize {
        match self {
            Self::A128Gcm => 16,
            Self::A192Gcm => 24,
            Self::A256Gcm | Self::A128CbcHs256 => 32,
            Self::A192CbcHs384 => 48,
            Self::A256CbcHs512 => 64,
        }
    }

    const fn iv_bytes(self) -> usize {
        if self.is_gcm() { 12 } else { 16 }
    }

    const fn is_gcm(self) -> bool {
        matches!(self, Self::A128Gcm | Self::A192Gcm | Self::A256Gcm)
    }

    fn seal(self, key: &[u8], iv: &[u8], aad: &[u8], plain: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        let mut text = plain.to_vec();
        if self.is_gcm() {
            let key = self.gcm(key)?;
            let nonce = Nonce::try_assume_unique_for_key(iv).ok()?;
            let tag = key
                .seal_in_place_separate_tag(nonce, Aad::from(aad), &mut text)
                .ok()?;
            return Some((text, tag.as_ref().to_vec()));
        }
        let (mac, cipher, length) = self.cbc(key)?;
        let padding = 16 - text.len() % 16;
        text.resize(text.len() + padding, u8::try_from(padding).ok()?);
        let context = EncryptionContext::Iv128(FixedLength::from(<[u8; 16]>::try_from(iv).ok()?));
        EncryptingKey::cbc(cipher)
            .ok()?
            .less_safe_encrypt(&mut text, context)
            .ok()?;
        let tag = authenticate(&mac, aad, iv, &text, length);
        Some((text, tag))
    }

    fn open(self, key: &[u8], iv: &[u8], aad: &[u8], text: &[u8], tag: &[u8]) -> Option<Vec<u8>> {
        if iv.len() != self.iv_bytes() {
            return None;
        }
        if self.is_gcm() {
            // The library takes the tag behind the text; a tag of another length is cut elsewhere.
            if tag.len() != 16 {
                return None;
            }
            let mut sealed = [text, tag].concat();
            let nonce = Nonce::try_assume_unique_for_key(iv).ok()?;
            let plain = self
                .gcm(key)?
                .open_in_place(nonce, Aad::from(aad), &mut sealed);
            return plain.ok().map(|plain| plain.to_vec());
        }
        let (mac, cipher, length) = self.cbc(key)?;
        let expected = authenticate(&mac, aad, iv, text, length);
        verify_slices_are_equal(&expected, tag).ok()?;
        let mut plain = text.to_vec();
        let context = DecryptionContext::Iv128(FixedLength::from(<[u8; 16]>::try_from(iv).ok()?));
        DecryptingKey::cbc(cipher)
            .ok()?
            .decrypt(&mut plain, context)
            .ok()?;
        let padding = usize::from(*plain.last()?);
        let end = plain.len().checked_sub(padding)?;
        let is_padding = plain
            .get(end..)?
            .iter()
            .all(|byte| usize::from(*byte) == padding);
        if padding == 0 || padding > 16 || !is_padding {
            return None;
        }
        plain.truncate(end);
        Some(plain)
    }

    fn gcm(self, key: &[u8]) -> Option<LessSafeKey> {
        let algorithm = match self {
            Self::A128Gcm => &AES_128_GCM,
            Self::A192Gcm => &AES_192_GCM,
            _ => &AES_256_GCM,
        };
        UnboundKey::new(algorithm, key).ok().map(LessSafeKey::new)
    }

    /// The two halves of the key, and the bytes of the tag.
    fn cbc(self, key: &[u8]) -> Option<(hmac::Key, UnboundCipherKey, usize)> {
        let (digest, cipher): (_, &'static Cipher) = match self {
            Self::A128CbcHs256 => (hmac::HMAC_SHA256, &AES_128),
            Self::A192CbcHs384 => (hmac::HMAC_SHA384, &AES_192),
            _ => (hmac::HMAC_SHA512, &AES_256),
        };
        let half = self.key_bytes() / 2;
        let (mac, secret) = key.split_at_checked(half)?;
        let cipher = UnboundCipherKey::new(cipher, secret).ok()?;
        Some((hmac::Key::new(digest, mac), cipher, half))
    }
}

/// RFC 7518 section 5.2.2.1: the MAC of header, vector, text and the header's length in bits.
fn authenticate(key: &hmac::Key, aad: &[u8], iv: &[u8], text: &[u8], length: usize) -> Vec<u8> {
    let mut context = hmac::Context::with_key(key);
    context.update(aad);
    context.update(iv);
    context.update(text);
    context.update(&(aad.len() as u64 * 8).to_be_bytes());
    let tag = context.sign();
    tag.as_ref().get(..length).unwrap_or_default().to_vec()
}

/// Encrypts for whoever has the private key.
#[derive(Debug)]
pub struct Encrypter {
    key: OaepPublicEncryptingKey,
    wrap: KeyWrap,
    contents: Contents,
}

impl Encrypter {
    /// Prepare an RSA key.
    ///
    /// # Errors
    /// No RSA key of 2048 to 8192 bits, or SHA-1, which is for old tokens only.
    pub fn new(public: &Public, wrap: KeyWrap, contents: Contents) -> Result<Self, JoseError> {
        let bad = |problem: &str| JoseError::BadKey(format!("key: {problem}"));
        let Public::Rsa { n, e } = public else {
            return Err(bad("not an RSA key; encryption needs one"));
        };
        if wrap == KeyWrap::RsaOaep {
            return Err(bad("RSA-OAEP uses SHA-1; use RSA-OAEP-256"));
        }
        let key: Result<PublicEncryptingKey, _> = RsaPublicKeyComponents { n, e }.try_into();
        let key = key
            .and_then(OaepPublicEncryptingKey::new)
            .map_err(|_| bad("not an RSA key of 2048 to 8192 bits"))?;
        Ok(Self {
            key,
            wrap,
            contents,
        })
    }

    /// A compact JWE; `header` is joined by `alg` and `enc`.
    ///
    /// # Errors
    /// [`JoseError::BadDecryption`] when the library fails, which no input brings about.
    pub fn encrypt(&self, header: &Map<String, Value>, plain: &[u8]) -> Result<String, JoseError> {
        self.try_encrypt(header, plain)
            .ok_or(JoseError::BadDecryption)
    }

    fn try_encrypt(&self, header: &Map<String, Value>, plain: &[u8]) -> Option<String> {
        let mut header = header.clone();
        header.insert("alg".to_owned(), self.wrap.name().into());
        header.insert("enc".to_owned(), self.contents.name().into());
        let header = encoding::encode(Value::Object(header).to_string().as_bytes());
        let mut secret = vec![0; self.contents.key_bytes()];
        let mut iv = vec![0; self.contents.iv_bytes()];
        rand::fill(&mut secret).ok()?;
        rand::fill(&mut iv).ok()?;
        let mut wrapped = vec![0; self.key.ciphertext_size()];
        let wrapped = self
            .key
            .encrypt(self.wrap.oaep(), &secret, &mut wrapped, None)
            .ok()?;
        let (text, tag) = self.contents.seal(&secret, &iv, header.as_bytes(), plain)?;
        let parts = [&*wrapped, &iv, &text, &tag].map(encoding::encode);
        Some(format!("{header}.{}", parts.join(".")))
    }
}

/// Decrypts with a private RSA key.
#[derive(Debug)]
pub struct Decrypter(OaepPrivateDecryptingKey);

impl Decrypter {
    /// Prepare a PKCS8 key in DER.
    ///
    /// # Errors
    /// No RSA key of 2048 to 8192 bits.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, JoseError> {
        PrivateDecryptingKey::from_pkcs8(der)
            .and_then(|key| OaepPrivateDecryptingKey::new(key).map_err(Into::into))
            .map(Self)
            .map_err(|_| JoseError::BadKey("key: not an RSA key of 2048 to 8192 bits".to_owned()))
    }

    /// Prepare a private key.
    ///
    /// # Errors
    /// No RSA key of 2048 to 8192 bits.
    pub fn of(private: &Private) -> Result<Self, JoseError> {
        let none = || JoseError::BadKey("key: not an RSA key; decryption needs one".to_owned());
        let Private::Rsa(pair) = private else {
            return Err(none());
        };
        let der: Pkcs8V1Der<'static> = pair.as_der().map_err(|_| none())?;
        Self::from_pkcs8(der.as_ref())
    }

    /// Take a compact JWE apart and decrypt it with these algorithms; its contents.
    ///
    /// # Errors
    /// Too long, malformed, `crit` or `zip`, another algorithm than wanted, or
    /// [`JoseError::BadDecryption`].
    pub fn decrypt(
        &self,
        token: &str,
        wrap: KeyWrap,
        contents: Contents,
    ) -> Result<Vec<u8>, JoseError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(JoseError::TooLong);
        }
        let parts: Vec<&str> = token.splitn(6, '.').collect();
        let [header, wrapped, iv, text, tag] = parts[..] else {
            return Err(JoseError::Malformed("not five parts"));
        };
        let what = "a part is not base64url";
        let members = encoding::object(
            &encoding::decode(header, what)?,
            "the header is no JSON object",
        )?;
        if members.contains_key("crit") || members.contains_key("zip") {
            return Err(JoseError::Critical);
        }
        let named = |name: &str| members.get(name).and_then(Value::as_str);
        if named("alg") != Some(wrap.name()) || named("enc") != Some(contents.name()) {
            return Err(JoseError::UnknownAlgorithm);
        }
        let (wrapped, iv) = (
            encoding::decode(wrapped, what)?,
            encoding::decode(iv, what)?,
        );
        let (text, tag) = (encoding::decode(text, what)?, encoding::decode(tag, what)?);
        let mut secret = vec![0; self.0.min_output_size()];
        // RFC 7516 section 11.5: a wrong key goes on with a random one and fails later, at the tag.
        let mut random = vec![0; contents.key_bytes()];
        rand::fill(&mut random).map_err(|_| JoseError::BadDecryption)?;
        let secret = match self.0.decrypt(wrap.oaep(), &wrapped, &mut secret, None) {
            Ok(secret) if secret.len() == contents.key_bytes() => &*secret,
            _ => &random,
        };
        contents
            .open(secret, &iv, header.as_bytes(), &text, &tag)
            .ok_or(JoseError::BadDecryption)
    }
}

/// The algorithms of Otoroshi's settings, `RSA_OAEP_256` and `A128CBC_HS256`, by name.
#[must_use]
pub fn named(wrap: &str, contents: &str) -> Option<(KeyWrap, Contents)> {
    let (wrap, contents) = (wrap.replace('_', "-"), contents.replace('_', "-"));
    let wrap = KeyWrap::ALL.into_iter().find(|it| it.name() == wrap)?;
    let contents = Contents::ALL.into_iter().find(|it| it.name() == contents)?;
    Some((wrap, contents))
}
