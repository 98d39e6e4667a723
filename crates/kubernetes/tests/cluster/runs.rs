//! Runs that do not go well: they stop the walk, by name, until a person says what is to be done.

use dbop_api::{ACCEPT_RUN_ANNOTATION, DatabaseMigration, ManagedDatabase, RETRY_ANNOTATION};
use dbop_model::{ObservedVersion, SchemaVersion};
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::json;

use crate::kubelet::{Kubelet, Script};
use crate::site::{Site, eventually};

async fn job_names(site: &Site) -> Vec<String> {
    let jobs = site
        .api::<Job>()
        .list(&ListParams::default())
        .await
        .unwrap();
    jobs.iter().map(ResourceExt::name_any).collect()
}

#[tokio::test]
async fn a_failed_run_stops_until_a_person_says_retry() {
    let mut site = Site::new("retry").await;
    let kubelet = Kubelet::start(&site);
    kubelet.script("v2", Script::Fails);
    site.migrations(2).await;
    site.database("shop", "v2").await;
    site.start().await;
    site.shows("shop", "blocked: the run of v2").await;
    let run = site.status("shop").await.last_run.unwrap();
    assert_eq!((run.migration.as_str(), run.exit_code), ("v2", Some(1)));
    assert_eq!(kubelet.runs(), 2);
    kubelet.script("v2", Script::Succeeds);
    let word = json!({ "metadata": { "annotations": { RETRY_ANNOTATION: run.job } } });
    site.patch::<ManagedDatabase>("shop", word).await;
    site.at_rest("shop", "v2").await;
    assert_eq!(kubelet.runs(), 3);
}

#[tokio::test]
async fn a_run_that_moved_the_version_and_failed_can_be_accepted() {
    let mut site = Site::new("accept").await;
    let kubelet = Kubelet::start(&site);
    kubelet.script("v2", Script::Fails);
    site.migrations(2).await;
    site.database("shop", "v1").await;
    site.start().await;
    site.at_rest("shop", "v1").await;
    site.desire("shop", "v2").await;
    site.shows("shop", "blocked: the run of v2").await;
    let v2 = SchemaVersion::new("v2").unwrap();
    site.server.set_version(ObservedVersion::At(v2));
    let job = site.status("shop").await.last_run.unwrap().job;
    let word = json!({ "metadata": { "annotations": { ACCEPT_RUN_ANNOTATION: job } } });
    site.patch::<ManagedDatabase>("shop", word).await;
    site.at_rest("shop", "v2").await;
    assert_eq!(kubelet.runs(), 2, "it did not run again");
}

#[tokio::test]
async fn a_job_that_never_started_is_replaced_when_its_migration_changes() {
    let mut site = Site::new("image").await;
    let kubelet = Kubelet::start(&site);
    kubelet.script("v1", Script::NoImage);
    site.migrations(1).await;
    site.database("shop", "v1").await;
    site.start().await;
    site.shows("shop", "ImagePullBackOff").await;
    let before = job_names(&site).await;
    let image =
        json!({ "spec": { "container": { "name": "migrate", "image": "test/migrate:2" } } });
    site.patch::<DatabaseMigration>("v1", image).await;
    // A Job's name says which run it is, so the new one has the same.
    eventually("the Job is made anew", async || {
        images(&site).await == ["test/migrate:2"]
    })
    .await;
    assert_eq!(job_names(&site).await, before);
    kubelet.script("v1", Script::Succeeds);
    site.at_rest("shop", "v1").await;
    assert_eq!(kubelet.runs(), 1, "the first never ran");
}

async fn images(site: &Site) -> Vec<String> {
    let jobs = site
        .api::<Job>()
        .list(&ListParams::default())
        .await
        .unwrap();
    let pods = jobs
        .items
        .into_iter()
        .filter_map(|job| job.spec?.template.spec);
    pods.filter_map(|mut pod| pod.containers.remove(0).image)
        .collect()
}

#[tokio::test]
async fn a_job_deleted_by_hand_is_no_second_run() {
    let mut site = Site::new("deleted-job").await;
    let kubelet = Kubelet::start(&site);
    kubelet.script("v1", Script::Hangs);
    site.migrations(1).await;
    site.database("shop", "v1").await;
    site.start().await;
    eventually("it runs", async || kubelet.runs() == 1).await;
    let name = job_names(&site).await.pop().unwrap();
    let foreground = kube::api::DeleteParams::foreground();
    site.api::<Job>().delete(&name, &foreground).await.unwrap();
    site.shows("shop", "blocked: the run of v1").await;
    assert_eq!(kubelet.runs(), 1);
    eventually("the Job is let go", async || {
        job_names(&site).await.is_empty()
    })
    .await;
    kubelet.script("v1", Script::Succeeds);
    let word = json!({ "metadata": { "annotations": { RETRY_ANNOTATION: name } } });
    site.patch::<ManagedDatabase>("shop", word).await;
    site.at_rest("shop", "v1").await;
    assert_eq!(kubelet.runs(), 2);
}

#[tokio::test]
async fn slots_bound_the_runs_of_a_server() {
    let mut site = Site::new("slots").await;
    let kubelet = Kubelet::start(&site);
    kubelet.script("v1", Script::Hangs);
    site.settings.jobs_per_server_max = Some(2);
    site.migrations(1).await;
    for name in ["shop", "a", "b", "c"] {
        site.database(name, "v1").await;
    }
    site.start().await;
    eventually("two run", async || kubelet.runs() == 2).await;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(kubelet.runs(), 2, "the others wait for a slot");
    kubelet.script("v1", Script::Succeeds);
    for name in ["shop", "a", "b", "c"] {
        site.at_rest(name, "v1").await;
    }
    assert_eq!(kubelet.runs(), 4);
}

#[tokio::test]
async fn an_operator_that_is_killed_in_a_walk_comes_to_the_same_end() {
    let mut site = Site::new("killed").await;
    let kubelet = Kubelet::start(&site);
    site.migrations(3).await;
    site.database("shop", "v3").await;
    // Later each time, so that each part of the walk is hit.
    for nth in 0..12 {
        site.start().await;
        tokio::time::sleep(std::time::Duration::from_millis(40 * nth)).await;
        site.kill().await;
    }
    site.start().await;
    site.at_rest("shop", "v3").await;
    assert_eq!(kubelet.runs(), 3, "one run for each migration");
}
