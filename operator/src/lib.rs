//! The operator as a library: wiring, HTTP and the command line.
