"""Makes this corpus: small matrix products compiled by Triton for every target, with exact answers.

    pip install triton==3.9.0 numpy ml_dtypes safetensors
    python make.py

Triton compiles without a GPU, so its PTX is an independent check of every layout rule of the emulator: a fragment, a
swizzle or a descriptor that is read wrongly gives wrong products. Inputs are small integers (and powers of two as block
scales), so every sum is exact in f32 and the answers are compared for equality. The form is that of manifest.json:
args in parameter order, tensors by name, `out` written by the kernel and compared with `expected`.
"""

import json
import os
import pathlib
import re

os.environ["TRITON_DISABLE_LINE_INFO"] = "1"
os.environ["TRITON_DEFAULT_FP_FUSION"] = "1"

import ml_dtypes
import numpy as np
import triton
import triton.language as tl
from safetensors.numpy import save_file
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

HERE = pathlib.Path(__file__).parent
rng = np.random.default_rng(2026)
cases = []


@triton.jit
def gemm(A, B, C, N, K, sbk, sbn, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, ACC: tl.constexpr):
    rows = tl.program_id(0) * BM + tl.arange(0, BM)
    columns = tl.program_id(1) * BN + tl.arange(0, BN)
    k = tl.arange(0, BK)
    a = A + rows[:, None] * K + k[None, :]
    b = B + k[:, None] * sbk + columns[None, :] * sbn
    acc = tl.zeros((BM, BN), ACC)
    for _ in range(0, K, BK):
        acc = tl.dot(tl.load(a), tl.load(b), acc, out_dtype=ACC)
        a += BK
        b += BK * sbk
    tl.store(C + rows[:, None] * N + columns[None, :], acc)


