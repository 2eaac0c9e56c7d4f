//! Number formats and approximate functions: `cvt`, `ex2`, `rcp` and their kin, as pure functions over bits.
