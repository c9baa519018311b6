# shellcheck shell=sh disable=SC2154 # What it finds is set before it.
# Looks at a folder and says what is there, a line each. Writes nothing. It finds $path, and patterns in its arguments.
say() { printf '%s\n' "$1"; }
end() {
    printf '\n%s\n' "$mark"
    exec cat >/dev/null
}
if ! cd "$path" 2>/dev/null; then
    if [ -d "$path" ]; then say 'fail denied'; elif [ -e "$path" ]; then say 'fail file'; else say 'fail missing'; fi
    end
fi
if [ -f wp-load.php ] || [ -f wp-settings.php ]; then say core; fi
config=
if [ -f wp-config.php ]; then
    config=./wp-config.php
elif [ -f ../wp-config.php ] && [ ! -f ../wp-settings.php ]; then
    config=../wp-config.php
    say above
fi
for tool in tar gzip zstd mysqldump mariadb-dump; do
    if command -v "$tool" >/dev/null 2>&1; then say "has $tool"; fi
done
case $(tar --version 2>/dev/null) in *GNU*) say 'has gnu-tar' ;; esac
if tar -cf - --exclude=./none /dev/null >/dev/null 2>&1; then say 'has exclude'; fi
# shellcheck disable=SC2016 # PHP's.
php=$(php -r 'echo PHP_SAPI, extension_loaded( "mysqli" ) ? " mysqli" : "";' 2>/dev/null </dev/null)
case $php in cli*) say "has php" ;; esac
case $php in 'cli mysqli') say 'has mysqli' ;; esac
for found in wp-content/database/.ht.sqlite wp-content/database/.ht.*/.ht.sqlite; do
    if [ -f "$found" ] && [ -f wp-content/db.php ]; then say sqlite; fi
done
for found in */plugins; do
    found=${found%/plugins}
    if [ "$found" != wp-content ] && [ -d "$found/plugins" ] && [ -d "$found/themes" ]; then say "content $found"; fi
done
if [ -z "$config" ] && [ ! -f wp-load.php ]; then
    for found in */wp-load.php */*/wp-load.php */wp-config.php; do
        if [ -f "$found" ]; then say "other ${found%/*}"; fi
    done
    end
fi
for pattern; do
    # It is a pattern of names here, with no blank in it.
    # shellcheck disable=SC2086
    for found in $pattern; do
        if [ -e "$found" ]; then say "aside $found"; fi
    done
done
find . -type l 2>/dev/null | while IFS= read -r found; do say "link ${found#./}"; done
if [ "$sizes" = yes ]; then
    say "kilobytes $(du -sk . 2>/dev/null | { read -r size rest; say "$size"; })"
    say "uploads $(du -sk wp-content/uploads 2>/dev/null | { read -r size rest; say "$size"; })"
fi
if [ -n "$config" ]; then
    if [ -r "$config" ]; then
        say config
        cat "$config"
    else
        say 'fail config'
    fi
fi
end
