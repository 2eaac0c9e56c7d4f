//! Runs a directory of compiled kernels (`manifest.json`, `NAME.ptx`, `NAME.safetensors`) and compares their outputs.
