//! Training recipes: techniques and their settings, and honest figures for them.
