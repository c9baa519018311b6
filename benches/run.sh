#!/usr/bin/env bash
# Runs the benchmarks and prints a table for each. benches/README.md says what they compare.
#
# Uses what `make build` left: ext/branchfs.so, target/release/forkpress, target/wordpress. The variable PHP names the
# program to run (php). A benchmark that can't run says what it lacks. The others still run, and the exit status is 1.
set -uo pipefail

cd "$(dirname "$0")/.." || exit 1
php=${PHP:-php}
missed=0

say() { printf 'bench: %s\n' "$*" >&2; }

# Runs a benchmark: its title, its longest time in seconds, the command.
bench() {
    local title=$1 limit=$2 status=0
    shift 2
    local limited=()
    # Systems without the tool wait.
    if command -v timeout >/dev/null; then
        limited=(timeout --kill-after=20 "$limit")
    fi
    say "$title ..."
    "${limited[@]}" "$@" </dev/null || status=$?
    echo
    if [ "$status" -ne 0 ]; then
        missed=$((missed + 1))
        case $status in
            124 | 137) say "$title: ended after $limit s" ;;
            *) say "$title: exit status $status" ;;
        esac
    fi
}

for module in pcntl posix pdo_sqlite; do
    if ! "$php" -r "exit( (int) ! extension_loaded( '$module' ) );"; then
        say "no $php with the module $module: scripts/install-deps.sh installs it"
        exit 1
    fi
done
if [ ! -f ext/branchfs.so ] || [ ! -x target/release/forkpress ]; then
    say "ext/branchfs.so or target/release/forkpress is missing: 'make build' makes them"
    exit 1
fi
# Compiling beside a measurement would spoil it.
cargo bench --locked --quiet --package forkpress-core --package forkpress-engine --no-run || exit 1
cargo build --release --locked --quiet --package forkpress-server --example client || exit 1

trap 'exit 130' INT TERM
bench 'what the lock costs a request' 60 "$php" -d "extension=$PWD/ext/branchfs.so" benches/lock_cost.php
bench 'files through branchfs:// and by plain paths' 180 "$php" -d "extension=$PWD/ext/branchfs.so" benches/branchfs.php
bench 'how long an exclusive waiter waits' 120 cargo bench --locked --quiet --package forkpress-core --bench exclusive_wait
bench 'what mutations take, beside the plain tools' 900 \
    cargo bench --locked --quiet --package forkpress-engine --bench mutations
bench 'a branch from a spare, and a hundred in one' 900 \
    cargo bench --locked --quiet --package forkpress-engine --bench many
bench 'diff and merge, beside reading the databases' 1800 \
    cargo bench --locked --quiet --package forkpress-engine --bench merge
bench 'loading a dump, beside the SQLite driver itself' 600 \
    cargo bench --locked --quiet --package forkpress-engine --bench load
bench 'a create of a site with a database' 900 cargo bench --locked --quiet --package forkpress-engine --bench parting
bench 'how long a create keeps requests out, with watches and without' 1800 \
    cargo bench --locked --quiet --package forkpress-engine --bench hold
bench 'whether mutations wait for each other' 900 \
    cargo bench --locked --quiet --package forkpress-engine --bench beside
bench 'what clients notice of mutations, and of spares in the making' 300 "$php" benches/mutation_latency.php
bench 'what a long request costs the other branches' 300 "$php" benches/apart.php
bench 'from an empty folder to the first page' 120 "$php" benches/first_page.php
bench 'the first page of a branch that is ready' 180 "$php" benches/warm_branch.php
bench 'the branch page of 200 branches' 900 "$php" benches/branch_page.php
bench 'what it takes to serve, beside nginx and php-fpm' 600 "$php" benches/serving.php
bench 'a front page through the router' 120 "$php" benches/front_page.php
bench 'what it costs to serve the own address' 240 "$php" benches/addresses.php
bench 'what forkpress wp costs, beside the bare phar' 120 "$php" benches/wp_cli.php
bench 'what Git costs' 900 "$php" benches/git.php
bench 'an export, by mysqldump' 600 "$php" benches/export.php
bench 'a warm dashboard in a browser' 120 "$php" benches/dashboard.php
if [ "$missed" -gt 0 ]; then
    say "$missed of 21 did not end well"
    exit 1
fi
