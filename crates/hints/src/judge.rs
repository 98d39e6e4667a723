//! What several rules share: one judge of large tables, one of tables under heavy writes, and the ways out.

pub(crate) mod advice;
pub(crate) mod heavy_writes;
pub(crate) mod large_table;
