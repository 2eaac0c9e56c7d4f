//! The `libcuda.so.1` entry points, over [`crate::machine`].
