//! Kernels in hand-written PTX, each for one purpose.

/// `scale(y, x, a, n)`: `y[i] = a * x[i]`.
pub const SCALE: &str = "
.version 7.0
.target sm_80
.address_size 64
.visible .entry scale(.param .u64 y, .param .u64 x, .param .f32 a, .param .u32 n)
{
    .reg .pred %p;
    .reg .b32 %r<6>;
    .reg .f32 %f<4>;
    .reg .b64 %rd<6>;
    ld.param.u64 %rd1, [y];
    ld.param.u64 %rd2, [x];
    ld.param.f32 %f1, [a];
    ld.param.u32 %r1, [n];
    mov.u32 %r2, %ctaid.x;
    mov.u32 %r3, %ntid.x;
    mov.u32 %r4, %tid.x;
    mad.lo.s32 %r5, %r2, %r3, %r4;
    setp.ge.u32 %p, %r5, %r1;
    @%p bra DONE;
    cvta.to.global.u64 %rd1, %rd1;
    cvta.to.global.u64 %rd2, %rd2;
    mul.wide.u32 %rd3, %r5, 4;
    add.s64 %rd4, %rd2, %rd3;
    add.s64 %rd5, %rd1, %rd3;
    ld.global.f32 %f2, [%rd4];
    mul.f32 %f3, %f1, %f2;
    st.global.f32 [%rd5], %f3;
DONE:
    ret;
}
";

/// `gate(flag)`: spins until the word at `flag` is not 0. `store(address, value)`: one 32-bit store. `forever()`: never
/// ends.
pub const CONTROL: &str = "
.version 7.0
.target sm_80
.address_size 64
.visible .entry gate(.param .u64 flag)
{
    .reg .pred %p;
    .reg .b32 %r<2>;
    .reg .b64 %rd<2>;
    ld.param.u64 %rd1, [flag];
WAIT:
    ld.volatile.global.u32 %r1, [%rd1];
    setp.eq.u32 %p, %r1, 0;
    @%p bra WAIT;
    ret;
}
.visible .entry store(.param .u64 address, .param .u32 value)
{
    .reg .b32 %r<2>;
    .reg .b64 %rd<2>;
    ld.param.u64 %rd1, [address];
    ld.param.u32 %r1, [value];
    st.global.u32 [%rd1], %r1;
    ret;
}
.visible .entry forever()
{
AGAIN:
    bra AGAIN;
}
";

/// Module variables: `counter` (initially 7), `table` (constants 10, 20, 30, 40). `bump(out)`: adds `table[tid]` to
/// `counter` and writes the old value to `out[tid]`.
pub const VARIABLES: &str = "
.version 7.0
.target sm_80
.address_size 64
.visible .global .align 4 .u32 counter = 7;
.visible .const .align 4 .u32 table[4] = {10, 20, 30, 40};
.visible .entry bump(.param .u64 out)
{
    .reg .b32 %r<5>;
    .reg .b64 %rd<8>;
    ld.param.u64 %rd1, [out];
    mov.u32 %r1, %tid.x;
    mul.wide.u32 %rd2, %r1, 4;
    mov.u64 %rd3, table;
    add.s64 %rd4, %rd3, %rd2;
    ld.const.u32 %r2, [%rd4];
    mov.u64 %rd5, counter;
    atom.global.add.u32 %r3, [%rd5], %r2;
    add.s64 %rd6, %rd1, %rd2;
    st.global.u32 [%rd6], %r3;
    ret;
}
";

/// `reverse(data)`: one block reverses its `ntid.x` words through dynamic shared memory, beside 1024 static bytes.
pub const SHARED: &str = "
.version 7.0
.target sm_80
.address_size 64
.extern .shared .align 16 .b8 dynamic[];
.visible .entry reverse(.param .u64 data)
.maxntid 256, 1, 1
{
    .shared .align 16 .b8 fixed[1024];
    .reg .b32 %r<8>;
    .reg .b64 %rd<4>;
    ld.param.u64 %rd1, [data];
    mov.u32 %r1, %tid.x;
    mov.u32 %r2, %ntid.x;
    mul.wide.u32 %rd2, %r1, 4;
    add.s64 %rd3, %rd1, %rd2;
    ld.global.u32 %r3, [%rd3];
    mov.u32 %r4, dynamic;
    shl.b32 %r5, %r1, 2;
    add.s32 %r5, %r4, %r5;
    st.shared.u32 [%r5], %r3;
    shl.b32 %r5, %r1, 2;
    mov.u32 %r7, fixed;
    add.s32 %r7, %r7, %r5;
    st.shared.u32 [%r7], %r1;
    bar.sync 0;
    sub.s32 %r6, %r2, %r1;
    sub.s32 %r6, %r6, 1;
    shl.b32 %r6, %r6, 2;
    add.s32 %r6, %r4, %r6;
    ld.shared.u32 %r3, [%r6];
    st.global.u32 [%rd3], %r3;
    ret;
}
";

/// `rank(out)`: `out[ctaid.x] = cluster_ctarank`.
pub const CLUSTER: &str = "
.version 8.0
.target sm_90
.address_size 64
.visible .entry rank(.param .u64 out)
{
    .reg .b32 %r<4>;
    .reg .b64 %rd<4>;
    ld.param.u64 %rd1, [out];
    mov.u32 %r1, %ctaid.x;
    mov.u32 %r2, %cluster_ctarank;
    mul.wide.u32 %rd2, %r1, 4;
    add.s64 %rd3, %rd1, %rd2;
    st.global.u32 [%rd3], %r2;
    ret;
}
";
