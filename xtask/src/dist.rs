//! `cargo xtask dist`: what is given to others. Static binaries of the operator and of `dbop-migrate`,
//! an image of each as an archive that containerd, Docker and Podman read, and `install.yaml`.
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

/// The operator's package and program.
const OPERATOR: &str = "database-operator";
/// The ready-made migration program, and its package.
const MIGRATE: &str = "dbop-migrate";

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

    let programs = link::build(&root, profile, &[OPERATOR, MIGRATE])?;
    let mut files = Vec::new();
    let mut images = Vec::new();
    for (program, name) in [
        (OPERATOR, name.clone()),
        (MIGRATE, image::sibling(&name, MIGRATE)),
    ] {
        let copy = out.join(program);
        std::fs::copy(programs.join(program), &copy)
            .with_context(|| format!("{} cannot be written", copy.display()))?;
        let archive = out.join(format!("{program}-{}.tar", env!("CARGO_PKG_VERSION")));
        of_program(&root, &programs, program, &name, &archive)?;
        files.extend([copy, archive.clone()]);
        images.push((name, archive));
    }
    let manifests = out.join("install.yaml");
    let text = install::render(&root, &Default::default(), &name)?;
    std::fs::write(&manifests, text)
        .with_context(|| format!("{} cannot be written", manifests.display()))?;
    files.push(manifests.clone());

    for file in &files {
        let bytes = file.metadata().context("a file has gone")?.len() as f64;
        println!(
            "{}  {}  {:.1} MB",
            sha256_of(file)?,
            file.display(),
            bytes / 1e6
        );
    }
    for (name, archive) in images {
        let archive = archive.display();
        println!("\nThe image {name}; to have it on a node, one of:");
        println!("  ctr --namespace k8s.io images import {archive}");
        println!("  docker load --input {archive}");
        println!("  podman load --input {archive}");
        println!("  kind load image-archive {archive}");
    }
    println!(
        "\nThen: kubectl apply --server-side --filename {}",
        manifests.display()
    );
    Ok(())
}

/// Writes an archive of the image of one program of ours, with its bill of materials. `programs` is
/// the folder that [`link::build`] gave; the program's package has its name.
pub(crate) fn of_program(
    root: &Path,
    programs: &Path,
    program: &str,
    name: &str,
    archive: &Path,
) -> Result<()> {
    let binary = programs.join(program);
    ensure!(
        link::is_static(&binary)?,
        "{} needs a loader and libraries, which an image of one file does not have; is the C library \
         installed in its static form (Debian: libc6-dev)?",
        binary.display()
    );
    let scratch = TemporaryFolder::new(workspace::target(root).join("dist-image"))?;
    let bill = scratch.path().join("sbom.json");
    std::fs::write(&bill, bill::of(root, program)?)
        .context("the bill of materials cannot be written")?;
    let image = Image {
        name: name.to_owned(),
        files: vec![
            Source::program(format!("usr/local/bin/{program}"), &binary),
            Source::text("sbom.json", &bill),
        ],
        entrypoint: vec![program.to_owned()],
        // So that a command may name the program as people do.
        environment: vec!["PATH=/usr/local/bin".to_owned()],
        labels: labels(root, program)?,
        created: created(root)?,
        ..Image::default()
    };
    image.write(archive)
}

/// What the image says of itself.
fn labels(root: &Path, title: &str) -> Result<Vec<(String, String)>> {
    let mut labels = vec![
        ("org.opencontainers.image.licenses", "Apache-2.0".to_owned()),
        ("org.opencontainers.image.title", title.to_owned()),
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
