#!/usr/bin/env bash
# Installs what ForkPress needs to be built and run and this machine lacks, on Debian and Ubuntu.
#
#     scripts/install-deps.sh [--tests]       --tests: what the tests and checks need as well
#
# It asks nothing, and says what it installs. On other systems it says what is missing and exits with 1.
set -euo pipefail

tests=no
[ "${1-}" = --tests ] && tests=yes
root=$(cd "$(dirname "$0")/.." && pwd)

die() {
    printf 'install-deps: %s\n' "$1" >&2
    exit 1
}
say() { printf 'install-deps: %s\n' "$1"; }
have() { command -v "$1" >/dev/null 2>&1; }

# mkfs and php-fpm are in folders that are not in an ordinary user's PATH.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH

missing=()
# Adds a package where a command is missing.
need() { have "$1" || missing+=("$2"); }

need cc gcc
[ -e /usr/include/stdio.h ] || missing+=(libc6-dev)
need make make
need pkg-config pkg-config
need git git
need curl curl
need unzip unzip
need zstd zstd
need npm npm
need clang clang
# What bindgen loads to read PHP's headers.
if ! find /usr/lib /usr/lib64 /usr/local/lib "${LIBCLANG_PATH:-/usr/lib}" -maxdepth 4 -name 'libclang*.so*' -print -quit 2>/dev/null | grep -q .; then
    missing+=(libclang-dev)
fi

# The modules have to fit the installed PHP, which may be one of several packaged side by side.
php=php
if have php; then
    owner=$(dpkg -S "$(readlink -f "$(command -v php)")" 2>/dev/null | cut -d: -f1 || true)
    case $owner in php[0-9]*-cli) php=${owner%-cli} ;; esac
fi
need php "$php-cli"
need php-config "$php-dev"
modules=$(php -m 2>/dev/null || true)
module() { grep -qixF "$1" <<<"$modules" || missing+=("$php-$2"); }
module pdo_sqlite sqlite3
module dom xml
module mbstring mbstring
module curl curl
module gd gd
module intl intl
module zip zip
# The server has it behind it; without, php-cgi or PHP's built-in server is used.
compgen -G '/usr/sbin/php-fpm*' >/dev/null || have php-fpm || missing+=("$php-fpm")

if [ "$tests" = yes ]; then
    need mkfs.xfs xfsprogs
    need mkfs.btrfs btrfs-progs
    need shellcheck shellcheck
    need phpcs php-codesniffer
    need jq jq
    need certutil libnss3-tools
    need cgi-fcgi libfcgi-bin
    need valgrind valgrind
    need strace strace
    need mariadbd mariadb-server
    need mariadb-install-db mariadb-server
    need mariadb-dump mariadb-client
    need sshd openssh-server
    need ssh openssh-client
    need busybox busybox
    # A browser for tests/test_chromium.php.
    have chromium || have chromium-browser || have google-chrome || missing+=(chromium)
    need php-cgi "$php-cgi"
    # For serve --xdebug only: the debugger slows down each PHP that loads it.
    [ -e "$(php-config --extension-dir 2>/dev/null)/xdebug.so" ] || missing+=("$php-xdebug")
    module apcu apcu
    module mysqli mysql
    # Git clients of other makes come from PyPI and npm.
    need node nodejs
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
fi

# Whether cargo is installed, and not older than Cargo.toml asks for.
wanted=$(sed -nE 's/^rust-version = "(.*)"$/\1/p' "$root/Cargo.toml")
cargo_is_new_enough() {
    local version
    version=$(cargo --version 2>/dev/null | cut -d' ' -f2) || return 1
    [ -n "$version" ] && printf '%s\n%s\n' "$wanted" "$version" | sort -V -C
}
rust=yes
if ! cargo_is_new_enough; then
    rust=no
    have rustup || missing+=(rustup)
fi

if [ "${#missing[@]}" -gt 0 ]; then
    have apt-get || die "missing here: ${missing[*]} (names of Debian packages); install them, then try again"
    as_root=()
    if [ "$(id -u)" != 0 ]; then
        have sudo || die "missing here: ${missing[*]}; install them as root: apt-get install ${missing[*]}"
        as_root=(sudo)
    fi
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq update ||
        say 'the package lists could not all be brought up to date; going on with those that are there'
    installable=()
    for package in "${missing[@]}"; do
        # Older releases have no rustup: that is reported below. Ubuntu has no chromium: the test is skipped.
        case $package in rustup | chromium) apt-cache show "$package" >/dev/null 2>&1 || continue ;; esac
        installable+=("$package")
    done
    if [ "${#installable[@]}" -gt 0 ]; then
        say "installing ${installable[*]}"
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${installable[@]}" </dev/null
    fi
fi

case " ${missing[*]-} " in
*-xdebug\ *) "${as_root[@]}" phpdismod xdebug ;;
esac

if [ "$rust" = no ]; then
    if have rustup; then
        say "installing Rust with rustup: cargo $wanted or newer is needed"
        rustup toolchain install stable --profile minimal --component clippy,rustfmt
        rustup default stable
    fi
    cargo_is_new_enough ||
        die "cargo $wanted or newer is needed. Install it as https://rustup.rs says, open a new shell, then try again"
fi
if [ "$tests" = yes ] && { ! cargo clippy --version >/dev/null 2>&1 || ! cargo fmt --version >/dev/null 2>&1; }; then
    have rustup || die 'clippy and rustfmt are missing: install those that belong to this cargo'
    rustup component add clippy rustfmt
fi
