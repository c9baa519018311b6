#!/usr/bin/env bash
# Builds ext/branchfs.so, and target/release/forkpress with WordPress packed in. Quick if nothing changed.
#
#     scripts/build.sh [--static]    --static: forkpress as one static binary, in target/TRIPLE/release
#
# PHP_CONFIG names the php-config of the PHP to build ext/branchfs.so for. For each other php-config there is, such as
# php-config8.3, it builds an ext/branchfs-API-BUILD.so as well.
set -euo pipefail

cd "$(dirname "$0")/.."
mkdir -p ext

# Puts an extension in its place, by rename, because a running PHP has the old one mapped. Only if it changed, because its time
# decides whether the bundle is made again.
put() {
    local library=$1/release/libbranchfs.so
    [ -f "$library" ] || library=$1/release/libbranchfs.dylib
    if ! cmp -s "$library" "ext/$2"; then
        cp "$library" ext/.branchfs.so.new
        mv ext/.branchfs.so.new "ext/$2"
    fi
}

# The name of the extension for a PHP, as forkpress looks for it.
name_for() {
    # shellcheck disable=SC2016 # It is PHP.
    "$("$1" --php-binary)" -n -r 'ob_start(); phpinfo(INFO_GENERAL); preg_match("/^PHP Extension => ([0-9]+)$/m", ob_get_clean(), $api);
        echo "branchfs-$api[1]-", PHP_ZTS ? "zts" : "nts", PHP_DEBUG ? "-debug" : "", ".so";'
}

# It would say otherwise than the profile in Cargo.toml, which says why.
unset CARGO_INCREMENTAL

# First, because the bundle, which goes into the command, holds it.
default=${PHP_CONFIG:-php-config}
cargo build --release --locked --package branchfs
put target branchfs.so

seen=$(name_for "$default")
kept=()
while IFS= read -r config; do
    name=$(name_for "$config") || continue
    case " $seen " in *" $name "*) continue ;; esac
    seen="$seen $name"
    case $name in
    branchfs-????????-nts.so) ;;
    *)
        printf 'build: no extension for %s: branchfs.so can not be built thread-safe or for debugging\n' "$config"
        continue
        ;;
    esac
    # In a folder of its own, or all would be built anew each time.
    PHP_CONFIG=$config cargo build --release --locked --package branchfs --target-dir "target/${name%.so}"
    put "target/${name%.so}" "$name"
    kept+=("$name")
    printf 'build: ext/%s\n' "$name"
done < <(compgen -c php-config | sort -u)
for old in ext/branchfs-*.so; do
    case " ${kept[*]-} " in *" ${old#ext/} "*) ;; *) rm -f "$old" ;; esac
done

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
