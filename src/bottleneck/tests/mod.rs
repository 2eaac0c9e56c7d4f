//! Projections against published measurements and against sums by hand.

mod points;
