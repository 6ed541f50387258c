//! Jobs: the job file, its settings, and the plan that comes of them.
