//! Model-load throughput: shard layouts, readers, cold-cache proof.
