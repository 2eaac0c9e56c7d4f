//! Tensor-core layouts, products, descriptors and tensor-copy addresses, as pure functions over plain data.
