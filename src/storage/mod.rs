//! Model-load throughput: shard layouts, readers, cold-cache proof.

pub mod layout;
pub mod synthetic;
