//! Vectors of the RFCs, and every way to be refused.

mod refusals;
mod vectors;
