//! Passwords as SCRAM-SHA-256 verifiers, made here: the password itself never reaches the server, its logs
//! or its statistics (PostgreSQL manual, section 20.5).

use dbop_database::DatabaseError;
use secrecy::{ExposeSecret, SecretString};

/// The verifier of a password, with a fresh salt.
pub(crate) fn verifier(
    operation: &'static str,
    password: &SecretString,
) -> Result<String, DatabaseError> {
    let password = password.expose_secret();
    // The server treats an empty password as none, and cuts at NUL: both would be another password.
    if password.is_empty() || password.contains('\0') {
        return Err(DatabaseError::Unreadable {
            operation,
            detail: "the password is empty or holds a NUL character".to_owned(),
        });
    }
    Ok(postgres_protocol::password::scram_sha_256(
        password.as_bytes(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_is_one_and_differs_each_time() {
        let password: SecretString = "canary".to_owned().into();
        let one = verifier("test", &password).unwrap();
        assert!(one.starts_with("SCRAM-SHA-256$4096:"), "{one}");
        assert!(!one.contains("canary") && !one.contains('\''));
        assert_ne!(one, verifier("test", &password).unwrap());
        for bad in ["", "a\0b"] {
            assert!(verifier("test", &bad.to_owned().into()).is_err());
        }
    }
}
