#!/usr/bin/env bash
# Puts a WordPress tree with the SQLite driver in it, and no wp-config.php, into a folder; and the phars of WP-CLI and of
# the blueprint runner, and WordPress's importer as a tar, into DEST.phars beside it.
#
#     scripts/fetch-wordpress.sh [--refresh | --older] [DEST]        DEST: target/wordpress, or target/wordpress-older
#
# scripts/wordpress.lock names each part, its version, where it comes from, and its hash. What is fetched must have that
# hash; of Debian's package apt checks the signature instead. DEST stays where it is what the lock file names: DEST.json,
# beside it, says what it is made of.
#
# --refresh writes the lock file anew, with the newest that can be had:
#   - WordPress: its own current release, if its host answers, checked against the checksum published beside it; else
#     the newer of the npm package wp-studio's and Debian's, whose signatures apt checks;
#   - the driver: the newer of those in wp-studio and in WordPress Playground's package; npm checks their integrity;
#   - the phars and the importer: those in wp-studio.
#
# --older takes Debian's WordPress, which is older, instead of the lock file's. It has no hash there: Debian removes a
# version when the next one comes.
set -euo pipefail

readonly release='https://wordpress.org'
readonly studio='wp-studio'
readonly playground='@wp-playground/cli'
readonly driver='sqlite-database-integration'
readonly importer='wordpress-importer'
# Where wp-studio has its parts.
readonly files='package/dist/cli/wp-files'

die() {
    printf 'fetch-wordpress: %s\n' "$1" >&2
    exit 1
}
say() { printf 'fetch-wordpress: %s\n' "$1"; }

root=$(cd "$(dirname "$0")/.." && pwd)
lock=$root/scripts/wordpress.lock
mode=locked
case ${1-} in
    --refresh) mode=refresh ;;
    --older) mode=older ;;
    -*) die "there is no option $1" ;;
esac
[ "$mode" = locked ] || shift
default=$root/target/wordpress
[ "$mode" != older ] || default=$root/target/wordpress-older
dest=${1:-$default}
manifest=$dest.json

sha256() { sha256sum "$1" | cut -d' ' -f1; }

# What a tree made from the lock file as it is now has in its manifest.
stamp() { printf '%s %s' "$([ "$mode" = older ] && echo older || echo locked)" "$(sha256 "$lock")"; }

if [ "$mode" != refresh ] && grep -qsF "\"lock\": \"$(stamp)\"" "$manifest" &&
    [ -d "$dest/wp-content/mu-plugins/$driver" ] && [ -s "$dest.phars/wp-cli.phar" ] &&
    [ -s "$dest.phars/$importer.tar" ]; then
    say "$dest is there already"
    exit 0
fi
if [ -e "$dest" ]; then say "$dest is not what scripts/wordpress.lock names; fetching it anew"; fi

mkdir -p "$(dirname "$dest")"
# Beside DEST, so that the finished tree is renamed into place.
work=$(mktemp -d "$dest.XXXXXX")
trap 'rm -rf "$work"' EXIT
tree=$work/wordpress
parts=()

# The newer of two versions.
newer() { printf '%s\n%s\n' "$1" "$2" | sort -V | tail -n 1; }

version_of_wordpress() { sed -nE "s/^\\\$wp_version = '([^']+)';.*/\1/p" "$1/wp-includes/version.php"; }
version_of_importer() { sed -nE "s/^ \* Version: +([0-9.]+).*/\1/p" "$1/$importer.php"; }
version_of_driver() { sed -nE "s/^ \* Version: +([0-9.]+).*/\1/p" "$1/load.php"; }

