//! Reads of a working copy what git wrote there.
