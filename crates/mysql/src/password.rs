//! Passwords as the hashes that servers keep, made here: the password itself never reaches the server's statements,
//! logs or statistics.
//!
//! MySQL: `caching_sha2_password`, SHA-256 in crypt(3)'s form with 5000 rounds (MySQL 8.4 manual, section
//! 8.4.1.1). MariaDB: `ed25519` where the server has that plugin, else `mysql_native_password`, which all have.

use aws_lc_rs::digest::{self, Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA512};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use curve25519_dalek::EdwardsPoint;
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use dbop_database::DatabaseError;
use dbop_model::Engine;
use secrecy::{ExposeSecret, SecretString};

/// Bytes of a salt: crypt(3) has 16, MySQL 20.
const SALT_BYTES: usize = 20;
/// Rounds: the server writes them in thousands.
const ROUNDS: usize = 5000;
const SHA256_BYTES: usize = 32;
/// crypt(3)'s alphabet.
const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// What of a SHA-1 hash is kept: all.
const SHA1_BYTES: usize = 20;

/// How a server keeps passwords.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// `caching_sha2_password`, MySQL's.
    CachingSha2,
    /// `ed25519`, a plugin of MariaDB's.
    Ed25519,
    /// `mysql_native_password`, MariaDB's.
    Native,
}

/// How an account is told its password: `IDENTIFIED ...`, a hash of it within.
///
/// # Errors
/// An empty password, or one with a NUL character: the server would take it for another one.
pub(crate) fn identified(
    operation: &'static str,
    scheme: Scheme,
    password: &SecretString,
) -> Result<String, DatabaseError> {
    let password = password.expose_secret();
    let unfit = |detail: &str| DatabaseError::Unreadable {
        operation,
        detail: detail.to_owned(),
    };
    if password.is_empty() || password.contains('\0') {
        return Err(unfit("the password is empty or holds a NUL character"));
    }
    if scheme == Scheme::Ed25519 {
        let key = public_key(password.as_bytes());
        return Ok(format!("IDENTIFIED VIA ed25519 USING '{key}'"));
    }
    if scheme == Scheme::Native {
        let once = digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
        let twice = digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, once.as_ref());
        return Ok(by_native(twice.as_ref()));
    }
    let mut salt = [0; SALT_BYTES];
    rand::fill(&mut salt).map_err(|_| unfit("there is no randomness for a salt"))?;
    for byte in &mut salt {
        *byte = ALPHABET[usize::from(*byte & 63)];
    }
    Ok(by_sha2(&salt, &crypt(password.as_bytes(), &salt)))
}

/// What an account is told that nobody logs in to: a hash of which nobody knows a password. It follows from the
/// account's name, so that an account that bears it is known as ours before it has its mark (MariaDB).
pub(crate) fn unusable(engine: Engine, account: &str) -> String {
    let seed = format!("database-operator: nobody logs in to {account}");
    let digest = digest::digest(&SHA256, seed.as_bytes());
    match engine {
        Engine::MariaDb => by_native(&digest.as_ref()[..SHA1_BYTES]),
        _ => {
            let letter = |byte: &u8| ALPHABET[usize::from(*byte & 63)];
            let salt: Vec<u8> = digest.as_ref()[..SALT_BYTES].iter().map(letter).collect();
            by_sha2(&salt, &encoded(digest.as_ref()))
        }
    }
}

/// The hash alone that [`unusable`] tells MariaDB.
pub(crate) fn unusable_hash(account: &str) -> String {
    let told = unusable(Engine::MariaDb, account);
    told.split('\'').nth(1).unwrap_or_default().to_owned()
}

/// The public key of RFC 8032, whose secret is the password: its hash, clamped, times the base point.
fn public_key(password: &[u8]) -> String {
    let hash = digest::digest(&SHA512, password);
    let secret = clamp_integer(bytes(hash.as_ref()));
    let key = EdwardsPoint::mul_base(&Scalar::from_bytes_mod_order(secret)).compress();
    STANDARD_NO_PAD.encode(key.as_bytes())
}

fn by_native(hash: &[u8]) -> String {
    let hex: String = hash.iter().map(|b| format!("{b:02X}")).collect();
    format!("IDENTIFIED VIA mysql_native_password USING '*{hex}'")
}

/// In hexadecimal, as a salt's characters may be any (MySQL 8.4 manual, section 15.7.1.3).
fn by_sha2(salt: &[u8], hash: &str) -> String {
    let mut text = b"$A$005$".to_vec();
    text.extend(salt);
    text.extend(hash.bytes());
    let hex: String = text.iter().map(|b| format!("{b:02X}")).collect();
    format!("IDENTIFIED WITH caching_sha2_password AS 0x{hex}")
}

