//! What the tests read from compiled kernels.

/// Bytes of stack of the one kernel in `cubin`: what does not fit in registers. It is the second word of the attribute
/// EIATTR_MIN_STACK_SIZE (format 4, number 0x12, 8 bytes: symbol and size) in the section `.nv.info`.
pub fn stack_bytes(cubin: &[u8]) -> u32 {
    let at = cubin.windows(4).position(|w| w == [0x04, 0x12, 0x08, 0x00]).expect("the attribute");
    u32::from_le_bytes(cubin[at + 8..at + 12].try_into().expect("4 bytes"))
}
