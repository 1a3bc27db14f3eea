//! dkb: docker build that leaves nothing behind.
