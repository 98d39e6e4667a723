//! Naming, passwords, generations and retirement rules of schema-bound credentials.
