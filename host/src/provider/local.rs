//! Training recipes: techniques and their settings.
