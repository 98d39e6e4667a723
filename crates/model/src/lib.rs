//! The domain's values: names, versions, facts, schema operations, findings.
