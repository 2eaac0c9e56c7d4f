//! A CUDA driver that executes PTX on the CPU, exactly and strictly, for hostdyno's tests.
