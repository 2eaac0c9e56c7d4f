//! Host kernels: one algorithm, thin files per instruction set.
