//! Leader election: a Lease guarded by its resourceVersion, judged by the local monotonic clock.
