#!/usr/bin/env bash
# Puts a WordPress tree with the SQLite driver in it, and no wp-config.php, into a folder.
#
#     scripts/fetch-wordpress.sh [--refresh] [DEST]        DEST: target/wordpress
#
# An existing tree stays, unless --refresh is given. DEST.json, beside DEST, says what the tree is made of. There are two
# sources, in this order:
#   1. WordPress's own current release, checked against the checksum published beside it;
#   2. if that can't be reached, Debian's package of it, through the machine's own package sources, whose
#      signatures apt checks.
# The driver comes from a package that ships it; npm checks its integrity.
set -euo pipefail

# The driver that the tests run with. Its package is WordPress Playground's.
readonly driver_package='@wp-playground/cli@3.1.56'
readonly release='https://wordpress.org/latest.tar.gz'

die() {
    printf 'fetch-wordpress: %s\n' "$1" >&2
    exit 1
}
say() { printf 'fetch-wordpress: %s\n' "$1"; }

root=$(cd "$(dirname "$0")/.." && pwd)
refresh=no
if [ "${1-}" = --refresh ]; then
    refresh=yes
    shift
fi
dest=${1:-$root/target/wordpress}
manifest=$dest.json

if [ "$refresh" = no ] && [ -f "$manifest" ] && [ -d "$dest/wp-content/mu-plugins/sqlite-database-integration" ]; then
    say "$dest is there already (--refresh fetches it anew)"
    exit 0
fi

mkdir -p "$(dirname "$dest")"
# Beside DEST, so that the finished tree is renamed into place.
work=$(mktemp -d "$dest.XXXXXX")
trap 'rm -rf "$work"' EXIT
tree=$work/wordpress
parts=()

# Fetches WordPress's own release. Fails quietly if its host can't be reached.
fetch_release() {
    local sum
    command -v curl >/dev/null || return 1
    sum=$(curl --fail --silent --location --connect-timeout 3 --max-time 10 "$release.sha1") || return 1
    curl --fail --silent --show-error --location --connect-timeout 3 --max-time 300 --retry 2 \
        --output "$work/release.tar.gz" "$release" || return 1
    printf '%s  %s\n' "${sum%% *}" "$work/release.tar.gz" | sha1sum --check --status ||
        die "what $release sent does not match its checksum"
    tar -xzf "$work/release.tar.gz" -C "$work"
    parts+=("$release sha1:${sum%% *}")
}

