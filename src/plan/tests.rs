//! What holds for all plans.

mod long_books;
mod matrix;
mod neighbours;
