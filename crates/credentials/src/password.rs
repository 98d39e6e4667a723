//! Passwords from random bytes that the caller brings.

use secrecy::SecretString;

/// Random bytes of a password: 24 give 192 bits.
pub const PASSWORD_BYTES: usize = 24;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A password of 32 characters of `[A-Za-z0-9_-]`: it needs no quoting in URLs, shells or SQL.
pub fn password(random: [u8; PASSWORD_BYTES]) -> SecretString {
    let text: String = random
        .chunks_exact(3)
        .flat_map(|b| {
            let bits = u32::from_be_bytes([0, b[0], b[1], b[2]]);
            [18, 12, 6, 0].map(|shift| char::from(ALPHABET[(bits >> shift & 63) as usize]))
        })
        .collect();
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn every_bit_of_randomness_counts() {
        let of = |bytes| password(bytes).expose_secret().to_owned();
        let zero = of([0; PASSWORD_BYTES]);
        assert_eq!(zero.len(), 32);
        for bit in 0..PASSWORD_BYTES * 8 {
            let mut bytes = [0; PASSWORD_BYTES];
            bytes[bit / 8] |= 1 << (bit % 8);
            assert_ne!(of(bytes), zero, "bit {bit}");
        }
    }
}
