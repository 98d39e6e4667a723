//! What was pushed: the groups, and what they say of a migration run.
//!
//! The latest push of a group is what counts; nothing is written anywhere, and a run's own outcome is never
//! read from here.

use std::collections::BTreeMap;

use super::exposition::{self, Families, Labels};

/// Groups kept; the one pushed to the longest ago makes room.
const GROUPS_MAX: usize = 256;
/// What all groups may weigh together, by the same rule: hundreds of migrations at once, as a program of
/// 15 MiB can afford it.
const WEIGHT_MAX: usize = 4 * 1024 * 1024;
/// What a sample weighs besides its texts: its value, its place in the maps.
const SAMPLE_WEIGHT: usize = 128;

/// The metric that says how far a run is.
pub(super) const COMPLETION: &str = "migration_completion_percent";

/// What a migration run says of itself, as far as it has.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RunMetrics {
    /// `migration_completion_percent`: 0.0 to 1.0.
    pub completion: Option<f64>,
    /// `migration_items_complete_total`: rows, files, or whatever the migration counts.
    pub items: Option<u64>,
    /// `migration_complete_total`.
    pub complete: bool,
    /// `migration_failed_total`.
    pub failed: bool,
}

/// The groups by their labels.
#[derive(Debug, Default)]
pub(crate) struct Store {
    groups: BTreeMap<Labels, Group>,
    pushes: u64,
    weight: usize,
}

#[derive(Debug, Default)]
struct Group {
    families: Families,
    weight: usize,
    /// The number of its latest push: the least is the oldest.
    pushed: u64,
}

impl Store {
    /// `PUT`: the group is what is pushed, and nothing else.
    pub(crate) fn replace(&mut self, group: Labels, families: Families) {
        let families = labelled(families, &group);
        self.put(group, families);
    }

    /// `POST`: families of the same name are replaced, others stay.
    pub(crate) fn update(&mut self, group: Labels, families: Families) {
        let before = self.groups.get(&group);
        let mut all = before.map_or_else(Families::new, |group| group.families.clone());
        all.extend(labelled(families, &group));
        self.put(group, all);
    }

    /// `DELETE`: the group goes.
    pub(crate) fn delete(&mut self, group: &Labels) {
        if let Some(gone) = self.groups.remove(group) {
            self.weight -= gone.weight;
        }
    }

    /// What the run of this id has pushed goes.
    pub(crate) fn forget(&mut self, job_id: &str) {
        let of_run = |group: &Group| {
            let mut samples = group.families.values().flat_map(|family| &family.samples);
            samples.any(|sample| is_of(sample, job_id))
        };
        let gone = self.groups.iter().filter(|(_, group)| of_run(group));
        let gone: Vec<Labels> = gone.map(|(labels, _)| labels.clone()).collect();
        gone.iter().for_each(|labels| self.delete(labels));
    }

    /// Everything, in the text format, to stand behind a text of ours: what was pushed under a name of that text is
    /// left out, or the whole would be refused by whoever scrapes it.
    pub(crate) fn render(&self, behind: &str) -> String {
        let groups = self.groups.values().map(|group| &group.families);
        exposition::render(groups, behind)
    }

    /// What the run of this id says of itself; `None`: nothing yet. Where several Pods push for one run,
    /// it is as far as they are on average, and its items are those of all.
    pub(crate) fn run(&self, job_id: &str) -> Option<RunMetrics> {
        let values = |name: &str| -> Vec<f64> {
            let samples = self
                .groups
                .values()
                .flat_map(|group| group.families.values())
                .flat_map(|family| &family.samples);
            samples
                .filter(|sample| sample.name == name && is_of(sample, job_id))
                .map(|sample| sample.value)
                .filter(|value| value.is_finite())
                .collect()
        };
        let completion = values(COMPLETION);
        let items = values("migration_items_complete_total");
        let complete = values("migration_complete_total");
        let failed = values("migration_failed_total");
        if [&completion, &items, &complete, &failed]
            .iter()
            .all(|values| values.is_empty())
        {
            return None;
        }
        Some(RunMetrics {
            completion: mean(&completion),
            items: (!items.is_empty()).then(|| items.iter().sum::<f64>().max(0.0) as u64),
            complete: !complete.is_empty() && complete.iter().all(|value| *value >= 1.0),
            failed: failed.iter().any(|value| *value >= 1.0),
        })
    }

    fn put(&mut self, labels: Labels, families: Families) {
        self.delete(&labels);
        self.pushes += 1;
        let weight = families.values().map(weight).sum();
        while self.groups.len() >= GROUPS_MAX
            || (self.weight + weight > WEIGHT_MAX && !self.groups.is_empty())
        {
            let oldest = self.groups.iter().min_by_key(|(_, group)| group.pushed);
            let Some(oldest) = oldest.map(|(labels, _)| labels.clone()) else {
                break;
            };
            self.delete(&oldest);
        }
        self.weight += weight;
        let group = Group {
            families,
            weight,
            pushed: self.pushes,
        };
        self.groups.insert(labels, group);
    }
}

