//! Support for tests on real servers.
