//! DRAM bandwidth and latency.
