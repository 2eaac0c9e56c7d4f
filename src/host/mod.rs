//! The host: topology, binding and its proof, environment fingerprint.
