//! Observe, decide, execute, publish: the reconcile loop behind the Platform port.
