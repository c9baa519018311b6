#!/usr/bin/env bash
# Makes target/runtime-bundle.tar.zst, which build.rs packs into the forkpress binary. In it are, in this order:
# manifest.json, branchfs.so and those for other PHPs, the phars of WP-CLI and of the blueprint runner, WordPress's importer, and the WordPress tree that
# scripts/fetch-wordpress.sh left, its SQLite driver first. So the small ones are found at once.
#
# The same parts give the same bytes. The script does nothing if the bundle is newer than all of them.
set -euo pipefail

die() {
    printf 'build-bundle: %s\n' "$1" >&2
    exit 1
}

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
bundle=target/runtime-bundle.tar.zst
extension=ext/branchfs.so
manifest=target/wordpress.json
[ -f "$extension" ] || die "$extension is missing ('make build' makes it)"
[ -f "$manifest" ] || die "target/wordpress is missing (scripts/fetch-wordpress.sh fetches it)"

# build.rs puts an empty file in the place of a missing bundle.
shopt -s nullglob
others=(ext/branchfs-*.so)
# A list, because one that has gone is no newer than anything.
printf '%s\n' "${others[@]##*/}" >target/extensions.new
cmp -s target/extensions.new target/extensions || mv target/extensions.new target/extensions
rm -f target/extensions.new
is_new=yes
for part in "${others[@]}" target/extensions; do
    [ "$bundle" -nt "$part" ] || is_new=no
done
if [ -s "$bundle" ] && [ "$is_new" = yes ] && [ "$bundle" -nt "$extension" ] && [ "$bundle" -nt "$manifest" ] && [ "$bundle" -nt "$0" ] &&
    [ "$bundle" -nt scripts/bundle-manifest.php ]; then
    exit 0
fi

php_config=${PHP_CONFIG:-php-config}
command -v "$php_config" >/dev/null || die "$php_config is missing (scripts/install-deps.sh installs it)"
php=$("$php_config" --php-binary)

work=$(mktemp -d target/runtime-bundle.XXXXXX)
trap 'rm -rf "$work"' EXIT
mkdir "$work/parts"
cp "$extension" "${others[@]}" "$work/parts/"
phars=(wp-cli.phar blueprints.phar wordpress-importer.tar)
for phar in "${phars[@]}"; do
    cp -p "target/wordpress.phars/$phar" "$work/parts/$phar"
done
(
    cd target
    driver=wordpress/wp-content/mu-plugins/sqlite-database-integration
    find "$driver" -type f | LC_ALL=C sort
    find wordpress -type f -not -path "$driver/*" | LC_ALL=C sort
) >"$work/files"

version=$(sed -nE 's/^version = "(.*)"$/\1/p' Cargo.toml | head -n 1)
"$php" -n scripts/bundle-manifest.php "$manifest" "$version" "$(wc -l <"$work/files")" >"$work/parts/manifest.json"

# The archive must not show which machine packed it, when and as whom. WordPress's own files keep their times, because
# PHP's OPcache tells two versions of a file apart by them.
touch -d @0 "$work/parts/manifest.json" "$work"/parts/branchfs*.so
chmod 644 "$work/parts/manifest.json" "$work"/parts/branchfs*.so
{
    printf '%s\n' manifest.json branchfs.so "${others[@]##*/}" "${phars[@]}"
    sed 's|^|../../|' "$work/files"
} >"$work/list"
tar --create --format=gnu --owner=0 --group=0 --numeric-owner --no-recursion --transform 's|^\.\./\.\./||' \
    --absolute-names --directory "$work/parts" --files-from "$work/list" | zstd -q -10 -T0 -o "$work/bundle"
mv "$work/bundle" "$bundle"
printf 'build-bundle: %s, %s bytes\n' "$bundle" "$(wc -c <"$bundle")"
