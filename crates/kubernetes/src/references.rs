//! Who refers to a Secret: Pods and workload templates, by every way a Pod can.
