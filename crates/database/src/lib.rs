//! What the operator needs of a database, as two traits in the domain's words.
