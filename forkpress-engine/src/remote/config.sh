# shellcheck shell=sh disable=SC2154 # What it finds is set before it.
# Has PHP say what the site's configuration defines. The input is config.php.
cd "$path" || exit 9
cat | php -d display_errors=stderr -d html_errors=0
