#!/usr/bin/env bash
# Builds, runs every test and ends with one line: how many passed and failed. Exits with 1 if any failed.
#
# The output of each part goes to target/test-logs. If a part fails, its output is shown as well. A part that crashes,
# hangs or ends without saying how many of its tests passed counts as one failure.
set -uo pipefail

cd "$(dirname "$0")/.." || exit 1
logs=target/test-logs
rm -rf "$logs"
mkdir -p "$logs"

# A line for each part: how many passed and failed.
counts=$logs/counts
: >"$counts"
# What failed, to be said once more at the end: nobody has to look for it.
failed_list=$logs/failed
: >"$failed_list"
# The most lines of a log that are shown. The file has all of them.
shown=200

# Runs a part: NAME, its longest time in seconds, the command.
part() {
    local name=$1 limit=$2
    shift 2
    local log=$logs/$name.log began=$SECONDS status=0
    local limited=()
    # A hung test is ended, with everything that it started. Systems without the tool wait.
    if command -v timeout >/dev/null; then
        limited=(timeout --kill-after=10 "$limit")
    fi
    : >"$log"
    # Appended: PHP sets the place in a file anew when it hands its standard error on, and would write over what is there.
    "${limited[@]}" "$@" >>"$log" 2>&1 </dev/null || status=$?

    # Cargo says "test result: ok. 3 passed; 0 failed; ..." for each test program, the others "3 passed, 0 failed".
    local count_passed count_failed summaries
    read -r count_passed count_failed summaries < <(sed -nE \
        -e 's/^test result: [^.]*\. ([0-9]+) passed; ([0-9]+) failed;.*$/\1 \2/p' \
        -e 's/^([0-9]+) passed, ([0-9]+) failed(, [0-9]+ skipped)?$/\1 \2/p' "$log" |
        awk '{ p += $1; f += $2; n++ } END { printf "%d %d %d\n", p, f, n }')
    local remark=
    if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
        remark=" (ended after $limit s)"
    elif [ "$summaries" -eq 0 ]; then
        remark=" (exit status $status, no summary)"
    elif [ "$status" -ne 0 ] && [ "$count_failed" -eq 0 ]; then
        remark=" (exit status $status)"
    fi
    if [ -n "$remark" ]; then
        count_failed=$((count_failed + 1))
    fi
    printf '%d %d\n' "$count_passed" "$count_failed" >>"$counts"
    printf '%-30s %4d passed %4d failed %5d s%s\n' \
        "$name" "$count_passed" "$count_failed" $((SECONDS - began)) "$remark"
    if [ "$count_failed" -gt 0 ]; then
        # Cargo says what failed at the end of each test program, and goes on with the next.
        local failures
        failures=$(awk '/^failures:$/ { on = 1 } on { print } /^test result:/ { on = 0 }' "$log" | head -n "$shown")
        printf -- '--- of %s ---\n' "$log"
        # Indented, so that no line looks like this script's own summary.
        { if [ -n "$failures" ] && [ -z "$remark" ]; then printf '%s\n' "$failures"; else tail -n "$shown" "$log"; fi; } | sed 's/^/    /'
        printf -- '--- end of %s ---\n' "$log"
        local claims
        claims=$(grep -E -A 1 '^FAILED|^test .* FAILED$|panicked at ' "$log" | cut -c 1-300 | head -n 20 | sed 's/^/    /')
        printf '%s failed%s\n%s\n' "$name" "$remark" "$claims" >>"$failed_list"
    fi
    # The tests themselves say what this machine can't test.
    grep -E '^SKIPPED' "$log" | sort -u | sed 's/^/    /'
}

# What every test needs. It counts as a part of its own if it fails.
prepare() {
    local name=$1
    shift
    local began=$SECONDS
    if "$@" >"$logs/$name.log" 2>&1 </dev/null; then
        printf '%-30s %-23s %5d s\n' "$name" 'done' $((SECONDS - began))
    else
        tail -n "$shown" "$logs/$name.log"
        printf '%s failed: no test was run\n' "$name"
        printf '0 passed, 1 failed\n'
        exit 1
    fi
}

prepare dependencies scripts/install-deps.sh --tests
prepare build scripts/build.sh

# Says whether temporary files are on an ext4 that has no journal. When a file is made there, it looks at every inode that was
# removed in the last minutes (recently_deleted in the kernel's fs/ext4/ialloc.c). Tests remove thousands of files.
is_slow_to_make_files() {
    local source kind
    read -r source kind < <(findmnt --noheadings --output SOURCE,FSTYPE --target "${TMPDIR:-/tmp}" 2>/dev/null)
    [ "${kind:-}" = ext4 ] && ! [ -e "/proc/fs/jbd2/$(basename "$source")-8" ]
}

