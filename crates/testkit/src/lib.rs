//! Behaving fakes, the conformance suite and the simulator.
