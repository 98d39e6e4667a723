//! `cargo xtask dist`: what is given to others. A static binary, an image of it as an archive that
//! containerd, Docker and Podman read, and `install.yaml` that names this image.
//!
//! No Docker is needed, and nothing is pushed anywhere. Equal sources give equal archives.

pub(crate) mod bill;
pub(crate) mod helm;
pub(crate) mod image;
pub(crate) mod install;
pub(crate) mod link;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use crate::cache::sha256_of;
use crate::process::TemporaryFolder;
use crate::workspace::{self, capture};
use image::{Image, Source};
use link::Profile;

/// The package and the program.
const OPERATOR: &str = "database-operator";

/// The arguments of `cargo xtask dist`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// What the image is called where a cluster asks for it. Default: database-operator:VERSION,
    /// for nodes that the archive is loaded into.
    #[arg(long, value_name = "NAME")]
    image: Option<String>,
    /// Where the files go [default: dist in cargo's target folder]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Not optimised: for tests, ready sooner.
    #[arg(long)]
    debug: bool,
}

/// Builds everything and says where it is.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let root = workspace::root()?;
    let name = match &arguments.image {
        Some(name) => image::with_tag(name)?,
        None => install::default_image(),
    };
    let out = match &arguments.out {
        Some(folder) => folder.clone(),
        None => workspace::target(&root).join("dist"),
    };
    std::fs::create_dir_all(&out)
        .with_context(|| format!("{} cannot be created", out.display()))?;
    let profile = match arguments.debug {
        true => Profile::Debug,
        false => Profile::Release,
    };

    let archive = out.join(format!("{OPERATOR}-{}.tar", env!("CARGO_PKG_VERSION")));
    let binary = operator_image(&root, &name, profile, &archive)?;
    let copy = out.join(OPERATOR);
    std::fs::copy(&binary, &copy)
        .with_context(|| format!("{} cannot be written", copy.display()))?;
    let manifests = out.join("install.yaml");
    let text = install::render(&root, &Default::default(), &name)?;
    std::fs::write(&manifests, text)
        .with_context(|| format!("{} cannot be written", manifests.display()))?;

    for file in [&copy, &archive, &manifests] {
        let bytes = file.metadata().context("a file has gone")?.len();
        println!(
            "{}  {}  {:.1} MB",
            sha256_of(file)?,
            file.display(),
            bytes as f64 / 1e6
        );
    }
    println!("\nThe image is {name}. To have it on a node, one of:");
    println!(
        "  ctr --namespace k8s.io images import {}",
        archive.display()
    );
    println!(
        "  docker load --input {0}    podman load --input {0}",
        archive.display()
    );
    println!("  kind load image-archive {}", archive.display());
    println!(
        "Then: kubectl apply --server-side --filename {}",
        manifests.display()
    );
    Ok(())
}

/// Builds the operator and writes an archive of its image; gives the binary.
pub(crate) fn operator_image(
    root: &Path,
    name: &str,
    profile: Profile,
    archive: &Path,
) -> Result<PathBuf> {
    let programs = link::build(root, profile, &[OPERATOR])?;
    let binary = programs.join(OPERATOR);
    ensure!(
        link::is_static(&binary)?,
        "{} needs a loader and libraries, which an image of one file does not have; is the C library \
         installed in its static form (Debian: libc6-dev)?",
        binary.display()
    );
    let scratch = TemporaryFolder::new(workspace::target(root).join("dist-image"))?;
    let bill = scratch.path().join("sbom.json");
    std::fs::write(&bill, bill::of(root, OPERATOR)?)
        .context("the bill of materials cannot be written")?;
    let image = Image {
        name: name.to_owned(),
        files: vec![
            Source::program(OPERATOR, &binary),
            Source::text("sbom.json", &bill),
        ],
        entrypoint: vec![format!("/{OPERATOR}")],
        labels: labels(root)?,
        created: created(root)?,
        ..Image::default()
    };
    image.write(archive)?;
    Ok(binary)
}

/// What the image says of itself.
fn labels(root: &Path) -> Result<Vec<(String, String)>> {
    let mut labels = vec![
        ("org.opencontainers.image.licenses", "Apache-2.0".to_owned()),
        ("org.opencontainers.image.title", OPERATOR.to_owned()),
        (
            "org.opencontainers.image.version",
            env!("CARGO_PKG_VERSION").to_owned(),
        ),
    ];
    // A copy of the sources without their history has no revision to name.
    if let Ok(revision) = capture(git(root).args(["rev-parse", "HEAD"])) {
        let changed =
            !capture(git(root).args(["status", "--porcelain", "--untracked-files=no"]))?.is_empty();
        let mark = if changed { "-changed" } else { "" };
        labels.push((
            "org.opencontainers.image.revision",
            format!("{revision}{mark}"),
        ));
    }
    Ok(labels
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect())
}

/// The time that everything in the image bears, in seconds since 1970: `SOURCE_DATE_EPOCH`, else that
/// of the commit. Never the time of the build: it would make each archive another one.
pub(crate) fn created(root: &Path) -> Result<u64> {
    let text = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) if !text.is_empty() => text,
        _ => capture(git(root).args(["log", "-1", "--format=%ct"])).context(
            "there is no commit whose time the image could bear; set SOURCE_DATE_EPOCH, as 0",
        )?,
    };
    text.parse()
        .with_context(|| format!("SOURCE_DATE_EPOCH is a number of seconds, not {text:?}"))
}

fn git(root: &Path) -> Command {
    let mut git = Command::new("git");
    git.current_dir(root);
    git
}
