//! A certificate for a server on this machine, and the authority that signed it, made by openssl.
//!
//! They are made anew for each server and vanish with its folder. The authority's key is removed as
//! soon as it has signed, so nothing else is ever good under it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::user::RunAs;
use crate::cluster::BRIDGE_ADDRESS;
use crate::workspace::capture;

/// Longer than any server of tests lives.
const DAYS: &str = "30";
/// A key that is made in no time.
const KEY: &[&str] = &[
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
];

/// The authority's certificate, in a server's folder.
pub(crate) fn authority(folder: &Path) -> PathBuf {
    folder.join("ca.pem")
}

/// The server's certificate and its key, in a server's folder.
pub(crate) fn of_server(folder: &Path) -> (PathBuf, PathBuf) {
    (
        folder.join("server-cert.pem"),
        folder.join("server-key.pem"),
    )
}

/// Makes them, for the addresses by which a server on this machine is reached.
pub(crate) fn make(folder: &Path, user: RunAs) -> Result<()> {
    let found = capture(Command::new("openssl").arg("version"));
    ensure!(
        found.is_ok(),
        "openssl is needed to make a server's certificate and is not installed (Debian: apt-get install openssl)"
    );
    let openssl = |arguments: &[&str], more: &[&str]| {
        let mut command = Command::new("openssl");
        command.current_dir(folder).args(arguments).args(more);
        capture(&mut command).map(drop)
    };
    let authority = [
        "req",
        "-x509",
        "-days",
        DAYS,
        "-subj",
        "/CN=dbop-test-authority",
        "-keyout",
        "ca-key.pem",
        "-out",
        "ca.pem",
    ];
    openssl(&authority, KEY)?;
    let request = [
        "req",
        "-new",
        "-subj",
        "/CN=localhost",
        "-keyout",
        "server-key.pem",
        "-out",
        "server.csr",
    ];
    openssl(&request, KEY)?;
    let names = format!(
        "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:{BRIDGE_ADDRESS}\nbasicConstraints=critical,CA:FALSE\n\
         extendedKeyUsage=serverAuth\n"
    );
    std::fs::write(folder.join("names.cnf"), names)
        .context("a certificate's names cannot be written")?;
    let sign = [
        "x509",
        "-req",
        "-in",
        "server.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca-key.pem",
        "-set_serial",
        "2",
    ];
    openssl(
        &sign,
        &[
            "-days",
            DAYS,
            "-extfile",
            "names.cnf",
            "-out",
            "server-cert.pem",
        ],
    )?;
    for file in ["ca-key.pem", "server.csr", "names.cnf"] {
        std::fs::remove_file(folder.join(file)).context("a file of openssl cannot be removed")?;
    }
    for file in ["ca.pem", "server-cert.pem", "server-key.pem"] {
        user.own(&folder.join(file))?;
    }
    Ok(())
}
