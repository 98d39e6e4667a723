//! Whether the operator may do all that it has to, before it begins: each rule of [`crate::rbac`] is asked for.
//!
//! The questions are reviews, which every account may ask and which change nothing.

use dbop_api::{DatabaseMigration, ManagedDatabase};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

use super::{AccessError, bounded};
use crate::rbac::{CLUSTER_ID_NAMESPACE, LEASE, RULES, Rule, Scope};

/// Questions at once.
const AT_ONCE: usize = 4;
/// Rules named of those that are missing.
const NAMED_MAX: usize = 6;

/// Where the operator works.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The namespaces whose databases it looks after; none: all.
    pub namespaces: &'a [String],
    /// The namespace of its Lease.
    pub own: &'a str,
    /// The name of its Lease.
    pub lease: &'a str,
    /// The cluster's id need not be read.
    pub id_is_given: bool,
}

/// Are our kinds there, and is every rule?
///
/// # Errors
/// [`AccessError::NoKind`], [`AccessError::Forbidden`] with what is missing, or that it cannot be asked.
pub async fn check(client: &Client, place: &Place<'_>) -> Result<(), AccessError> {
    kind::<ManagedDatabase>(client, place, dbop_api::MANAGED_DATABASE).await?;
    kind::<DatabaseMigration>(client, place, dbop_api::DATABASE_MIGRATION).await?;
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answers = stream::iter(questions(place)).map(|question| {
        let reviews = reviews.clone();
        async move {
            let review = SelfSubjectAccessReview {
                spec: SelfSubjectAccessReviewSpec {
                    resource_attributes: Some(question.clone()),
                    ..SelfSubjectAccessReviewSpec::default()
                },
                ..SelfSubjectAccessReview::default()
            };
            let what = "asking the API server what the operator may do";
            let parameters = PostParams::default();
            let answer = bounded(what, reviews.create(&parameters, &review)).await?;
            let is_allowed = answer.status.is_some_and(|status| status.allowed);
            Ok::<_, AccessError>((!is_allowed).then_some(question))
        }
    });
    let answers: Vec<_> = answers.buffered(AT_ONCE).try_collect().await?;
    let missing: Vec<ResourceAttributes> = answers.into_iter().flatten().collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(AccessError::Forbidden {
        missing: in_words(&missing),
    })
}

