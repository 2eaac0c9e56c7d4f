//! `emulator corpus DIR`: run every case of a corpus of compiled kernels.

fn main() {}
