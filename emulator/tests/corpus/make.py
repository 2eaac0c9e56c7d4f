"""Makes this folder's corpus from layouts.cu: PTX by NVRTC, answers in plain Python.

    python make.py path/to/libnvrtc.so

The committed files were made with NVRTC 13.5; the test runs them and needs neither this script nor NVRTC.
"""

import ctypes
import json
import random
import struct
import sys
from pathlib import Path

HERE = Path(__file__).parent
random.seed(6)


def compile_ptx(nvrtc, target, define):
    program = ctypes.c_void_p()
    source = (HERE / "layouts.cu").read_bytes()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), source, b"layouts.cu", 0, None, None) == 0
    options = [f"--gpu-architecture=compute_{target}".encode(), f"-D{define}".encode(), b"--std=c++17"]
    status = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    size = ctypes.c_size_t()
    if status != 0:
        nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        nvrtc.nvrtcGetProgramLog(program, log)
        sys.exit(log.value.decode())
    nvrtc.nvrtcGetPTXSize(program, ctypes.byref(size))
    text = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetPTX(program, text)
    return text.value


def safetensors(path, tensors):
    header, blobs, at = {}, [], 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        blobs.append(data)
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def floats(values):
    return struct.pack(f"<{len(values)}f", *values)


def bf16(values):
    # Small integers: their bf16 code is the upper half of the f32 code, exactly.
    return b"".join(struct.pack("<f", v)[2:] for v in values)


def e4m3(value):
    code = next(c for c in range(128) if e4m3_value(c) == abs(value))
    return code | (128 if value < 0 else 0)


def e4m3_value(code):
    field, fraction = code >> 3 & 15, code & 7
    return fraction * 2.0**-9 if field == 0 else (1 + fraction / 8) * 2.0 ** (field - 7)


def product(a, b_transposed, m, n, k):
    return [sum(a[i * k + x] * b_transposed[j * k + x] for x in range(k)) for i in range(m) for j in range(n)]


def small(count):
    return [random.randint(-8, 8) for _ in range(count)]


def main():
    nvrtc = ctypes.CDLL(sys.argv[1])
    texts = {
        "sm80": compile_ptx(nvrtc, "80", "SM80"),
        "sm90": compile_ptx(nvrtc, "90a", "SM90"),
        "sm100": compile_ptx(nvrtc, "100a", "SM100"),
        "sm120": compile_ptx(nvrtc, "120a", "SM120"),
    }
    cases = []

    def case(target, entry, threads, args, tensors, suffix="", **more):
        name = f"{target}_{entry}{suffix}"
        (HERE / f"{name}.ptx").write_bytes(texts[target])
        safetensors(HERE / f"{name}.safetensors", tensors)
        cases.append({"name": name, "entry": entry, "grid": [1, 1, 1], "block": [threads, 1, 1], "args": args, **more})

    a, b = small(16 * 64), small(8 * 64)
    case("sm80", "mma_bf16", 32, ["A", "B", "out"], {
        "A": ("BF16", [16, 64], bf16(a)), "B": ("BF16", [8, 64], bf16(b)),
        "expected": ("F32", [16, 8], floats(product(a, b, 16, 8, 64)))})

    # Row i of A is one-hot at k = 2 i + 1; B is different for each k and column.
    a = [1 if k == 2 * i + 1 else 0 for i in range(16) for k in range(32)]
    b = [(k * 8 + n) % 255 - 127 for k in range(32) for n in range(8)]
    case("sm80", "mma_s8", 32, ["A", "B", "out"], {
        "A": ("U8", [16, 32], bytes(a)), "B": ("U8", [32, 8], bytes(x & 255 for x in b)),
        "expected": ("I32", [16, 8], struct.pack("<128i", *[b[(2 * i + 1) * 8 + n] for i in range(16) for n in range(8)]))},
        suffix="_one_hot")

    sa = [random.randint(120, 134) for _ in range(16 * 8)]
    sb = [random.randint(120, 134) for _ in range(8 * 16)]
    scale = lambda code: 2.0 ** (code - 127)
    expected = []
    for byte, thread_a, thread_b in [(0, 0, 0), (2, 1, 1), (3, 0, 2), (1, 1, 3)]:
        expected += [32 * scale(sa[m * 8 + 4 * thread_a + byte]) * scale(sb[n * 16 + 4 * thread_b + byte])
                     for m in range(16) for n in range(8)]
    for byte, thread_a, thread_b in [(0, 0, 1), (2, 1, 3)]:
        # B is 1 in the first half of k and 2 in the second.
        expected += [sum(32 * (1 + j) * scale(sa[m * 8 + 4 * thread_a + byte + j]) * scale(sb[n * 16 + 4 * thread_b + byte + j])
                         for j in range(2)) for m in range(16) for n in range(8)]
    case("sm120", "mma_scales", 32, ["SA", "SB", "out"], {
        "SA": ("U8", [16, 8], bytes(sa)), "SB": ("U8", [8, 16], bytes(sb)),
        "expected": ("F32", [6, 16, 8], floats(expected))})

    a, b = small(64 * 64), small(64 * 64)
    tensor_map = lambda tensor, dtype, dims, stride, box, swizzle: {
        "tensor": tensor, "dtype": dtype, "global_dim": dims, "global_strides_bytes": [stride], "box_dim": box,
        "element_strides": [1, 1], "swizzle": swizzle, "interleave": "none", "oob": "zero"}
    # The tensor stored to has 60 rows: the last four of the box are out of bounds and must not be written.
    case("sm90", "wgmma_bf16", 128, [{"tensor_map": "a"}, {"tensor_map": "out"}, "B"], {
        "A": ("BF16", [64, 64], bf16(a)), "B": ("BF16", [64, 64], bf16(b)),
        "expected": ("F32", [60, 64], floats(product(a, b, 64, 64, 64)[:60 * 64]))},
        tensor_maps={"a": tensor_map("A", "bf16", [64, 64], 128, [64, 64], "128B"),
                     "out": tensor_map("out", "f32", [64, 60], 256, [64, 64], "none")})

    a, b = small(128 * 32), small(32 * 32)
    sa = [random.randint(123, 131) for _ in range(128)]
    sb = [random.randint(123, 131) for _ in range(32)]
    plain = product(a, b, 128, 32, 32)
    case("sm100", "tcgen05_mx", 128, ["A", "B", "SA", "SB", "out"], {
        "A": ("U8", [128, 32], bytes(e4m3(x) for x in a)), "B": ("U8", [32, 32], bytes(e4m3(x) for x in b)),
        "SA": ("U8", [128], bytes(sa)), "SB": ("U8", [32], bytes(sb)),
        "expected": ("F32", [128, 32], floats([plain[m * 32 + n] * scale(sa[m]) * scale(sb[n])
                                               for m in range(128) for n in range(32)]))})

    about = "Made by make.py from layouts.cu; integers and powers of two, so every answer is exact."
    (HERE / "manifest.json").write_text(json.dumps({"about": about, "cases": cases}, indent=1) + "\n")


main()
