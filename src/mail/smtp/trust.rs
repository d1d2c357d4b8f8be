//! `mail.smtp_authorities`: who may vouch for the relay.

use std::path::Path;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::client::{Certificate, TlsParameters};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use thiserror::Error as ThisError;

/// What is wrong with the file.
#[derive(Debug, ThisError)]
pub enum BadAuthorities {
    /// It isn't PEM, or can't be read.
    #[error("mail.smtp_authorities can't be read: {0}")]
    Unreadable(pem::Error),
    /// Nothing is in it.
    #[error("mail.smtp_authorities has no certificate")]
    Empty,
    /// What is in it is none.
    #[error("mail.smtp_authorities has a certificate that is none: {0}")]
    Malformed(Error),
}

/// How the relay is known by its certificate: it names `host`, and a public authority vouches for
/// it or, if `file` is not empty, one of those in that PEM file.
///
/// # Errors
/// What is wrong with the file.
pub fn parameters(host: &str, file: &str) -> Result<TlsParameters, BadAuthorities> {
    let mut parameters = TlsParameters::builder(host.to_owned());
    if !file.is_empty() {
        let found: Vec<CertificateDer> = CertificateDer::pem_file_iter(Path::new(file))
            .and_then(Iterator::collect)
            .map_err(BadAuthorities::Unreadable)?;
        if found.is_empty() {
            return Err(BadAuthorities::Empty);
        }
        for certificate in found {
            let certificate = Certificate::from_der(certificate.to_vec());
            let certificate = certificate.map_err(BadAuthorities::Malformed)?;
            parameters = parameters.add_root_certificate(certificate);
        }
    }
    parameters.build().map_err(BadAuthorities::Malformed)
}