# Fetches an npm package, such as wp-studio or wp-studio@1.22.0, and unpacks it; once. Sets npm_archive and npm_folder.
npm_get() {
    local spec=$1 packed
    npm_folder=$work/npm/${spec//[^a-zA-Z0-9.]/-}
    if ! [ -d "$npm_folder" ]; then
        command -v npm >/dev/null || die 'npm is missing (scripts/install-deps.sh installs it)'
        mkdir -p "$npm_folder"
        packed=$(cd "$npm_folder" && npm pack --silent --fetch-retries 3 "$spec" 2>"$work/npm.log") ||
            die "the package $spec can not be fetched: $(tail -n 3 "$work/npm.log")"
        mv "$npm_folder/${packed##*$'\n'}" "$npm_folder/package.tgz"
        tar -xzf "$npm_folder/package.tgz" -C "$npm_folder"
    fi
    npm_archive=$npm_folder/package.tgz
}

# Prints the folder of the driver in an npm package that npm_get unpacked.
driver_in() {
    if [ -d "$1/$files/$driver" ]; then
        printf '%s\n' "$1/$files/$driver"
        return
    fi
    if ! [ -d "$1/driver" ]; then
        command -v unzip >/dev/null || die 'unzip is missing (scripts/install-deps.sh installs it)'
        TZ=UTC unzip -q "$1/package/$driver.zip" -d "$1/driver"
    fi
    local load
    load=$(find "$1/driver" -maxdepth 2 -name load.php -print -quit)
    [ -n "$load" ] || die 'what was fetched has no SQLite driver in it'
    dirname "$load"
}

# Fetches a release of WordPress, such as wordpress-7.1.1, and unpacks it. Fails quietly if its host can't be reached.
release_get() {
    command -v curl >/dev/null || return 1
    curl --fail --silent --location --connect-timeout 3 --max-time 300 --retry 2 \
        --output "$work/release.tar.gz" "$release/$1.tar.gz" || return 1
    rm -rf "$work/release"
    mkdir -p "$work/release"
    tar -xzf "$work/release.tar.gz" -C "$work/release"
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

# Reads the lists of Debian's (or Ubuntu's) packages into a private apt state; the machine's own is not touched. Sets suite
# and options. Fails where there is no apt.
apt_begin() {
    command -v apt-get >/dev/null || return 1
    local codename
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
    options=(
        -o "Dir::State=$apt/state" -o "Dir::Cache=$apt/cache" -o "Dir::Etc=$apt/etc" -o Dir::State::status=/dev/null
        -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$apt/etc/sources.list.d"
        -o Dir::Etc::trusted=/etc/apt/trusted.gpg -o Dir::Etc::trustedparts=/etc/apt/trusted.gpg.d
        -o Dir::Etc::netrcparts=/etc/apt/auth.conf.d
        -o Acquire::Languages=none -o Acquire::Retries=3 -o APT::Sandbox::User= -o APT::Get::AllowUnauthenticated=false
    )
    apt-get "${options[@]}" -qq update
}

# Prints the version of WordPress that apt has, without Debian's own part of it.
apt_version() {
    apt-cache "${options[@]}" show wordpress 2>/dev/null | sed -nE 's/^Version: ([0-9.]+).*/\1/p' | head -n 1
}

# Fetches the package of WordPress and makes the tree of it.
apt_get() {
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
        parts+=("$(dpkg-deb --show --showformat='${Package} ${Version}' "$deb") sha256:$(sha256 "$deb")")
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

# Prints a line of the lock file: NAME VERSION SOURCE HASH PUBLISHED.
lock_line() { printf '%s %s %s %s %s\n' "$@"; }

# Prints when a version of an npm package was published. Its files all have one and the same time, and PHP's OPcache tells two
# versions of a file apart by that.
published() {
    local when
    when=$(npm view "$1" time --json | sed -nE "s/^ *\"${1##*@}\": *\"([0-9T:-]+)[^\"]*\".*/\1Z/p" | head -n 1)
    printf '%s\n' "${when:-$(date -u +%Y-%m-%dT%H:%M:%SZ)}"
}

# Prints an npm package with its newest version, such as wp-studio@1.22.0.
newest() {
    local version
    version=$(npm view "$1" version 2>"$work/npm.log") || die "the registry does not know $1: $(tail -n 3 "$work/npm.log")"
    printf '%s@%s\n' "$1" "$version"
}

# Writes the lock file: looks at each source and takes what is newest.
refresh() {
    local studio_spec playground_spec studio_folder studio_hash studio_published
    studio_spec=$(newest "$studio")
    npm_get "$studio_spec"
    studio_folder=$npm_folder studio_hash=sha256:$(sha256 "$npm_archive") studio_published=$(published "$studio_spec")

    local version sum wordpress
    version=$(version_of_wordpress "$studio_folder/$files/latest/wordpress")
    wordpress=$(lock_line wordpress "$version" "npm:$studio_spec" "$studio_hash" "$studio_published")
    if release_get latest; then
        # By its version, so that the lock file holds when the next one comes.
        version=$(version_of_wordpress "$work/release/wordpress")
        if ! sum=$(curl --fail --silent --location --max-time 10 "$release/wordpress-$version.tar.gz.sha1") ||
            ! release_get "wordpress-$version"; then
            die "$release does not have its release $version"
        fi
        printf '%s  %s\n' "${sum%% *}" "$work/release.tar.gz" | sha1sum --check --status ||
            die "what $release sent does not match its checksum"
        wordpress=$(lock_line wordpress "$version" "release:wordpress-$version" "sha256:$(sha256 "$work/release.tar.gz")" -)
    elif apt_begin && [ "$(newer "$(apt_version)" "$version")" != "$version" ]; then
        wordpress=$(lock_line wordpress "$(apt_version)" "apt:$suite" - -)
    fi

    local of_studio of_playground
    playground_spec=$(newest "$playground")
    npm_get "$playground_spec"
    of_studio=$(version_of_driver "$(driver_in "$studio_folder")")
    of_playground=$(version_of_driver "$(driver_in "$npm_folder")")
    version=$(phar_version "$studio_folder/$files/wp-cli/wp-cli.phar")
    [ -n "$version" ] || die 'WP-CLI does not say its version'
    local of_importer
    of_importer=$(version_of_importer "$studio_folder/$files/$importer")
    [ -n "$of_importer" ] || die "WordPress's importer does not say its version"
    {
        printf '# What scripts/fetch-wordpress.sh fetches; its --refresh writes this file.\n'
        printf '# NAME VERSION SOURCE HASH PUBLISHED\n'
        printf '%s\n' "$wordpress"
        if [ "$(newer "$of_playground" "$of_studio")" = "$of_studio" ]; then
            lock_line sqlite-driver "$of_studio" "npm:$studio_spec" "$studio_hash" "$studio_published"
        else
            lock_line sqlite-driver "$of_playground" "npm:$playground_spec" "sha256:$(sha256 "$npm_archive")" "$(published "$playground_spec")"
        fi
        lock_line wp-cli "$version" "npm:$studio_spec" "$studio_hash" "$studio_published"
        # The blueprint runner has no version of its own: that of the package stands for it.
        lock_line blueprints "${studio_spec/@/-}" "npm:$studio_spec" "$studio_hash" "$studio_published"
        lock_line importer "$of_importer" "npm:$studio_spec" "$studio_hash" "$studio_published"
    } >"$work/lock"
    cat "$work/lock" >"$lock"
    say "$lock is new"
}

phar_version() { php "$1" --version --allow-root | sed -nE 's/^WP-CLI ([0-9.]+).*/\1/p'; }

# Reads a line of the lock file into version, source, hash and published.
locked() {
    local name
    while read -r name version source hash published; do
        [ "$name" = "$1" ] && return
    done <"$lock"
    die "scripts/wordpress.lock has no $1 (--refresh writes it anew)"
}

# Fails unless a file has the hash that the lock file names.
verify() {
    [ "sha256:$(sha256 "$1")" = "$hash" ] ||
        die "$source is not what scripts/wordpress.lock names: sha256:$(sha256 "$1") instead of $hash"
}

# Fetches the npm package that locked found, and checks it.
locked_npm() {
    case $source in npm:*) ;; *) die "scripts/wordpress.lock: $source is no source" ;; esac
    npm_get "${source#npm:}"
    verify "$npm_archive"
    local part
    for part in "${parts[@]-}"; do [ "$part" != "${source#npm:} $hash" ] || return 0; done
    parts+=("${source#npm:} $hash")
}

# Copies files out of an npm package, with the time at which it was published.
take() {
    cp -R "$1" "$2"
    find "$2" -exec touch -d "$published" {} +
}

take_wordpress() {
    [ "$mode" != older ] || source=apt:
    case $source in
        npm:*)
            locked_npm
            take "$npm_folder/$files/latest/wordpress" "$tree"
            ;;
        release:*)
            release_get "${source#release:}" || die "$release can not be reached, and scripts/wordpress.lock has WordPress from there"
            verify "$work/release.tar.gz"
            parts+=("${source#release:} $hash")
            mv "$work/release/wordpress" "$tree"
            ;;
        apt:*)
            apt_begin || die "the package sources of this machine can not be read"
            apt_get
            ;;
        *) die "scripts/wordpress.lock: $source is no source" ;;
    esac
}

