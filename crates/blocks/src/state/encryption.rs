//! Values that only the sidecar can read: AES-GCM under a key of the component's metadata.
//!
//! What is stored is `base64(nonce, cipher text, tag) || "||" || name of the key`.

use aws_lc_rs::{
    aead::{AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, Algorithm, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use component::Properties;

const SEPARATOR: &[u8] = b"||";
const TAG_LEN: usize = 16;

/// The fields of a component's metadata, first that of the key for what is written.
const FIELDS: [&str; 2] = ["primaryEncryptionKey", "secondaryEncryptionKey"];

/// What follows a field's name in the field that says what its secret is called.
pub const NAME_SUFFIX: &str = runtime::load::SECRET_NAME;

/// The keys of a store.
pub(super) struct Keys {
    primary: Key,
    secondary: Option<Key>,
}

struct Key {
    name: String,
    key: LessSafeKey,
}

impl Keys {
    /// The keys that the metadata hold; none if there are none.
    pub(super) fn of(properties: &Properties) -> Result<Option<Self>, String> {
        let [primary, secondary] = FIELDS;
        let Some(primary) = Key::of(properties, primary)? else {
            return Ok(None);
        };
        let secondary = Key::of(properties, secondary)?;
        Ok(Some(Self { primary, secondary }))
    }

    /// The stored form of a value.
    pub(super) fn seal(&self, value: &[u8]) -> Result<Bytes, String> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).map_err(|_| "there is no randomness")?;
        let mut sealed = Vec::with_capacity(NONCE_LEN + value.len() + TAG_LEN);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(value);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let key = &self.primary.key;
        let tag = key.seal_in_place_separate_tag(nonce, Aad::empty(), &mut sealed[NONCE_LEN..]);
        sealed.extend_from_slice(tag.map_err(|_| "encryption failed")?.as_ref());
        let mut out = STANDARD.encode(sealed).into_bytes();
        out.extend_from_slice(SEPARATOR);
        out.extend_from_slice(self.primary.name.as_bytes());
        Ok(out.into())
    }

    /// The value of a stored form.
    pub(super) fn open(&self, stored: &[u8]) -> Result<Bytes, String> {
        let at = memchr::memmem::rfind(stored, SEPARATOR).ok_or("the value in the store is not encrypted")?;
        let (text, name) = (&stored[..at], &stored[at + SEPARATOR.len()..]);
        let sealed = STANDARD
            .decode(text)
            .map_err(|_| "the value in the store is not encrypted")?;
        let (nonce, text) = sealed
            .split_at_checked(NONCE_LEN)
            .ok_or("the value in the store is not encrypted")?;
        // The name decides, as long as both keys are known by theirs; a key that was renamed is tried after that.
        let mut keys: Vec<&Key> = std::iter::once(&self.primary).chain(&self.secondary).collect();
        keys.sort_by_key(|key| key.name.as_bytes() != name);
        for key in keys {
            let nonce =
                Nonce::try_assume_unique_for_key(nonce).map_err(|_| "the value in the store is not encrypted")?;
            let mut text = text.to_vec();
            if let Ok(value) = key.key.open_in_place(nonce, Aad::empty(), &mut text) {
                let length = value.len();
                text.truncate(length);
                return Ok(text.into());
            }
        }
        let name = String::from_utf8_lossy(name);
        Err(format!(
            "the value in the store cannot be decrypted: no key fits; it was encrypted with {name:?}"
        ))
    }
}

impl Key {
    fn of(properties: &Properties, field: &str) -> Result<Option<Self>, String> {
        let Some(text) = properties.get(field) else {
            return Ok(None);
        };
        // A secret that is missing leaves the field empty: then nothing may be stored in the clear.
        if text.is_empty() {
            return Err(format!("metadata field {field}: encryption key cannot be empty"));
        }
        let bytes = hex::decode(text).map_err(|_| format!("metadata field {field} is no hexadecimal number"))?;
        let algorithm = algorithm(bytes.len()).ok_or_else(|| {
            format!(
                "metadata field {field} has {} bytes; a key has 16, 24 or 32",
                bytes.len()
            )
        })?;
        let key = UnboundKey::new(algorithm, &bytes).map_err(|_| format!("metadata field {field} is no key"))?;
        let key = LessSafeKey::new(key);
        let name = properties
            .get(&format!("{field}{NAME_SUFFIX}"))
            .unwrap_or(field)
            .to_owned();
        Ok(Some(Self { name, key }))
    }
}

fn algorithm(length: usize) -> Option<&'static Algorithm> {
    match length {
        16 => Some(&AES_128_GCM),
        24 => Some(&AES_192_GCM),
        32 => Some(&AES_256_GCM),
        _ => None,
    }
}
