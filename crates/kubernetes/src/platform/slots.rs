//! Room for one more migration: in all, and on one server.

use dbop_model::ObjectRef;
use dbop_plan::Slots;
use k8s_openapi::api::batch::v1::Job;

use super::KubernetesPlatform;
use crate::cache::JobEntry;
use crate::job;

/// A Job as it is counted: when it was made tells who of two that wait was first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Place(String, ObjectRef);

impl KubernetesPlatform {
    /// The tighter of the two limits, and what is taken of it by others. A suspended Job of another database
    /// counts where it was there before ours: of two that want the last slot, the first gets it.
    pub(super) fn count_slots(&self, database: &ObjectRef, server: Option<&str>) -> Slots {
        let none = Slots {
            taken: 0,
            limit: None,
        };
        let Some(caches) = &self.caches else {
            return none;
        };
        let limits = [
            (self.settings.jobs_max, None),
            (self.settings.jobs_per_server_max, server),
        ];
        if limits.iter().all(|(limit, _)| limit.is_none()) {
            return none;
        }
        let mut ours: Option<Place> = None;
        let mut others: Vec<(Place, bool, Option<String>)> = Vec::new();
        caches.jobs.each(|_, _, entry| {
            let JobEntry::Ours { database: of, job } = entry else {
                return;
            };
            if is_over(job) {
                return;
            }
            let suspended = is_suspended(job);
            let place = Place(made_at(job), of.clone());
            if of == database {
                if suspended {
                    ours = Some(place);
                }
                return;
            }
            let server = job::server_of(job).map(str::to_owned);
            others.push((place, suspended, server));
        });
        let counts = |place: &Place, suspended: bool| {
            !suspended || ours.as_ref().is_none_or(|ours| place < ours)
        };
        let slots = limits.into_iter().filter_map(|(limit, server)| {
            let limit = limit?;
            let taken = others
                .iter()
                .filter(|(place, suspended, _)| counts(place, *suspended))
                .filter(|(_, _, on)| server.is_none_or(|server| on.as_deref() == Some(server)))
                .count();
            Some(Slots {
                taken,
                limit: Some(limit),
            })
        });
        slots
            .min_by_key(|slots| {
                slots
                    .limit
                    .unwrap_or(usize::MAX)
                    .saturating_sub(slots.taken)
            })
            .unwrap_or(none)
    }
}

fn made_at(job: &Job) -> String {
    job.metadata
        .creation_timestamp
        .as_ref()
        .map(|time| time.0.to_string())
        .unwrap_or_default()
}

fn is_suspended(job: &Job) -> bool {
    job.spec.as_ref().and_then(|spec| spec.suspend) == Some(true)
}

/// Has Kubernetes said that nothing more comes of it?
pub(super) fn is_over(job: &Job) -> bool {
    let conditions = job.status.iter().flat_map(|status| &status.conditions);
    conditions.flatten().any(|condition| {
        ["Complete", "Failed"].contains(&condition.type_.as_str()) && condition.status == "True"
    })
}