# Prints the machine's own Debian or Ubuntu source entry, for another suite if one is given ($2).
apt_entry() {
    local codename=$1 suite=$2 file
    for file in /etc/apt/sources.list.d/*.sources; do
        [ -f "$file" ] || continue
        # One paragraph for each source. The right one has the plain codename among its suites.
        awk -v codename="$codename" -v suite="$suite" '
            BEGIN { RS = ""; FS = "\n" }
            !done {
                found = 0
                for (i = 1; i <= NF; i++) {
                    if ($i ~ /^Suites:/) {
                        n = split($i, word, /[ \t]+/)
                        for (j = 2; j <= n; j++) if (word[j] == codename) { found = 1; $i = "Suites: " suite }
                    }
                }
                if (found) {
                    for (i = 1; i <= NF; i++) if ($i !~ /^#/) print $i
                    done = 1
                }
            }' "$file"
    done
}
apt_line() {
    local codename=$1 suite=$2 file
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -f "$file" ] || continue
        awk -v codename="$codename" -v suite="$suite" '
            $1 == "deb" {
                at = ($2 ~ /^\[/) ? 0 : 3
                for (i = 2; !at && i <= NF; i++) if ($i ~ /\]$/) at = i + 2
                if ($at == codename) { $at = suite; print }
            }' "$file"
    done
}

# Fetches Debian's (or Ubuntu's) package of WordPress into a private apt state: the machine's own is not touched.
fetch_package() {
    command -v apt-get >/dev/null || die 'WordPress can not be fetched: its own host does not answer, and this machine has no apt'
    local codename suite
    # shellcheck source=/dev/null
    codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME-}")
    suite=$codename
    # Debian releases up to 12 have a WordPress that is too old for the driver and the theme.
    case $codename in buster | bullseye | bookworm) suite=trixie ;; esac

    local apt=$work/apt
    mkdir -p "$apt"/{state/lists/partial,cache/archives/partial,etc/sources.list.d,etc/preferences.d} "$work/root" "$work/debs"
    apt_entry "$codename" "$suite" >"$apt/etc/sources.list.d/own.sources"
    apt_line "$codename" "$suite" >"$apt/etc/sources.list.d/own.list"
    [ -s "$apt/etc/sources.list.d/own.sources" ] || rm "$apt/etc/sources.list.d/own.sources"
    [ -s "$apt/etc/sources.list.d/own.list" ] || rm "$apt/etc/sources.list.d/own.list"
    local options=(
        -o "Dir::State=$apt/state" -o "Dir::Cache=$apt/cache" -o "Dir::Etc=$apt/etc" -o Dir::State::status=/dev/null
        -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$apt/etc/sources.list.d"
        -o Dir::Etc::trusted=/etc/apt/trusted.gpg -o Dir::Etc::trustedparts=/etc/apt/trusted.gpg.d
        -o Dir::Etc::netrcparts=/etc/apt/auth.conf.d
        -o Acquire::Languages=none -o Acquire::Retries=3 -o APT::Sandbox::User= -o APT::Get::AllowUnauthenticated=false
    )
    apt-get "${options[@]}" -qq update || die "the package sources of $suite can not be read"

    # Also the libraries and the theme that Debian took out of the package and links to.
    local packages
    mapfile -t packages < <(apt-cache "${options[@]}" depends wordpress 2>/dev/null |
        sed -nE 's/^[ |]*(Depends|Recommends): (libjs-[a-z0-9.-]+|php-getid3|wordpress-theme-[a-z0-9]+)$/\2/p' | sort -u)
    [ "${#packages[@]}" -gt 0 ] || die "$suite has no package of WordPress"
    (cd "$work/debs" && apt-get "${options[@]}" -qq download wordpress ca-certificates "${packages[@]}") ||
        die "the packages of WordPress can not be fetched from $suite"
    local deb
    for deb in "$work"/debs/*.deb; do
        dpkg -x "$deb" "$work/root"
        # shellcheck disable=SC2016 # dpkg-deb fills these in.
        parts+=("$(dpkg-deb --show --showformat='${Package} ${Version}' "$deb")")
    done

    local packed=$work/root/usr/share/wordpress
    # Debian links to the machine's own list, which may hold what only this machine trusts.
    rm -f "$packed/wp-includes/certificates/ca-bundle.crt"
    cat "$work"/root/usr/share/ca-certificates/mozilla/*.crt >"$packed/wp-includes/certificates/ca-bundle.crt"
    touch -r "$packed/index.php" "$packed/wp-includes/certificates/ca-bundle.crt"
    rm -f "$packed/.htaccess" "$packed/wp-config.php"
    local link
    link=$(find "$packed" -type l \( -lname '/*' -o ! -exec test -e {} \; \) -print -quit)
    [ -z "$link" ] || die "${link#"$work"/root} leads out of what was fetched: $(readlink "$link")"
    cp -RL --preserve=mode,timestamps "$packed" "$tree"
}

# Puts the driver into the tree as a must-use plugin, which nobody can deactivate, and its drop-in, which finds the driver
# from its own place: no path is written into it.
fetch_driver() {
    command -v npm >/dev/null || die 'npm is missing (scripts/install-deps.sh installs it)'
    command -v unzip >/dev/null || die 'unzip is missing (scripts/install-deps.sh installs it)'
    mkdir -p "$work/npm"
    local packed
    packed=$(cd "$work/npm" && npm pack --silent --fetch-retries 3 "$driver_package" 2>"$work/npm.log") ||
        die "the SQLite driver can not be fetched: $(tail -n 3 "$work/npm.log")"
    packed=${packed##*$'\n'}
    tar -xzf "$work/npm/$packed" -C "$work/npm"
    TZ=UTC unzip -q "$work/npm/package/sqlite-database-integration.zip" -d "$work/driver"
    local load
    load=$(find "$work/driver" -maxdepth 2 -name load.php -print -quit)
    [ -n "$load" ] || die "no SQLite driver in $driver_package"
    local name=sqlite-database-integration
    local plugin=$tree/wp-content/mu-plugins/$name
    rm -rf "$tree/wp-content/plugins/$name" "$plugin"
    mkdir -p "$tree/wp-content/mu-plugins"
    mv "$(dirname "$load")" "$plugin"
    sed -e "s|'{SQLITE_IMPLEMENTATION_FOLDER_PATH}'|__DIR__ . '/mu-plugins/$name'|" -e "s|{SQLITE_PLUGIN}|$name/load.php|g" \
        "$plugin/db.copy" >"$tree/wp-content/db.php"
    touch -r "$plugin/db.copy" "$tree/wp-content/db.php"
    driver_version=$(sed -nE "s/^ \* Version: +([0-9.]+).*/\1/p" "$plugin/load.php")
    [ -n "$driver_version" ] || die "the SQLite driver does not say its version"
    parts+=("$driver_package sha256:$(sha256sum "$work/npm/$packed" | cut -d' ' -f1)")
}

if ! fetch_release; then
    say "WordPress's own release can not be reached from here; taking the package of it"
    fetch_package
fi
driver_version=
fetch_driver

wordpress_version=$(sed -nE "s/^\\\$wp_version = '([^']+)';.*/\1/p" "$tree/wp-includes/version.php")
[ -n "$wordpress_version" ] || die 'what was fetched does not look like WordPress'
for file in index.php wp-load.php wp-admin/admin.php wp-includes/js/jquery/jquery.min.js wp-includes/ID3/getid3.php; do
    [ -s "$tree/$file" ] || die "what was fetched is not whole: $file is missing"
done
rm -f "$tree/.htaccess" "$tree/wp-config.php"
chmod -R u=rwX,go=rX "$tree"

{
    printf '{\n  "wordpress": "%s",\n  "sqlite_driver": "%s",\n  "parts": [\n' "$wordpress_version" "$driver_version"
    printf '    "%s"\n' "${parts[@]}" | sed '$!s/$/,/'
    printf '  ]\n}\n'
} >"$work/manifest.json"

rm -rf "$dest" "$manifest"
mv "$tree" "$dest"
# Written last: only a whole tree has one.
mv "$work/manifest.json" "$manifest"
say "WordPress $wordpress_version with SQLite driver $driver_version in $dest"
