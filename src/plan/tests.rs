//! What holds for all plans.

mod matrix;
mod neighbours;
