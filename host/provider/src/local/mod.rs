//! Training recipes: techniques and their settings, and honest figures for them.

pub mod estimate;
pub mod plan;
pub mod provider;
pub mod recipe;
pub mod shapes;
pub mod techniques;

pub use estimate::{Estimate, Load, Memory, NoEstimate, estimate};
pub use recipe::{RecipeSettings, TrainingRecipe, check};
pub use shapes::{Shape, ShapeUnknown, shape};
pub use techniques::{SETTINGS, Technique};
