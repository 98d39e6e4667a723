//! Schema-version engines: what to ask a database, and how to read the answer.
