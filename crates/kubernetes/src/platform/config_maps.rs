//! SQL that a migration names in a ConfigMap: read when the migration is judged, and only then.
//!
//! ConfigMaps are not watched: a cluster has many, and all but a few are none of ours. One that is waited for is asked
//! for every few seconds.

use dbop_engine::{ConfigMapLacks, PlatformError};
use dbop_model::ConfigMapKey;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;

use super::KubernetesPlatform;
use crate::call;

impl KubernetesPlatform {
    pub(super) async fn read_config_map_value(
        &self,
        namespace: &str,
        at: &ConfigMapKey,
    ) -> Result<String, PlatformError> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        let what = format!("ConfigMap {namespace}/{}", at.name);
        let map = call::find(api.get(at.name.as_str())).await;
        let map = map.map_err(|error| error.of("reading", &what))?;
        let lacks = |why| PlatformError::no_config_map_value(namespace, at, why);
        let ConfigMap {
            data, binary_data, ..
        } = map.ok_or_else(|| lacks(ConfigMapLacks::Map))?;
        let mut data = data.unwrap_or_default();
        if let Some(value) = data.remove(&at.key) {
            return Ok(value);
        }
        if binary_data.is_some_and(|binary| binary.contains_key(&at.key)) {
            return Err(lacks(ConfigMapLacks::Text));
        }
        let keys: Vec<&str> = data.keys().map(String::as_str).collect();
        Err(lacks(ConfigMapLacks::Key { keys: &keys }))
    }
}