@triton.jit
def gemm_tma(A, B, C, K, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    row, column = tl.program_id(0) * BM, tl.program_id(1) * BN
    acc = tl.zeros((BM, BN), tl.float32)
    for k in range(0, K, BK):
        acc = tl.dot(A.load([row, k]), B.load([column, k]).T, acc)
    C.store([row, column], acc)


@triton.jit
def gemm_scaled(A, SA, B, SB, C, N, K, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, F: tl.constexpr, P: tl.constexpr):
    rows = tl.program_id(0) * BM + tl.arange(0, BM)
    columns = tl.program_id(1) * BN + tl.arange(0, BN)
    k, block = tl.arange(0, BK // P), tl.arange(0, BK // 32)
    acc = tl.zeros((BM, BN), tl.float32)
    for start in range(0, K, BK):
        a = tl.load(A + rows[:, None] * (K // P) + k[None, :] + start // P)
        b = tl.load(B + columns[None, :] * (K // P) + k[:, None] + start // P)
        sa = tl.load(SA + rows[:, None] * (K // 32) + block[None, :] + start // 32)
        sb = tl.load(SB + columns[:, None] * (K // 32) + block[None, :] + start // 32)
        acc = tl.dot_scaled(a, sa, F, b, sb, F, acc)
    tl.store(C + rows[:, None] * N + columns[None, :], acc)


def compile_case(name, arch, kernel, signature, constants, grid, args, tensors, expected, maps=None, warps=4, note=""):
    """Compiles one kernel and records it; integer arguments that are multiples of 16 are declared so."""
    values = dict(zip(signature, args))
    aligned = lambda key, kind: kind.startswith("*") or (kind == "i32" and values[key]["i32"] % 16 == 0)
    attrs = {(i,): [["tt.divisibility", 16]] for i, (key, kind) in enumerate(signature.items()) if aligned(key, kind)}
    source = ASTSource(kernel, {**signature, **{key: "constexpr" for key in constants}}, constants, attrs)
    compiled = triton.compile(source, target=GPUTarget("cuda", arch, 32), options={"num_warps": warps, "num_stages": 3})
    flat = []
    for key, value in values.items():
        flat += value if isinstance(value, list) else [value]
    case = {
        "name": f"sm{arch}_{name}",
        "arch": arch,
        "entry": compiled.metadata.name,
        "grid": grid,
        "block": [32 * compiled.metadata.num_warps, 1, 1],
        "dynamic_shared_bytes": compiled.metadata.shared,
        "args": flat + [{"null": "u64"}, {"null": "u64"}],
        "output": "expected",
        "rtol": 0,
        "atol": 0,
        "note": note,
    }
    if maps:
        case["tensor_maps"] = maps(compiled.metadata.tensordesc_meta)
    text = re.sub(r"[ \t]+//.*", "", compiled.asm["ptx"])
    (HERE / f"{case['name']}.ptx").write_text(text)
    save_file({**tensors, "expected": expected}, HERE / f"{case['name']}.safetensors")
    cases.append(case)


def integers(shape, kind):
    return rng.integers(-4, 5, shape).astype(kind)


def plain(name, arch, kind, m, n, k, tile, k_major=True, warps=4):
    types = {"bf16": ml_dtypes.bfloat16, "fp16": np.float16, "i8": np.int8, "fp8e4nv": ml_dtypes.float8_e4m3fn}
    a, b = integers((m, k), types[kind]), integers((n, k) if k_major else (k, n), types[kind])
    product = a.astype(np.float64) @ (b.T if k_major else b).astype(np.float64)
    out, acc = ("i32", tl.int32) if kind == "i8" else ("fp32", tl.float32)
    signature = {"A": "*" + kind, "B": "*" + kind, "C": "*" + out, "N": "i32", "K": "i32"}
    args = ["A", "B", "out", {"i32": n}, {"i32": k}]
    # The contiguous stride of B is the constant 1.
    signature["sbn" if k_major else "sbk"] = "i32"
    args.append({"i32": k if k_major else n})
    bm, bn, bk = tile
    constants = {("sbk" if k_major else "sbn"): 1, "BM": bm, "BN": bn, "BK": bk, "ACC": acc}
    expected = product.astype(np.int32 if kind == "i8" else np.float32)
    compile_case(
        name, arch, gemm, signature, constants, [m // bm, n // bn, 1], args, {"A": a, "B": b}, expected, warps=warps,
        note=f"{m}x{n}x{k}, tile {bm}x{bn}x{bk}, B {'K' if k_major else 'N'}-major",
    )


def tensor_copies(name, arch, m, n, k, tile):
    bm, bn, bk = tile
    a, b = integers((m, k), ml_dtypes.bfloat16), integers((n, k), ml_dtypes.bfloat16)
    expected = (a.astype(np.float64) @ b.astype(np.float64).T).astype(np.float32)
    boxes = {"A": f"tensordesc<bf16[{bm}, {bk}]>", "B": f"tensordesc<bf16[{bn}, {bk}]>", "C": f"tensordesc<fp32[{bm}, {bn}]>"}
    tensors = [("a", "A", a, "bf16"), ("b", "B", b, "bf16"), ("c", "out", expected, "fp32")]

    def maps(descriptors):
        return {
            key: {
                "tensor": tensor,
                "dtype": kind,
                "global_dim": list(array.shape[::-1]),
                "global_strides_bytes": [array.strides[0]],
                "box_dim": found["block_size"][::-1],
                "element_strides": [1, 1],
                "swizzle": ["none", "32B", "64B", "128B"][found["swizzle"]],
                "interleave": "none",
                "oob": "zero",
            }
            for (key, tensor, array, kind), found in zip(tensors, descriptors)
        }

    args = [
        [{"tensor_map": key}, {"i32": array.shape[0]}, {"i32": array.shape[1]}, {"i64": array.shape[1]}, {"i64": 1}]
        for key, _, array, _ in tensors
    ]
    constants = {"BM": bm, "BN": bn, "BK": bk}
    grid = [-(-m // bm), -(-n // bn), 1]
    compile_case(
        name, arch, gemm_tma, {**boxes, "K": "i32"}, constants, grid, [*args, {"i32": k}], {"A": a, "B": b}, expected, maps,
        note=f"bulk tensor copies, {m}x{n}x{k}, tile {bm}x{bn}x{bk}",
    )


def scaled(name, arch, kind, m, n, k, tile):
    bm, bn, bk = tile
    e2m1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])

    def operand(rows):
        if kind == "e2m1":
            codes = rng.integers(0, 256, (rows, k // 2)).astype(np.uint8)
            return codes, np.stack([e2m1[codes & 15], e2m1[codes >> 4]], -1).reshape(rows, k)
        values = integers((rows, k), ml_dtypes.float8_e4m3fn)
        return values, values.astype(np.float64)

    (a, va), (b, vb) = operand(m), operand(n)
    sa, sb = (rng.integers(126, 129, (rows, k // 32)).astype(np.uint8) for rows in (m, n))
    factor = lambda scale: np.repeat(2.0 ** (scale.astype(np.float64) - 127), 32, 1)
    expected = ((va * factor(sa)) @ (vb * factor(sb)).T).astype(np.float32)
    pointer = "*u8" if kind == "e2m1" else "*fp8e4nv"
    signature = {"A": pointer, "SA": "*u8", "B": pointer, "SB": "*u8", "C": "*fp32", "N": "i32", "K": "i32"}
    constants = {"BM": bm, "BN": bn, "BK": bk, "F": kind, "P": 2 if kind == "e2m1" else 1}
    args = ["A", "SA", "B", "SB", "out", {"i32": n}, {"i32": k}]
    compile_case(
        name, arch, gemm_scaled, signature, constants, [m // bm, n // bn, 1], args, {"A": a, "SA": sa, "B": b, "SB": sb}, expected,
        note=f"OCP MX, {m}x{n}x{k}, tile {bm}x{bn}x{bk}",
    )


plain("bf16", 80, "bf16", 64, 64, 96, (64, 32, 32))
plain("fp16_nmajor", 80, "fp16", 64, 32, 64, (64, 32, 32), k_major=False)
plain("int8", 80, "i8", 64, 32, 64, (64, 32, 32))
plain("e4m3", 89, "fp8e4nv", 64, 32, 64, (64, 32, 32))
plain("bf16", 90, "bf16", 64, 32, 128, (64, 32, 64))
plain("bf16_64b", 90, "bf16", 64, 32, 64, (64, 32, 32))
plain("bf16_32b", 90, "bf16", 64, 32, 64, (64, 32, 16))
plain("fp16_nmajor", 90, "fp16", 64, 64, 64, (64, 64, 32), k_major=False)
plain("bf16_nmajor_n128", 90, "bf16", 64, 128, 32, (64, 128, 32), k_major=False)
tensor_copies("tma", 90, 72, 48, 104, (64, 32, 64))
plain("bf16_m64", 100, "bf16", 64, 32, 64, (64, 32, 32))
plain("bf16_m128", 100, "bf16", 128, 32, 64, (128, 32, 64))
scaled("mx_e4m3", 100, "e4m3", 128, 64, 128, (128, 64, 128))
scaled("mx_e2m1", 100, "e2m1", 128, 64, 128, (128, 64, 128))
scaled("mx_e4m3", 120, "e4m3", 64, 32, 64, (64, 32, 64))
scaled("mx_e2m1", 120, "e2m1", 64, 32, 128, (64, 32, 128))

about = "Matrix products compiled by Triton; see make.py"
(HERE / "manifest.json").write_text(json.dumps({"about": about, "cases": cases}, indent=1) + "\n")