# Gives the tests a disk of their own, where that can be had. Its path is short, since paths of sockets have to be.
begin_disk() {
    local folder
    folder=$(mktemp -d /tmp/fp.XXXXXX) || return 0
    # What a power cut leaves of it is of no interest to anybody.
    if truncate --size 32G "$folder.img" && mkfs.ext4 -q -E lazy_itable_init=1,lazy_journal_init=1 "$folder.img" &&
        mount -o loop,discard,barrier=0 "$folder.img" "$folder"; then
        rmdir "$folder/lost+found"
        chmod 1777 "$folder"
        disk=$folder
        export TMPDIR=$folder
    else
        rm -rf "$folder" "$folder.img"
        printf 'SKIPPED: a disk of their own for the tests: they run on an ext4 without a journal, which takes longer\n'
    fi
}

end() {
    rm -rf "$state"
    # What a test that was ended has left running may still use it.
    [ -z "$disk" ] || { umount "$disk" 2>/dev/null || umount --lazy "$disk"; rm -rf "$disk" "$disk.img"; }
}

disk=
! is_slow_to_make_files || begin_disk
# A registry of its own: the tests leave a server that somebody runs alone.
state=$(mktemp -d)
trap end EXIT

cargo_tests() {
    # In one go: otherwise cargo would choose other features for shared crates, and compile them twice.
    part cargo 3600 cargo test --locked --no-fail-fast --package forkpress-core --package forkpress-engine --package forkpress-server --package forkpress-page --package forkpress --all-features -- --show-output
}

# The models of the locks once more, compiled as a release is: Cargo.toml says why (incremental).
models_of_release() {
    part models_of_release 900 env -u CARGO_INCREMENTAL cargo test --locked --release --package forkpress-core --test lock_model --test preparation_model
}

php_test() {
    part "$(basename "$1" .php)" 2400 php -d "extension=$PWD/ext/branchfs.so" "$1"
}


# The whole tour, with the branches in plain folders, in a Linux image, and in a Mac's. One at a time, because all use
# one port.
tours() {
    local tour=tests/test_cow_strategy_e2e.sh test
    for test in tests/test_*.sh; do
        part "$(basename "$test" .sh)" 1200 env "FORKPRESS_STATE_DIR=$state" bash "$test" target/release/forkpress
    done
    part e2e_linux_xfs_loop 1200 env "FORKPRESS_STATE_DIR=$state" FORKPRESS_E2E_FILE_VIEW=linux-xfs-loop \
        bash "$tour" target/release/forkpress
    part e2e_macos_apfs_sparsebundle 1200 env "FORKPRESS_STATE_DIR=$state" FORKPRESS_FORCE_MACOS_APFS_SPARSEBUNDLE=1 \
        "PATH=$PWD/tests/fixtures/bin:$PATH" bash "$tour" target/release/forkpress
}

# Pushes again with the system's git, where that is another version: one test, since all take minutes. The output says so.
pushes_with_second_git() {
    local second=/usr/bin/git version
    if ! [ -x "$second" ] || [ "$("$second" --version)" = "$(git --version)" ]; then
        printf 'SKIPPED: pushes with a second version of git: this machine has only %s\n' "$(git --version)"
        return
    fi
    version=$("$second" version | awk '{ print $3 }')
    part "test_git_push_$version" 600 env "FORKPRESS_TEST_GIT=$second" "FORKPRESS_TEST_ONLY=edits, new files" \
        php -d "extension=$PWD/ext/branchfs.so" tests/test_git_push.php
    printf '    SKIPPED with git %s: all but one test of tests/test_git_push.php; FORKPRESS_TEST_GIT=%s runs them\n' \
        "$version" "$second"
}

# The site's own tests once more, on the older WordPress that the machine's package sources have.
older_wordpress() {
    local older=$PWD/target/wordpress-older log=$logs/fetch-older.log
    if ! scripts/fetch-wordpress.sh --older >"$log" 2>&1; then
        printf 'SKIPPED: tests on an older WordPress: %s\n' "$(tail -n 1 "$log")"
        return
    fi
    part "test_wordpress_branches_$(sed -nE 's/^  "wordpress": "(.*)",$/\1/p' "$older.json")" 1200 \
        env "FORKPRESS_TEST_WORDPRESS=$older" php -d "extension=$PWD/ext/branchfs.so" tests/test_wordpress_branches.php
}

# Runs a command in the background, two at a time, and shows its output when it ends. Most tests wait for processes and
# for the disk more than they compute.
running=0
begin() {
    if [ "$running" -eq 2 ]; then
        wait -n
        running=1
    fi
    running=$((running + 1))
    {
        local said
        said=$("$@")
        printf '%s\n' "$said"
    } &
}

# The longest first.
begin cargo_tests
begin tours
begin php_test tests/test_git_push.php
begin pushes_with_second_git
begin older_wordpress
begin models_of_release
for test in tests/test_*.php; do
    [ "$test" = tests/test_git_push.php ] || begin php_test "$test"
done
wait

cat "$failed_list"
read -r passed failed < <(awk '{ p += $1; f += $2 } END { printf "%d %d\n", p, f }' "$counts")
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
