//! A token's hash, which is all that is kept of it.

use std::{fmt, sync::Arc};

use aws_lc_rs::digest::{SHA256, digest};

/// A token's SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 32]);

/// Bytes of a hash that stand for what was hashed.
const SHOWN: usize = 6;

// === impl TokenHash ===

impl TokenHash {
    /// The hash of a token's text.
    pub fn of(token: &str) -> Self {
        let mut hash = [0; 32];
        // SHA-256 is as long as that.
        for (to, from) in hash.iter_mut().zip(digest(&SHA256, token.as_bytes()).as_ref()) {
            *to = *from;
        }
        Self(hash)
    }

    /// All of it.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// All of it in hexadecimal digits.
    pub fn to_hex(&self) -> String {
        let mut text = String::with_capacity(64);
        push_hex(&mut text, &self.0);
        text
    }

    /// Reads what [`Self::to_hex`] wrote.
    pub fn from_hex(text: &str) -> Option<Self> {
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        let mut hash = [0; 32];
        for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(Self(hash))
    }

    /// What stands for the token in keys, logs and status: `token-` and the first six bytes.
    pub fn name(&self) -> Arc<str> {
        shown("token-", &self.0).into()
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// What stands for a secret: what it is, and the beginning of its hash.
pub fn shown(what: &str, hash: &[u8]) -> String {
    let mut text = String::with_capacity(what.len() + 2 * SHOWN);
    text.push_str(what);
    push_hex(&mut text, hash.get(..SHOWN).unwrap_or_default());
    text
}

/// Appends bytes in hexadecimal. Every call needs it, and the formatter is slow at it.
pub fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)]);
        text.push(DIGITS[usize::from(byte & 0xf)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_shows_its_beginning_and_no_token() {
        // printf xoxb-1 | sha256sum
        let hash = TokenHash::of("xoxb-1");
        assert_eq!(&*hash.name(), "token-4cf3463fc5d8");
        assert_eq!(format!("{hash:?}"), "token-4cf3463fc5d8");
    }
}
