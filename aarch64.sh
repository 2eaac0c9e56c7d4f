#!/usr/bin/env bash
# Builds the crate for AArch64 and runs its CPU kernels' tests there under an emulator, on an x86-64 Debian 12. Safe to run
# again: what is there already is left alone. An emulator shows that the kernels compute the right thing; it shows no
# speed.
#
#   ./aarch64.sh               the tests of formats, CPU kernels and memory loops, for every instruction set
#   ./aarch64.sh CARGO-ARGS    any cargo command for this target: ./aarch64.sh check --all-targets
#
# rustup offers AArch64's standard library too, but needs its servers; Debian's `rustc-web` packages need the Debian
# mirror only. They are unpacked into .aarch64/ (ignored by git), since installing them would take the place of the Rust
# that is here. QEMU and the cross linker are installed.
set -euo pipefail
cd "$(dirname "$0")"

target=aarch64-unknown-linux-gnu
root=$PWD/.aarch64/root

say() { printf 'aarch64: %s\n' "$*"; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else
        say "not root and no sudo: run as root: $*"
        exit 1
    fi
}

need_debian() {
    if [ "$(uname -m)" = x86_64 ] && command -v apt-get >/dev/null && command -v dpkg >/dev/null; then return; fi
    say "this is not an x86-64 Debian. On AArch64, run cargo test itself; elsewhere: rustup target add $target, a cross"
    say "linker, qemu-aarch64, and hwloc and libudev for AArch64, then cargo test --target $target"
    exit 1
}

packages() {
    if [ -e .aarch64/ready ] && command -v aarch64-linux-gnu-gcc >/dev/null &&
        command -v qemu-aarch64-static >/dev/null; then return; fi
    say "fetching Rust for AArch64, a cross linker and QEMU"
    dpkg --print-foreign-architectures | grep -qx arm64 || as_root dpkg --add-architecture arm64
    as_root apt-get update -qq
    # With libllvm22 come the libraries that rustc-web is linked to.
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        gcc-aarch64-linux-gnu libc6-dev-arm64-cross binutils-aarch64-linux-gnu qemu-user-static libllvm22
    rm -rf .aarch64/root .aarch64/debs
    mkdir -p .aarch64/debs "$root"
    # Standard libraries fit one compiler only: all of one version.
    local version
    version=$(apt-cache madison rustc-web | awk '{print $3; exit}')
    if [ -z "$version" ]; then
        say "no rustc-web here: it is in Debian 12's security archive; add that to the sources of apt, run again"
        exit 1
    fi
    (cd .aarch64/debs && apt-get download -qq rustc-web="$version" "libstd-rust-web-dev=$version" \
        "libstd-rust-web-dev:arm64=$version" "$(driver "$version")" \
        libhwloc15:arm64 libhwloc-dev:arm64 libudev1:arm64 libudev-dev:arm64)
    local package
    for package in .aarch64/debs/*.deb; do dpkg -x "$package" "$root"; done
    rm -r .aarch64/debs
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' \
        "$root/usr/lib/x86_64-linux-gnu" "$root/usr/bin/rustc" >.aarch64/rustc
    chmod +x .aarch64/rustc
    .aarch64/rustc --version
    touch .aarch64/ready
}

# The package with the compiler's own library, whose name has the version in it.
driver() {
    apt-cache depends "libstd-rust-web-dev=$1" | awk '/Depends: libstd-rust-web-[0-9]/ {print $2; exit}'
}

need_debian
packages

export RUSTC=$PWD/.aarch64/rustc CARGO_BUILD_TARGET=$target CARGO_TARGET_DIR=$PWD/.aarch64/target
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
# `max`: every instruction that QEMU knows, dotprod, i8mm and bf16 among them.
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64-static -cpu max -L /usr/aarch64-linux-gnu \
-E LD_LIBRARY_PATH=$root/usr/lib/aarch64-linux-gnu"
export PKG_CONFIG_ALLOW_CROSS=1 PKG_CONFIG_SYSROOT_DIR=$root
export PKG_CONFIG_LIBDIR=$root/usr/lib/aarch64-linux-gnu/pkgconfig:$root/usr/share/pkgconfig

# Dependencies unoptimised: building them for speed would take longer than the tests.
if [ $# = 0 ]; then
    # Not cpu::subject, whose cold operands are sized for a real CPU; of it the check of each peak's instruction only.
    set -- test --locked --config 'profile.dev.package."*".opt-level=0' --lib -- number:: memory::kernels \
        cpu::attention cpu::clock cpu::gemm cpu::isa cpu::kernel every_step_of_every_instruction_is_done
fi
exec cargo "$@"
