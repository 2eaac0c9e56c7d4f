// For the driver's tests: one block-scaled MXFP4 product, fragments straight from memory.

// c[16][8] = (a[16][64] scaled by sa[16][2]) * (b[8][64] scaled by sb[8][2])^T; e2m1 packed two a byte, low nibble first;
// scales are e8m0 bytes, one for each 32 along k. One warp.
extern "C" __global__ void mma_mxf4(float* c, const unsigned* a, const unsigned* b, const unsigned char* sa,
                                    const unsigned char* sb) {
    const int lane = threadIdx.x, g = lane / 4, t = lane % 4;
    unsigned ra[4], rb[2];
    for (int r = 0; r < 4; ++r) ra[r] = a[(g + r % 2 * 8) * 8 + t + r / 2 * 4];
    for (int r = 0; r < 2; ++r) rb[r] = b[g * 8 + t + r * 4];
    // With thread id 0 the lanes 0 and 1 of each quad give the scales of rows g and g + 8; lane 0 those of column g.
    const int row = g + t % 2 * 8;
    const unsigned fa = sa[row * 2] | sa[row * 2 + 1] << 8, fb = sb[g * 2] | sb[g * 2 + 1] << 8;
    float d[4] = {0, 0, 0, 0};
    asm volatile("mma.sync.aligned.m16n8k64.row.col.kind::mxf4.block_scale.scale_vec::2X.f32.e2m1.e2m1.f32.ue8m0 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3}, %10, {0, 0}, %11, {0, 0};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(ra[0]), "r"(ra[1]), "r"(ra[2]), "r"(ra[3]), "r"(rb[0]), "r"(rb[1]), "r"(fa), "r"(fb));
    for (int i = 0; i < 4; ++i) c[(g + i / 2 * 8) * 8 + t * 2 + i % 2] = d[i];
}
