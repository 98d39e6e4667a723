//! The local platform: a directory of manifests, child processes as Jobs, files as Secrets.