/// SHA-256 in crypt(3)'s form, as Ulrich Drepper's specification has it.
fn crypt(password: &[u8], salt: &[u8]) -> String {
    let b = digest::digest(&SHA256, &[password, salt, password].concat());
    let mut a = Context::new(&SHA256);
    a.update(password);
    a.update(salt);
    a.update(&repeated(b.as_ref(), password.len()));
    let mut bits = password.len();
    while bits > 0 {
        a.update(if bits & 1 == 1 { b.as_ref() } else { password });
        bits >>= 1;
    }
    let mut c: [u8; SHA256_BYTES] = bytes(a.finish().as_ref());
    let p = digest::digest(&SHA256, &password.repeat(password.len()));
    let p = repeated(p.as_ref(), password.len());
    let s = digest::digest(&SHA256, &salt.repeat(16 + usize::from(c[0])));
    let s = repeated(s.as_ref(), salt.len());
    for round in 0..ROUNDS {
        let mut context = Context::new(&SHA256);
        let is_odd = round % 2 == 1;
        context.update(if is_odd { &p[..] } else { &c[..] });
        if round % 3 != 0 {
            context.update(&s);
        }
        if round % 7 != 0 {
            context.update(&p);
        }
        context.update(if is_odd { &c[..] } else { &p[..] });
        c = bytes(context.finish().as_ref());
    }
    encoded(&c)
}

/// The first `length` bytes of `hash` over and over.
fn repeated(hash: &[u8], length: usize) -> Vec<u8> {
    hash.iter().copied().cycle().take(length).collect()
}

fn bytes(hash: &[u8]) -> [u8; SHA256_BYTES] {
    let mut bytes = [0; SHA256_BYTES];
    bytes.copy_from_slice(&hash[..SHA256_BYTES]);
    bytes
}

/// crypt(3)'s own base 64: its own alphabet, and the bytes in an order of its own.
fn encoded(hash: &[u8]) -> String {
    let mut text = String::new();
    let mut put = |high: usize, middle: usize, low: usize, letters: usize| {
        let mut bits = (high << 16) | (middle << 8) | low;
        for _ in 0..letters {
            text.push(char::from(ALPHABET[bits & 63]));
            bits >>= 6;
        }
    };
    let at = |index: usize| usize::from(hash[index]);
    for step in 0..10 {
        // 0 10 20, 21 1 11, 12 22 2, ...: each byte 21 after the one before it in its place, within 30.
        let place = |from: usize| (from + 21 * step) % 30;
        put(at(place(0)), at(place(10)), at(place(20)), 4);
    }
    put(0, at(31), at(30), 3);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crypt_is_that_of_its_specification() {
        // As `openssl passwd -5` has it.
        assert_eq!(
            crypt(b"Hello world!", b"saltstring"),
            "5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"
        );
    }

    #[test]
    fn a_hash_holds_no_password_and_differs_each_time() {
        let password: SecretString = "canary".to_owned().into();
        let one = identified("test", Scheme::CachingSha2, &password).unwrap();
        assert!(
            one.starts_with("IDENTIFIED WITH caching_sha2_password AS 0x2441"),
            "{one}"
        );
        assert_ne!(
            one,
            identified("test", Scheme::CachingSha2, &password).unwrap()
        );
        let native = identified("test", Scheme::Native, &"password".to_owned().into()).unwrap();
        assert!(
            native.ends_with("'*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19'"),
            "{native}"
        );
        // As MariaDB's manual has it of this password.
        let key = identified("test", Scheme::Ed25519, &"secret".to_owned().into()).unwrap();
        assert!(
            key.ends_with("'ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY'"),
            "{key}"
        );
        for bad in ["", "a\0b"] {
            for scheme in [Scheme::CachingSha2, Scheme::Ed25519, Scheme::Native] {
                assert!(identified("test", scheme, &bad.to_owned().into()).is_err());
            }
        }
    }

    #[test]
    fn what_is_unusable_follows_from_the_account() {
        assert_eq!(
            unusable(Engine::MariaDb, "a"),
            unusable(Engine::MariaDb, "a")
        );
        assert_ne!(
            unusable(Engine::MariaDb, "a"),
            unusable(Engine::MariaDb, "b")
        );
        assert_eq!(unusable_hash("a").len(), 41);
        assert_ne!(unusable(Engine::MySql, "a"), unusable(Engine::MySql, "b"));
    }
}
