#!/usr/bin/env bash
# Builds ext/branchfs.so, and target/release/forkpress with WordPress packed in. Quick if nothing changed.
#
#     scripts/build.sh [--static]    --static: forkpress as one static binary, in target/TRIPLE/release
#
# PHP_CONFIG names the php-config of the PHP to build the extension for.
set -euo pipefail

cd "$(dirname "$0")/.."

# First, because the bundle, which goes into the command, holds it.
cargo build --release --locked --package branchfs
library=target/release/libbranchfs.so
[ -f "$library" ] || library=target/release/libbranchfs.dylib
mkdir -p ext
# By rename, because a running PHP has the old one mapped. Only if it changed, because its time decides whether the
# bundle is made again.
if ! cmp -s "$library" ext/branchfs.so; then
    cp "$library" ext/.branchfs.so.new
    mv ext/.branchfs.so.new ext/branchfs.so
fi

scripts/fetch-wordpress.sh
scripts/build-bundle.sh

if [ "${1-}" = --static ]; then
    target=$(rustc -vV | sed -n 's/^host: //p')
    musl=${target/-gnu/-musl}
    if [ -d "$(rustc --print sysroot)/lib/rustlib/$musl" ]; then
        target=$musl
    fi
    # With --target, the flags do not reach build scripts and procedural macros, which can't be static.
    RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --locked --package forkpress --target "$target"
    printf 'build: target/%s/release/forkpress\n' "$target"
else
    cargo build --release --locked --package forkpress
    printf 'build: ext/branchfs.so and target/release/forkpress\n'
fi
