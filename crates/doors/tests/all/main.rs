//! The doors over real sockets on loopback: nodes that speak with each other, and liars that speak with them.

mod asking;
mod follow;
mod liar;
mod node;
mod pages;
mod signatures;