/// How far a run is for which several Pods push: as far as they are on average.
pub(super) fn mean(completions: &[f64]) -> Option<f64> {
    let sum: f64 = completions.iter().map(|value| value.clamp(0.0, 1.0)).sum();
    (!completions.is_empty()).then(|| sum / completions.len() as f64)
}

fn is_of(sample: &exposition::Sample, job_id: &str) -> bool {
    sample.labels.get("job_id").is_some_and(|id| id == job_id)
}

/// About what a family takes in memory.
fn weight(family: &exposition::Family) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let of_sample = |sample: &exposition::Sample| {
        let labels = sample.labels.iter();
        let labels: usize = labels.map(|(name, value)| name.len() + value.len()).sum();
        SAMPLE_WEIGHT + sample.name.len() + labels
    };
    let samples: usize = family.samples.iter().map(of_sample).sum();
    text(&family.help) + text(&family.kind) + samples
}

/// Grouping labels go over labels of the same name in the body, as the Pushgateway does it.
fn labelled(mut families: Families, group: &Labels) -> Families {
    for sample in families.values_mut().flat_map(|family| &mut family.samples) {
        let own = group
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()));
        sample.labels.extend(own);
    }
    families
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receiver::group;

    fn push(store: &mut Store, path: &str, body: &str) {
        store.replace(
            group::labels(path).unwrap(),
            exposition::parse(body).unwrap(),
        );
    }

    #[test]
    fn a_run_is_found_by_either_label() {
        let mut store = Store::default();
        push(
            &mut store,
            "/metrics/job/m/job_id/a",
            "migration_completion_percent 0.5\n",
        );
        push(
            &mut store,
            "/metrics/job/m/database/shop",
            "migration_items_complete_total{job_id=\"b\"} 7\nmigration_failed_total{job_id=\"b\"} 1\n",
        );
        let a = RunMetrics {
            completion: Some(0.5),
            ..RunMetrics::default()
        };
        let b = RunMetrics {
            items: Some(7),
            failed: true,
            ..RunMetrics::default()
        };
        assert_eq!(store.run("a"), Some(a));
        assert_eq!(store.run("b"), Some(b));
        assert_eq!(store.run("c"), None);
    }

    #[test]
    fn the_pods_of_one_run_count_together() {
        let mut store = Store::default();
        for (pod, percent, complete) in [("0", "1", "1"), ("1", "0.5", "0")] {
            let body = format!(
                "migration_completion_percent {percent}\nmigration_items_complete_total 10\n\
                 migration_complete_total {complete}\n"
            );
            push(
                &mut store,
                &format!("/metrics/job/m/job_id/a/instance/{pod}"),
                &body,
            );
        }
        let run = store.run("a").unwrap();
        assert_eq!(
            (run.completion, run.items, run.complete),
            (Some(0.75), Some(20), false)
        );
    }

    #[test]
    fn values_out_of_range_are_bounded() {
        let mut store = Store::default();
        push(
            &mut store,
            "/metrics/job/m/job_id/a",
            "migration_completion_percent 61\n",
        );
        assert_eq!(store.run("a").unwrap().completion, Some(1.0));
        push(
            &mut store,
            "/metrics/job/m/job_id/a",
            "migration_completion_percent NaN\n",
        );
        assert_eq!(store.run("a"), None);
    }

    #[test]
    fn a_run_that_is_recorded_is_forgotten() {
        let mut store = Store::default();
        let body = "migration_completion_percent 0.5\n";
        push(&mut store, "/metrics/job/m/job_id/a", body);
        push(&mut store, "/metrics/job/m/job_id/b", body);
        store.forget("a");
        assert_eq!((store.run("a"), store.run("b").is_some()), (None, true));
        store.forget("b");
        assert_eq!(store.weight, 0);
    }

    #[test]
    fn all_of_it_stays_small() {
        let mut store = Store::default();
        // As much as a push may hold, with a path whose labels go into each sample.
        let body: String = (0..2000).map(|n| format!("a{n} 1\n")).collect();
        for n in 0..40 {
            let path = format!("/metrics/job/{}/n/{n}", "x".repeat(1000));
            push(&mut store, &path, &body);
            assert!(store.weight <= WEIGHT_MAX, "{n}: {}", store.weight);
        }
        assert!(store.render("").contains("n=\"39\"} 1"));
        assert!(!store.render("").contains("n=\"0\"} 1"));
    }

    #[test]
    fn the_group_pushed_to_the_longest_ago_makes_room() {
        let mut store = Store::default();
        for n in 0..GROUPS_MAX {
            push(&mut store, &format!("/metrics/job/m/n/{n}"), "a 1\n");
        }
        push(&mut store, "/metrics/job/m/n/0", "a 2\n");
        push(&mut store, "/metrics/job/m/n/new", "a 3\n");
        let text = store.render("");
        assert_eq!(store.groups.len(), GROUPS_MAX);
        assert!(
            text.contains("n=\"0\"} 2") && text.contains("n=\"new\"} 3"),
            "{text}"
        );
        assert!(!text.contains("n=\"1\"} 1"), "{text}");
    }
}
