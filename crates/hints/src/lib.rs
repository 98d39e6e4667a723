//! Judges schema operations against facts of the live database, purely.