/// Is the kind served? That it may not be listed is found with the rules.
async fn kind<K>(client: &Client, place: &Place<'_>, kind: &'static str) -> Result<(), AccessError>
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    K: Clone + std::fmt::Debug + DeserializeOwned,
{
    let api: Api<K> = match place.namespaces.first() {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let one = ListParams::default().limit(1);
    let listed = async {
        match api.list_metadata(&one).await {
            Err(kube::Error::Api(status)) if status.code == 403 => Ok(()),
            answer => answer.map(drop),
        }
    };
    let what = format!("listing {kind} objects");
    match bounded(&what, listed).await {
        Err(AccessError::NoKind { .. }) => Err(AccessError::NoKind { kind }),
        answer => answer,
    }
}

/// Each single thing that must be allowed.
fn questions(place: &Place<'_>) -> Vec<ResourceAttributes> {
    let mut all = Vec::new();
    for rule in RULES {
        match rule.scope {
            Scope::Watched if place.namespaces.is_empty() => ask(rule, None, place, &mut all),
            Scope::Watched => {
                for namespace in place.namespaces {
                    ask(rule, Some(namespace), place, &mut all);
                }
            }
            Scope::Own => ask(rule, Some(place.own), place, &mut all),
            Scope::ClusterId if place.id_is_given => {}
            Scope::ClusterId => ask(rule, Some(CLUSTER_ID_NAMESPACE), place, &mut all),
        }
    }
    all
}

fn ask(rule: &Rule, namespace: Option<&str>, place: &Place<'_>, all: &mut Vec<ResourceAttributes>) {
    let named = |name: &'static str| if name == LEASE { place.lease } else { name };
    let names: Vec<Option<&str>> = match rule.names {
        [] => vec![None],
        names => names.iter().map(|name| Some(named(name))).collect(),
    };
    for resource in rule.resources {
        let (resource, subresource) = match resource.split_once('/') {
            Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
            None => (*resource, None),
        };
        for verb in rule.verbs {
            for name in &names {
                all.push(ResourceAttributes {
                    namespace: namespace.map(str::to_owned),
                    group: Some(rule.group.to_owned()),
                    resource: Some(resource.to_owned()),
                    subresource: subresource.clone(),
                    verb: Some((*verb).to_owned()),
                    name: name.map(str::to_owned),
                    ..ResourceAttributes::default()
                });
            }
        }
    }
}

/// What is missing, as a person would write it into a Role: `get, list secrets in namespace shop`.
fn in_words(missing: &[ResourceAttributes]) -> Vec<String> {
    let mut rules: Vec<(String, Vec<&str>)> = Vec::new();
    for one in missing {
        let text = |part: &Option<String>| part.clone().filter(|text| !text.is_empty());
        let mut what = text(&one.resource).unwrap_or_default();
        if let Some(subresource) = text(&one.subresource) {
            what = format!("{what}/{subresource}");
        }
        if let Some(group) = text(&one.group) {
            what = format!("{what} in {group}");
        }
        if let Some(name) = text(&one.name) {
            what = format!("{what} named {name}");
        }
        let place = match text(&one.namespace) {
            Some(namespace) => format!("in namespace {namespace}"),
            None => "in all namespaces".to_owned(),
        };
        let rule = format!("{what}, {place}");
        let verb = one.verb.as_deref().unwrap_or_default();
        match rules.iter_mut().find(|(known, _)| *known == rule) {
            Some((_, verbs)) => verbs.push(verb),
            None => rules.push((rule, vec![verb])),
        }
    }
    let more = rules.len().saturating_sub(NAMED_MAX);
    let mut texts: Vec<String> = rules
        .iter()
        .take(NAMED_MAX)
        .map(|(rule, verbs)| format!("{} {rule}", verbs.join("/")))
        .collect();
    if more > 0 {
        texts.push(format!("and {more} more rules"));
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(namespaces: &[String]) -> Vec<ResourceAttributes> {
        questions(&Place {
            namespaces,
            own: "dbop",
            lease: "mine",
            id_is_given: true,
        })
    }

    #[test]
    fn every_rule_is_asked_for_in_each_namespace() {
        let all = place(&[]);
        let watched = |q: &&ResourceAttributes| q.namespace.as_deref() != Some("dbop");
        let cluster_wide = all.iter().filter(watched).count();
        assert!(all.iter().filter(watched).all(|q| q.namespace.is_none()));
        let two = place(&["a".to_owned(), "b".to_owned()]);
        assert_eq!(two.iter().filter(watched).count(), 2 * cluster_wide);
        let status = all
            .iter()
            .find(|q| q.subresource.as_deref() == Some("status"));
        let status = status.unwrap();
        assert_eq!(status.resource.as_deref(), Some("manageddatabases"));
        assert_eq!(status.verb.as_deref(), Some("patch"));
    }

    #[test]
    fn what_is_missing_is_named_as_rules() {
        let all = place(&["shop".to_owned()]);
        let missing: Vec<_> = all
            .into_iter()
            .filter(|q| {
                q.resource.as_deref() == Some("secrets") || q.namespace.as_deref() == Some("dbop")
            })
            .filter(|q| q.verb.as_deref() != Some("watch"))
            .collect();
        assert_eq!(
            in_words(&missing),
            [
                "get/list/create/patch/delete secrets, in namespace shop",
                "create leases in coordination.k8s.io, in namespace dbop",
                "get/update leases in coordination.k8s.io named mine, in namespace dbop",
            ]
        );
    }
}
