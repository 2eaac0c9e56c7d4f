//! Model-load throughput: shard layouts, readers, cold-cache proof.

pub mod alignment;
pub mod cold;
pub mod device;
pub mod layout;
pub mod load;
pub mod pipeline;
pub mod read;
pub mod synthetic;