# Puts the driver into the tree as a must-use plugin, which nobody can deactivate, and its drop-in, which finds the driver
# from its own place: no path is written into it.
take_driver() {
    local plugin=$tree/wp-content/mu-plugins/$driver
    locked_npm
    rm -rf "$tree/wp-content/plugins/$driver" "$plugin"
    mkdir -p "$tree/wp-content/mu-plugins"
    take "$(driver_in "$npm_folder")" "$plugin"
    sed -e "s|'{SQLITE_IMPLEMENTATION_FOLDER_PATH}'|__DIR__ . '/mu-plugins/$driver'|" -e "s|{SQLITE_PLUGIN}|$driver/load.php|g" \
        "$plugin/db.copy" >"$tree/wp-content/db.php"
    touch -r "$plugin/db.copy" "$tree/wp-content/db.php"
}

# Puts a phar beside the tree: its name in the lock file, its path in the package.
take_phar() {
    locked "$1"
    locked_npm
    mkdir -p "$work/phars"
    take "$npm_folder/$files/$1/$1.phar" "$work/phars/$1.phar"
    chmod 644 "$work/phars/$1.phar"
}

# Puts WordPress's importer beside the tree, as one file that PHP reads as it reads a phar. The same files give the same bytes.
take_importer() {
    locked importer
    locked_npm
    tar --create --format=ustar --sort=name --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --mtime="$published" \
        --transform 's|^\./||' --directory "$npm_folder/$files/$importer" --file "$work/phars/$importer.tar" .
    touch -d "$published" "$work/phars/$importer.tar"
}

