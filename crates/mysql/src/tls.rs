//! TLS by rustls, in the modes of MySQL's own programs: encrypted only, signed by the CA, and naming the host besides.
//!
//! There is no mode that falls back to plain text, and no certificate store but the CA that the user names. The
//! driver checks a certificate with its name or not at all; so under `VerifyCa` one that bears another name is
//! asked for by a name that it does bear, on a second connection, where its chain is verified all the same.

use dbop_model::TlsMode;
use mysql_async::{Error, IoError, SslOpts, TlsError};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CertificateError, RootCertStore};

/// More certificates than any bundle of CAs holds.
const CERTIFICATES_MAX: usize = 1000;

/// How to speak TLS; `None`: not at all. `name` is the one to verify, in place of the host's.
///
/// # Errors
/// Why the mode cannot be had, as a clause.
pub(crate) fn options(
    mode: TlsMode,
    ca_certificate: Option<&str>,
    name: Option<String>,
) -> Result<Option<SslOpts>, String> {
    let verified = match mode {
        TlsMode::Disable => return Ok(None),
        TlsMode::Require => {
            return Ok(Some(
                SslOpts::default().with_danger_accept_invalid_certs(true),
            ));
        }
        TlsMode::VerifyCa | TlsMode::VerifyFull => by_chain(ca_certificate)?,
    };
    Ok(Some(verified.with_danger_tls_hostname_override(name)))
}

fn by_chain(ca_certificate: Option<&str>) -> Result<SslOpts, String> {
    let pem = ca_certificate.ok_or(
        "the certificate is to be verified, and no CA is given; name its Secret in \
         connection.tls.caSecret",
    )?;
    // The driver would take what is no PEM for one certificate, and would say so only when it connects.
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()).take(CERTIFICATES_MAX) {
        let certificate = certificate.map_err(|_| "the CA certificate is not PEM")?;
        roots
            .add(certificate)
            .map_err(|error| format!("the CA certificate is unfit: {error}"))?;
    }
    if roots.is_empty() {
        return Err("the CA certificate holds no certificate".to_owned());
    }
    Ok(SslOpts::default()
        .with_root_certs(vec![pem.as_bytes().to_vec().into()])
        .with_disable_built_in_roots(true))
}

/// The error of TLS that a connection failed by, where it was one.
pub(crate) fn cause(error: &Error) -> Option<&rustls::Error> {
    match error {
        Error::Io(IoError::Tls(TlsError::Tls(error))) => Some(error),
        // During the handshake it comes through the stream.
        Error::Io(IoError::Io(io)) => io.get_ref()?.downcast_ref(),
        _ => None,
    }
}

/// A name that the certificate bears, where its chain was fine and only the name was not.
pub(crate) fn presented(error: &Error) -> Option<String> {
    match cause(error)? {
        rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext {
            presented,
            ..
        }) => presented.iter().find_map(|name| {
            // As webpki writes it: DnsName("db.example").
            let name = name.strip_prefix("DnsName(\"")?.strip_suffix("\")")?;
            // A wildcard stands for any one label.
            Some(match name.strip_prefix("*.") {
                Some(parent) => format!("any.{parent}"),
                None => name.to_owned(),
            })
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_that_verify_need_a_ca() {
        assert!(options(TlsMode::Disable, None, None).unwrap().is_none());
        assert!(options(TlsMode::Require, None, None).unwrap().is_some());
        for mode in [TlsMode::VerifyCa, TlsMode::VerifyFull] {
            for (ca, says) in [
                (None, "no CA is given"),
                (Some("secret"), "holds no certificate"),
                (
                    Some("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"),
                    "not PEM",
                ),
            ] {
                let error = options(mode, ca, None).unwrap_err();
                assert!(error.contains(says), "{error}");
            }
        }
    }
}
