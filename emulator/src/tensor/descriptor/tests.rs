use super::*;
use crate::tensor::ISA;

fn matrix(swizzle: Swizzle, leading: u32, stride: u32) -> SharedMatrix {
    SharedMatrix { start: 0, leading, stride, base: 0, swizzle }
}

/// Every example of ISA 9.7.15.5.1.2.1.3 (the same in 9.7.16.3.3), evaluated as the CuTe layout it
/// gives: `((a, b, ..)) : ((strides))` over element indices, then the swizzle of 16-byte chunks.
#[test]
fn the_isas_worked_examples() {
    // K-major, no swizzle, tf32: ((8,2),(4,4)):((4,32),(1,64)), LBO = 64 elements, SBO = 32
    // elements.
    let m = matrix(Swizzle::None, 256, 128);
    for mn in 0..16 {
        for k in 0..16 {
            let element = (mn % 8) * 4 + (mn / 8) * 32 + k % 4 + (k / 4) * 64;
            let (address, inner) = m.address(mn, k, 32, Major::K, &ISA);
            assert_eq!(address as usize + inner * 4, element * 4);
        }
    }
    // K-major, 32B swizzle, tf32: Swizzle<1,4,3> o ((8,2),(4,4)):((8,64),(1,4)); two of the four
    // chunks fit the atom.
    let m = matrix(Swizzle::B32, 16, 256);
    for mn in 0..16 {
        for k in 0..8 {
            let byte = 4 * ((mn % 8) * 8 + (mn / 8) * 64 + k % 4 + (k / 4) * 4);
            let swizzled = byte ^ (byte >> 7 & 1) << 4;
            let (address, inner) = m.address(mn, k, 32, Major::K, &ISA);
            assert_eq!(address as usize + inner * 4, swizzled);
        }
    }
    // MN-major, no swizzle, bf16: ((8,1,2),(8,2)):((1,8,64),(8,128)), LBO = 128 elements, SBO = 64.
    let m = matrix(Swizzle::None, 256, 128);
    for mn in 0..16 {
        for k in 0..16 {
            let element = mn % 8 + (mn / 8) * 64 + (k % 8) * 8 + (k / 8) * 128;
            let (address, inner) = m.address(mn, k, 16, Major::Mn, &ISA);
            assert_eq!(address as usize + inner * 2, element * 2);
        }
    }
    // MN-major, 32B: ((8,2,2),(8,2)):((1,8,128),(16,256)); 64B:
    // ((8,4,2),(8,2)):((1,8,256),(32,512)).
    for (swizzle, atom, row, leading, stride, mask) in
        [(Swizzle::B32, 2, 16, 128, 256, 1), (Swizzle::B64, 4, 32, 256, 512, 3)]
    {
        let m = matrix(swizzle, leading as u32 * 2, stride as u32 * 2);
        for mn in 0..16 * atom {
            for k in 0..16 {
                let element = mn % 8
                    + (mn / 8 % atom) * 8
                    + (mn / 8 / atom) * leading
                    + (k % 8) * row
                    + (k / 8) * stride;
                let swizzled = (element * 2) ^ ((element * 2) >> 7 & mask) << 4;
                let (address, inner) = m.address(mn, k, 16, Major::Mn, &ISA);
                assert_eq!(address as usize + inner * 2, swizzled, "{swizzle:?} mn {mn} k {k}");
            }
        }
    }
}

#[test]
fn each_atom_is_a_permutation() {
    for swizzle in [Swizzle::None, Swizzle::B32, Swizzle::B64, Swizzle::B128] {
        let width = swizzle.width() as usize;
        for (major, mn_count, k_count) in [(Major::K, 8, width / 2), (Major::Mn, width / 2, 8)] {
            let m = matrix(swizzle, 4096, 4096);
            let mut seen = vec![false; 8 * width];
            for mn in 0..mn_count {
                for k in 0..k_count {
                    let (address, inner) = m.address(mn, k, 16, major, &ISA);
                    let at = address as usize + 2 * inner;
                    assert!(!std::mem::replace(&mut seen[at], true));
                }
            }
        }
    }
}

#[test]
fn base_offset_moves_the_start_of_the_pattern() {
    // The pattern starts at 384 = line 3: row 0 is unswizzled there, row 1 has chunk 0 in place 1.
    let m = SharedMatrix { start: 384, base: 3, ..matrix(Swizzle::B128, 16, 1024) };
    assert_eq!(m.address(0, 0, 16, Major::K, &ISA).0, 384);
    assert_eq!(m.address(1, 0, 16, Major::K, &ISA).0, 384 + 128 + 16);
    // Without base offset the address itself decides: line 3 has chunk 0 in place 3.
    let m = SharedMatrix { base: 0, ..m };
    assert_eq!(m.address(0, 0, 16, Major::K, &ISA).0, 384 + 48);
}

#[test]
fn fields_are_where_the_isa_puts_them() {
    let descriptor = 0x123 | 0x45 << 16 | 0x67 << 32 | 5 << 49 | 2 << 62;
    let want = SharedMatrix {
        start: 0x1230,
        leading: 0x450,
        stride: 0x670,
        base: 5,
        swizzle: Swizzle::B64,
    };
    assert_eq!(SharedMatrix::wgmma(descriptor, &ISA), Ok(want));
    let descriptor = 0x123 | 0x45 << 16 | 0x67 << 32 | 1 << 46 | 5 << 49 | 4 << 61;
    assert_eq!(SharedMatrix::tcgen05(descriptor, &ISA), Ok(want));
    assert!(SharedMatrix::tcgen05(descriptor & !(1 << 46), &ISA).is_err());
    assert!(SharedMatrix::tcgen05(descriptor | 1 << 52, &ISA).is_err());
    assert!(SharedMatrix::tcgen05(descriptor | 1 << 61, &ISA).is_err());
}
