//! Configuration files and command lines as words, each with its file and line.

mod place;

pub use place::Place;
