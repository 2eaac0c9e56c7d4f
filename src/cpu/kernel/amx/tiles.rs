//! The tile instructions, one a function, since stable Rust has no intrinsics for them.
//!
//! Tile registers are 16 rows of 64 bytes. The compiler never uses them, so what one function leaves in them the next
//! one finds.
//!
//! # Safety
//! Every function needs a CPU with AMX and the permission to use it ([`super::permission`]); all but [`configure`]
//! need a configuration. Loads and stores touch as many rows as are configured, 64 bytes each, `stride` bytes apart.

#![allow(clippy::missing_safety_doc, reason = "the module documentation states it once for all")]

use std::arch::asm;

/// Bytes of a row of a tile.
pub const ROW_BYTES: usize = 64;
/// Rows of a tile.
pub const ROWS: usize = 16;

/// What [`configure`] loads: palette 1, eight tiles of 64-byte rows.
#[repr(C, align(64))]
pub struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

impl Configuration {
    /// Tiles 0 to 7 of as many rows as `rows` says.
    pub const fn new(rows: [u8; 8]) -> Self {
        let mut configuration =
            Self { palette: 1, start_row: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
        let mut tile = 0;
        while tile < 8 {
            configuration.row_bytes[tile] = ROW_BYTES as u16;
            configuration.rows[tile] = rows[tile];
            tile += 1;
        }
        configuration
    }
}

/// Configures the tiles, and clears them.
pub unsafe fn configure(configuration: &Configuration) {
    // SAFETY: reads the 64 bytes of a valid configuration.
    unsafe {
        asm!("ldtilecfg [{}]", in(reg) configuration, options(nostack, readonly, preserves_flags));
    }
}

/// Gives the tiles back: a core with tiles in use does not sleep deeply.
pub unsafe fn release() {
    // SAFETY: touches nothing but tiles.
    unsafe { asm!("tilerelease", options(nostack, nomem, preserves_flags)) };
}

/// Clears tile `T`.
#[inline(always)]
pub unsafe fn zero<const T: u8>() {
    // SAFETY: touches nothing but tiles.
    unsafe { asm!("tilezero tmm{t}", t = const T, options(nostack, nomem, preserves_flags)) };
}

/// Loads tile `T`.
#[inline(always)]
pub unsafe fn load<const T: u8>(from: *const u8, stride: usize) {
    // SAFETY: the caller's contract.
    unsafe {
        asm!("tileloadd tmm{t}, [{from} + {stride}]", t = const T, from = in(reg) from, stride = in(reg) stride,
            options(nostack, readonly, preserves_flags));
    }
}

/// Stores tile `T`.
#[inline(always)]
pub unsafe fn store<const T: u8>(to: *mut u8, stride: usize) {
    // SAFETY: the caller's contract.
    unsafe {
        asm!("tilestored [{to} + {stride}], tmm{t}", t = const T, to = in(reg) to, stride = in(reg) stride,
            options(nostack, preserves_flags));
    }
}

/// Tile `C` += tile `A` times tile `B`: pairs of bf16, summed in f32.
#[inline(always)]
pub unsafe fn dot_bf16<const C: u8, const A: u8, const B: u8>() {
    // SAFETY: touches nothing but tiles.
    unsafe {
        asm!("tdpbf16ps tmm{c}, tmm{a}, tmm{b}", c = const C, a = const A, b = const B,
            options(nostack, nomem, preserves_flags));
    }
}

/// Tile `C` += tile `A` times tile `B`: four signed bytes of A, unsigned ones of B, summed in i32.
#[inline(always)]
pub unsafe fn dot_bytes<const C: u8, const A: u8, const B: u8>() {
    // SAFETY: touches nothing but tiles.
    unsafe {
        asm!("tdpbsud tmm{c}, tmm{a}, tmm{b}", c = const C, a = const A, b = const B,
            options(nostack, nomem, preserves_flags));
    }
}
