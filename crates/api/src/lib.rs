//! The two custom resources, their schemas, status, and the way into the model.
