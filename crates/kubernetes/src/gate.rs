//! The gate for writes: a request that changes anything leaves only while this operator leads.