[ "$mode" != refresh ] || refresh
[ -f "$lock" ] || die 'scripts/wordpress.lock is missing (--refresh writes it)'

locked wordpress
take_wordpress
locked sqlite-driver
take_driver
take_phar wp-cli
wp_cli_version=$version
take_phar blueprints
blueprints_version=$version
take_importer
importer_version=$version

wordpress_version=$(version_of_wordpress "$tree")
driver_version=$(version_of_driver "$tree/wp-content/mu-plugins/$driver")
[ -n "$wordpress_version" ] || die 'what was fetched does not look like WordPress'
[ -n "$driver_version" ] || die 'the SQLite driver does not say its version'
for file in index.php wp-load.php wp-admin/admin.php wp-includes/js/jquery/jquery.min.js wp-includes/ID3/getid3.php; do
    [ -s "$tree/$file" ] || die "what was fetched is not whole: $file is missing"
done
rm -f "$tree/.htaccess" "$tree/wp-config.php"
chmod -R u=rwX,go=rX "$tree"

{
    printf '{\n  "lock": "%s",\n' "$(stamp)"
    printf '  "wordpress": "%s",\n  "sqlite_driver": "%s",\n' "$wordpress_version" "$driver_version"
    printf '  "wp_cli": "%s",\n  "blueprints": "%s",\n  "importer": "%s",\n  "parts": [\n' \
        "$wp_cli_version" "$blueprints_version" "$importer_version"
    printf '    "%s"\n' "${parts[@]}" | sed '$!s/$/,/'
    printf '  ]\n}\n'
} >"$work/manifest.json"

rm -rf "$dest" "$dest.phars" "$manifest"
mv "$tree" "$dest"
mv "$work/phars" "$dest.phars"
# Written last: only a whole tree has one.
mv "$work/manifest.json" "$manifest"
say "WordPress $wordpress_version with SQLite driver $driver_version in $dest"
