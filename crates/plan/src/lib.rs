//! The planner: one pure function that decides the next step.
