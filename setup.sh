#!/usr/bin/env bash
# Installs what hostdyno's build and tests need. Safe to run again: what is there already is left alone.
#
#   hwloc and libudev   topology and memory binding (linked at build time)
#   NVRTC, nvdisasm     compile the CUDA kernels, and list their machine code for the tests; taken from an installed CUDA
#                       toolkit, else from Python wheels into .cuda/ (ignored by git), so that kernels are compiled in
#                       tests on hosts without a GPU
#   cuBLASLt            only with --cublas: NVIDIA's own products, to be measured beside ours on a GPU; from an installed CUDA
#                       toolkit, else as a Python wheel (about 450 MB to download, 600 MB unpacked) into .cuda/cublas/
set -euo pipefail
cd "$(dirname "$0")"

say() { printf 'setup: %s\n' "$*"; }

need_rust() {
    command -v cargo >/dev/null && return
    say "cargo is missing. Install Rust 1.89 or newer: https://rustup.rs"
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else
        say "not root and no sudo: run as root: $*"
        exit 1
    fi
}

system_libraries() {
    if command -v pkg-config >/dev/null && pkg-config --atleast-version=2.8 hwloc && pkg-config --exists libudev &&
        command -v cc >/dev/null; then
        say "hwloc $(pkg-config --modversion hwloc) and libudev are here"
        return
    fi
    if command -v apt-get >/dev/null; then
        as_root apt-get update -qq
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
            gcc libc6-dev pkg-config libhwloc-dev libudev-dev
        return
    fi
    say "this is not a Debian or Ubuntu. Install these yourself, then run ./setup.sh again:"
    say "  Fedora, RHEL:  dnf install gcc pkgconf-pkg-config hwloc-devel systemd-devel"
    say "  Arch:          pacman -S gcc pkgconf hwloc systemd-libs"
    say "  openSUSE:      zypper install gcc pkg-config hwloc-devel systemd-devel"
    say "hwloc 2.8 or newer, below 3.0."
    exit 1
}

# A toolkit counts when the loader, CUDA_PATH, CUDA_HOME or /usr/local/cuda has its NVRTC (as src/cuda/library.rs looks).
toolkit="${CUDA_PATH:-${CUDA_HOME:-/usr/local/cuda}}"

toolkit_nvrtc() {
    ldconfig -p 2>/dev/null | grep -q 'libnvrtc\.so' ||
        ls "$toolkit"/lib64/libnvrtc.so* >/dev/null 2>&1
}

toolkit_nvdisasm() {
    command -v nvdisasm >/dev/null || [ -x "$toolkit/bin/nvdisasm" ]
}

cuda_tools() {
    if toolkit_nvrtc && toolkit_nvdisasm; then
        say "NVRTC and nvdisasm come from the CUDA toolkit"
        return
    fi
    if ls .cuda/nvidia/*/lib/libnvrtc.so* .cuda/nvidia/*/bin/nvdisasm >/dev/null 2>&1; then
        say "NVRTC and nvdisasm are in .cuda/"
        return
    fi
    if ! python3 -m pip --version >/dev/null 2>&1; then
        if command -v apt-get >/dev/null; then
            as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-pip
        else
            say "python3 with pip is missing: kernels can't be compiled without a CUDA toolkit. Install it, run again."
            exit 1
        fi
    fi
    say "fetching NVRTC and nvdisasm into .cuda/"
    # Both at once: pip replaces the folder that they share.
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
        --target .cuda 'nvidia-cuda-nvrtc>=13,<14' 'nvidia-cuda-nvdisasm>=13,<14'
}

toolkit_cublas() {
    ldconfig -p 2>/dev/null | grep -q 'libcublasLt\.so' ||
        ls "$toolkit"/lib64/libcublasLt.so* >/dev/null 2>&1
}

cublas() {
    if toolkit_cublas || ls .cuda/cublas/nvidia/*/lib/libcublasLt.so* >/dev/null 2>&1; then
        say "cuBLASLt is here"
        return
    fi
    say "fetching cuBLASLt into .cuda/cublas/"
    # In a folder of its own: pip would replace the one that NVRTC is in.
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
        --target .cuda/cublas 'nvidia-cublas>=13,<14'
}

case "${1-}" in
    '' | --cublas) ;;
    *)
        say "unknown argument: $1. Known: --cublas"
        exit 2
        ;;
esac
need_rust
system_libraries
cuda_tools
if [ "${1-}" = --cublas ]; then cublas; fi
say "ready: cargo bench"
