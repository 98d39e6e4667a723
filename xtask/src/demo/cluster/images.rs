//! The demo's two images: the operator's own, and one with the shop's programs and migrations.
//!
//! They are made without Docker, from static programs that are not optimised, and never pulled.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use crate::cluster::{Cluster, Form};
use crate::demo::{ORIGIN, PACKAGES, tell};
use crate::dist::image::{Image, Source};
use crate::dist::link::{self, Profile};
use crate::dist::{created, of_program};
use crate::progress::Progress;
use crate::workspace;

/// The operator's image.
pub(super) const OPERATOR: &str = "dbop-demo/operator:demo";
/// The image of the shop, its migrations, and demo-sql.
const SHOP: &str = "dbop-demo/shop:demo";
/// The programs in it.
const PROGRAMS: [&str; 3] = ["dbop-migrate", "demo-sql", "shop-app"];
/// The folders of the migrations in it.
const MIGRATIONS: [&str; 2] = ["shop/migrations", "next"];

/// Builds both; their archives.
pub(super) fn build(root: &Path) -> Result<Vec<PathBuf>> {
    ensure!(
        cfg!(target_os = "linux"),
        "images hold programs for Linux. Make them with Docker, and add --loaded:\n\
         \x20 docker build -f {ORIGIN}/cluster/Dockerfile --target operator -t {OPERATOR} .\n\
         \x20 docker build -f {ORIGIN}/cluster/Dockerfile --target shop -t {SHOP} ."
    );
    let programs = link::build(root, Profile::Debug, PACKAGES)?;
    let folder = workspace::target(root).join("demo-images");
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("{} cannot be created", folder.display()))?;
    let operator = folder.join("operator.tar");
    of_program(root, &programs, "database-operator", OPERATOR, &operator)?;

    let mut files: Vec<Source> = PROGRAMS
        .iter()
        .map(|name| Source::program(format!("usr/local/bin/{name}"), programs.join(name)))
        .collect();
    for migrations in MIGRATIONS {
        let from = root.join(ORIGIN).join(migrations);
        let entries =
            std::fs::read_dir(&from).with_context(|| format!("{} is missing", from.display()))?;
        for entry in entries {
            let path = entry.context("a folder cannot be read")?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.ends_with(".sql") {
                files.push(Source::text(format!("migrations/{name}"), &path));
            }
        }
    }
    let shop = folder.join("shop.tar");
    Image {
        name: SHOP.to_owned(),
        files,
        environment: vec!["PATH=/usr/local/bin".to_owned()],
        created: created(root)?,
        ..Image::default()
    }
    .write(&shop)?;
    Ok(vec![operator, shop])
}

/// Brings them to the nodes, or asks the person whose cluster it is to do that.
pub(super) fn load(cluster: &Cluster, archives: &[PathBuf]) -> Result<()> {
    if matches!(cluster.form(), Some(Form::Node | Form::Kind)) {
        let mut progress = Progress::new("loading the images");
        for archive in archives {
            progress.tick(&archive.display().to_string());
            cluster.load(archive)?;
        }
        return Ok(());
    }
    let all: Vec<String> = archives.iter().map(|a| a.display().to_string()).collect();
    let how = format!(
        "minikube image load {0}   # Docker Desktop: docker load -i FILE for each; kind: kind load \
         image-archive {0}",
        all.join(" ")
    );
    if !std::io::stdin().is_terminal() {
        bail!("the cluster's nodes are not ours: load the images, and add --loaded:\n  {how}");
    }
    tell::line("The cluster's nodes are not ours. Load the images there, then press Enter:");
    tell::line(&format!("  {how}"));
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    ensure!(
        read.context("the terminal cannot be read")? > 0,
        "nobody has said that the images are loaded"
    );
    Ok(())
}
