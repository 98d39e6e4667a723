//! What the operator may do in a cluster: one table, from which the manifests are made.
