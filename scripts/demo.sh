#!/usr/bin/env bash
# Makes a demo site with a branch, unless it exists already, serves it, and prints its address.
#
#     scripts/demo.sh [SITE]         SITE: demo-site
set -euo pipefail

forkpress=$(cd "$(dirname "$0")/.." && pwd)/target/release/forkpress
site=${1:-demo-site}
mkdir -p "$site"
cd "$site"

if [ ! -d .forkpress ]; then
    "$forkpress" init --admin-password admin --site-title 'ForkPress demo'
fi
if ! "$forkpress" branch show marketing >/dev/null 2>&1; then
    "$forkpress" branch create marketing
fi
"$forkpress" serve
"$forkpress" branch list
printf '\nDashboards open signed in, at /wp-admin/ (user admin, password admin).\n'
printf 'Try:   cd %q && %q branch create idea\n' "$PWD" "$forkpress"
printf 'Stop:  cd %q && %q stop\n' "$PWD" "$forkpress"
