#!/usr/bin/env bash
# Drives the forkpress program alone, as a user would: makes a site, serves it, branches it, and takes it down.
#
#     tests/test_cow_strategy_e2e.sh target/release/forkpress
#
# FORKPRESS_STATE_DIR: the server registry to use; default: one of the test's own.
# FORKPRESS_E2E_PORT: the port to serve at; default 18189.
# FORKPRESS_E2E_FILE_VIEW: the file view to ask for; default: what init takes.
# FORKPRESS_FORCE_MACOS_APFS_SPARSEBUNDLE=1: init takes a sparse bundle; on Linux tests/fixtures/bin, with a stand-in for
# hdiutil, has to be first in PATH.
# FORKPRESS_TEST_WORDPRESS: the WordPress for a program that has none in it; default target/wordpress.
#
# Each claim is a line; the last line counts them. Exits 1 where one does not hold.
set -uo pipefail

root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
if [ $# -ne 1 ] || [ ! -x "$1" ]; then
    echo "usage: $0 FORKPRESS-PROGRAM" >&2
    exit 2
fi
program=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
work=$(mktemp -d)
export FORKPRESS_STATE_DIR=${FORKPRESS_STATE_DIR:-$work/state}
port=${FORKPRESS_E2E_PORT:-18189}
password='correct horse battery'
site=$work/site
passed=0 failed=0
# Where the branches are in an image: the folder that it is mounted at, below the site.
mount=''
view=${FORKPRESS_E2E_FILE_VIEW:-}
if [ "${FORKPRESS_FORCE_MACOS_APFS_SPARSEBUNDLE:-}" = 1 ]; then
    view=macos-apfs-sparsebundle
fi
case $view in
linux-xfs-loop) mount=.forkpress/linux-cow/mount ;;
macos-apfs-sparsebundle) mount=.forkpress/macos-cow/mount ;;
esac
if [ -n "$mount" ] && [ "$(uname)" = Linux ] && ! losetup --find >/dev/null 2>&1; then
    echo 'SKIPPED: this machine has no loop devices to mount an image with'
    echo '0 passed, 0 failed, 1 skipped'
    rmdir "$work"
    exit 0
fi

# Whether the last claim held is in $?.
claim() {
    local words=$1
    shift
    if "$@"; then
        printf 'ok: %s\n' "$words"
        passed=$((passed + 1))
    else
        printf 'FAILED: %s\n' "$words"
        sed 's/^/    /' "$work/said" 2>/dev/null | tail -n 20
        failed=$((failed + 1))
        return 1
    fi
}

finish() {
    if [ -d "$site/.forkpress" ]; then
        (cd "$site" && "$program" stop --force) >/dev/null 2>&1
        if [ -n "$mount" ]; then
            (cd "$site" && "$program" storage detach --force) >/dev/null 2>&1
        fi
    fi
    rm -rf "$work"
}
trap finish EXIT

# Runs the program in the site; what it says is in $work/said.
forkpress() {
    (cd "$site" && "$program" "$@") >"$work/said" 2>&1
}

says() {
    local words=$1
    shift
    forkpress "$@" && grep -qF -- "$words" "$work/said"
}

# The program exits with this status, says these words, and gives a hint where it refused.
refuses() {
    local status=$1 words=$2 got=0
    shift 2
    forkpress "$@" || got=$?
    [ "$got" -eq "$status" ] && grep -qF -- "$words" "$work/said" && { [ "$status" -eq 2 ] || grep -q '^hint: ' "$work/said"; }
}

host_of() {
    if [ "$1" = main ]; then echo "wp.localhost:$port"; else echo "$1.wp.localhost:$port"; fi
}

# Asks a branch for a path, with further arguments of curl. Resolving *.localhost is not left to the system.
get() {
    local host
    host=$(host_of "$1")
    curl -sS --max-time 60 --resolve "${host%:*}:$port:127.0.0.1" "${@:3}" "http://$host$2"
}

# The status that a branch answers with.
status_is() {
    local got
    got=$(get "$2" "$3" -o "$work/said" -w '%{http_code}') && [ "$got" = "$1" ]
}

contains() {
    get "$1" "$2" >"$work/said" && grep -qF -- "$3" "$work/said"
}

lacks() {
    get "$1" "$2" >"$work/said" && ! grep -qF -- "$3" "$work/said"
}

listed() {
    forkpress branch list && [ "$(awk '{ print $1 }' "$work/said" | paste -sd ' ' -)" = "$1" ]
}

# Logs in with the password and saves a post through the REST API. Prints the answer.
save_post() {
    local branch=$1 title=$2 jar=$work/cookies-$1 nonce
    get "$branch" /wp-login.php -b 'wordpress_test_cookie=WP%20Cookie%20check' -c "$jar" -o /dev/null \
        --data-urlencode log=admin --data-urlencode "pwd=$password" || return 1
    nonce=$(get "$branch" '/wp-admin/admin-ajax.php?action=rest-nonce' -b "$jar") || return 1
    get "$branch" /wp-json/wp/v2/posts -b "$jar" -H "X-WP-Nonce: $nonce" \
        --data-urlencode "title=$title" --data-urlencode 'content=Written on a branch.' --data-urlencode status=publish
}

is_saved() {
    save_post "$1" "$2" >"$work/said" && grep -q '"status":"publish"' "$work/said"
}

names_its_branch() {
    get "$1" / -I | tr -d '\r' >"$work/said" && grep -qix "x-forkpress-branch: $1" "$work/said"
}

dashboard_is_open() {
    get "$1" /wp-admin/ -L -b "$work/cookies-of-the-dashboard" -c "$work/cookies-of-the-dashboard" >"$work/said" &&
        grep -q 'id="wpadminbar"' "$work/said"
}

foreign_host_is_refused() {
    [ "$(curl -sS -o /dev/null -w '%{http_code}' -H 'Host: evil.example' "http://127.0.0.1:$port/")" = 421 ]
}

lacks_words() {
    local file=$1 words
    for words in "${@:2}"; do
        if grep -qF -- "$words" "$file"; then return 1; fi
    done
}

exits() {
    local status=$1 got=0
    shift
    forkpress "$@" || got=$?
    [ "$got" -eq "$status" ]
}

# Four clients that ask a branch for its front page one time after the other; each has been answered once when this returns.
readers_start() {
    local reader
    readers=()
    rm -f "$work"/reader-*
    for reader in 1 2 3 4; do
        (
            while [ ! -e "$work/reader-stop" ]; do
                get "$1" / -o /dev/null -w '%{http_code}\n' >>"$work/reader-$reader" 2>&1
            done
        ) &
        readers+=($!)
    done
    for reader in 1 2 3 4; do
        until [ -s "$work/reader-$reader" ]; do sleep 0.05; done
    done
}

readers_stop() {
    : >"$work/reader-stop"
    wait "${readers[@]}"
    rm "$work/reader-stop"
}

readers_saw() {
    cat "$work"/reader-? >"$work/said" && ! grep -qvE -- "$1" "$work/said"
}

# A program that runs in a branch keeps mutations from publishing until it has ended.
busy_behind_exec() {
    local got=0 holder
    mkfifo "$work/end" "$work/begun"
    # shellcheck disable=SC2016 # The inner shell expands.
    (cd "$site" && exec "$program" exec main -- sh -c 'echo >"$1"; read -r _ <"$2"' sh "$work/begun" "$work/end") &
    holder=$!
    read -r _ <"$work/begun"
    forkpress branch create blocked --timeout 0.3 || got=$?
    echo >"$work/end"
    wait "$holder"
    [ "$got" -eq 75 ] && grep -q "held by process $holder" "$work/said"
}

# Runs git in the checkout; what it says is in $work/said. Its settings are this test's own.
checkout_git() {
    git -C "$checkout" "$@" >"$work/said" 2>&1
}

# Git fails and shows these words of the site.
git_refuses() {
    local words=$1
    shift
    ! checkout_git "$@" && grep -qF -- "$words" "$work/said"
}

checkout_is_clean() {
    git -C "$1" status --porcelain=v2 --branch >"$work/said" 2>&1 &&
        grep -q '^# branch.ab +0 -0$' "$work/said" && ! grep -qv '^#' "$work/said"
}

# The branches of the site as git sees them.
refs_are() {
    git -C "$checkout" ls-remote --heads origin >"$work/said" 2>&1 &&
        [ "$(sed 's|.*refs/heads/||' "$work/said" | sort | paste -sd ' ' -)" = "$1" ]
}

nobody_listens() {
    ! curl -s -o /dev/null "http://127.0.0.1:$port/"
}

no_process_left() {
    ! pgrep -f "$site/.forkpress/runtime/router_cow.php" >/dev/null
}

is_gone() {
    [ ! -e "$1" ] && [ ! -L "$1" ]
}

# The folder of trees that are no branches.
trees() {
    echo "$site/${mount:-.forkpress/cow}/$1"
}

status_has() {
    forkpress storage status || return 1
    local words
    for words in "$@"; do
        grep -qE -- "$words" "$work/said" || return 1
    done
}

# --- init --------------------------------------------------------------------------------------------
mkdir "$site"
wordpress=()
if ! "$program" --version | grep -q '^WordPress '; then
    tree=${FORKPRESS_TEST_WORDPRESS:-$root/target/wordpress}
    if [ ! -f "$tree/wp-load.php" ]; then
        echo "SKIPPED: $program has no WordPress in it, and there is none at $tree"
        echo '0 passed, 0 failed, 1 skipped'
        exit 0
    fi
    wordpress=(--wordpress "$tree")
fi

claim 'a folder without a site is refused' refuses 1 'no site in' branch list
mkdir "$site/main"
claim 'init refuses a main that is there' refuses 1 'main exists already' init "${wordpress[@]}"
rmdir "$site/main"
claim 'init refuses an unknown file view' refuses 2 'unknown file view' init --file-view carrier-pigeon
claim 'what was refused left nothing' is_gone "$site/.forkpress"
if [ -n "${FORKPRESS_E2E_FILE_VIEW:-}" ]; then
    wordpress+=(--file-view "$FORKPRESS_E2E_FILE_VIEW")
fi
claim 'init makes a site' says 'forkpress: site made in' \
    init "${wordpress[@]}" --port "$port" --admin-password "$password" --site-title 'End to End' || { echo "$passed passed, $failed failed"; exit 1; }
claim 'a second init is refused' refuses 1 'is a site already' init "${wordpress[@]}"
claim 'the configuration names neither the site nor its folder' \
    lacks_words "$site/main/wp-config.php" "$site" "wp.localhost:$port"

claim 'storage status has a line for each thing' status_has '^ForkPress storage status$' '^public: ' '^storage: ' \
    '^branches: +1$' '^lock: .*operations.lock' '^lifecycle: .*lifecycle.lock' '^leftovers: +none$'
claim 'doctor storage reports what the volume can do' says 'ForkPress storage capability report' doctor storage
if [ -n "$mount" ]; then
    claim 'the site has the file view that was asked for' status_has "^file view: +$view\$"
    claim 'its image is attached' status_has "^image: .*/branches\\." "^mount: .*/$mount\$" '^attached: +yes$'
    claim 'main is a link into it' test "$(readlink "$site/main")" = "$mount/branches/main"
fi

# --- serve -------------------------------------------------------------------------------------------
claim 'serve reports the address when the front page answers' says "forkpress: serving http://wp.localhost:$port/" serve || {
    echo "$passed passed, $failed failed"
    exit 1
}
claim 'a second serve says that the site is served' says "forkpress: already serving http://wp.localhost:$port/" serve
claim 'the registry lists the server' says "http://wp.localhost:$port/" server list
claim 'the front page has the title' contains main / 'End to End'
claim 'a response names its branch' names_its_branch main
claim 'the dashboard opens logged in' dashboard_is_open main
claim 'an unknown branch is 404' status_is 404 nowhere /
claim 'a foreign host is 421' foreign_host_is_refused

# --- a branch ----------------------------------------------------------------------------------------
claim 'create clones main' says "forkpress: COW cloned 'main' -> 'marketing'" branch create marketing
claim 'create prints the address of the branch' grep -qxF "http://marketing.wp.localhost:$port/" "$work/said"
claim 'the branch is served' status_is 200 marketing /
claim 'main and the branch are listed' listed 'main marketing'
claim 'show opens as scripts expect' says 'forkpress cow branch marketing' branch show marketing
claim 'list speaks JSON' says '"name": "marketing"' branch list --json
echo 'only here' >"$site/marketing/only-here.txt"
claim 'a file of the branch is served there' contains marketing /only-here.txt 'only here'
claim 'main does not have it' status_is 404 main /only-here.txt
claim 'a post is saved on the branch through the REST API' is_saved marketing 'Only on marketing'
claim 'the branch shows it' contains marketing / 'Only on marketing'
claim 'pretty permalinks work on the branch' contains marketing /only-on-marketing/ 'Written on a branch.'
claim 'main does not show it' lacks main / 'Only on marketing'
claim 'a branch is made from a branch' says "COW cloned 'marketing' -> 'headline'" branch create headline --from marketing
claim 'it has the post' contains headline /only-on-marketing/ 'Written on a branch.'
claim 'exec runs in the branch' says "$(cd "$site/headline" && pwd -P)" exec headline -- pwd
claim 'exec gives the exit status' exits 7 exec headline -- sh -c 'exit 7'

# --- reset and delete, while clients read --------------------------------------------------------------
claim 'reset of main without --force is refused' \
    refuses 1 'refusing to reset main without --force' branch reset main --from marketing
claim 'reset of a branch from itself is refused' \
    refuses 1 'cannot reset a branch from itself' branch reset marketing --from marketing
claim 'deleting main is refused' refuses 1 'cannot delete the main branch' branch delete main
claim 'a branch that exists is not created' refuses 1 "branch 'marketing' already exists" branch create marketing
claim 'a branch is not created from one that does not exist' refuses 1 "does not exist" branch create x --from nowhere
claim 'a reserved name is refused' refuses 2 'invalid branch name' branch create www
claim 'a name that is no DNS label is refused' refuses 2 'invalid branch name' branch create Not.A.Label
mkdir "$site/in-the-way"
claim 'a folder in the way is refused' refuses 1 'in the way' branch create in-the-way
claim 'a folder without a record is not deleted' refuses 1 'has no record' branch delete in-the-way
claim 'and it stays' test -d "$site/in-the-way"
rmdir "$site/in-the-way"

readers_start marketing
claim 'reset takes the files and the database of main' \
    says "reset COW branch 'marketing' from 'main'" branch reset marketing --from main
readers_stop
claim 'every reader was answered by a whole branch meanwhile' readers_saw '^200$'
claim 'the file is gone' status_is 404 marketing /only-here.txt
claim 'the post is gone' lacks marketing / 'Only on marketing'
claim 'the branch made from it has the post still' contains headline / 'Only on marketing'

readers_start marketing
claim 'delete' says "deleted COW branch 'marketing'" branch delete marketing
readers_stop
claim 'every reader was answered, by the branch or by 404' readers_saw '^(200|404)$'
claim 'it is not served any more' status_is 404 marketing /
claim 'it is not listed any more' listed 'main headline'
claim 'its folder is gone' is_gone "$site/marketing"
claim 'what does not exist is not deleted' refuses 1 "branch 'marketing' does not exist" branch rm marketing
claim 'main can be reset with --force' says "reset COW branch 'main' from 'headline'" branch rollback main --from headline --force
claim 'main has the post now' contains main / 'Only on marketing'

# --- the lock ----------------------------------------------------------------------------------------
claim 'a lock that stays busy is 75 and names who has it' busy_behind_exec
# What a command leaves there, it has removed in the background.
nothing_half_made() {
    for _ in $(seq 300); do
        [ -n "$(find "$(trees staging)" "$(trees trash)" -mindepth 1 2>/dev/null)" ] || return 0
        sleep 0.2
    done
    find "$(trees staging)" "$(trees trash)" -mindepth 1 -maxdepth 2
    return 1
}
claim 'nothing half-made is left in staging and trash' nothing_half_made

# --- diff and merge ----------------------------------------------------------------------------------
claim 'a branch is made to come home' says "COW cloned 'main' -> 'home'" branch create home
claim 'nothing changed in it' says "nothing changed since 'home' parted from 'main'" branch diff home
claim 'so there is nothing to merge' says 'nothing to merge' branch merge home --into main
claim 'a post is saved on it' is_saved home 'Comes home'
echo 'by home' >"$site/home/home.txt"
claim 'another is saved on main' is_saved main 'Stays on main'
claim 'diff shows the file' says 'A home.txt' branch diff home
claim 'and the post' grep -qE '^ *\+ post [0-9]+ "Comes home"' "$work/said"
claim 'and nothing of main' lacks_words "$work/said" 'Stays on main'
claim 'merge brings both home' says "forkpress: merged 'home' into 'main': 1 file, " branch merge home --into main
claim 'main serves the file' contains main /home.txt 'by home'
claim 'main shows the post' contains main /comes-home/ 'Written on a branch.'
claim 'and its own' contains main /stays-on-main/ 'Written on a branch.'
claim 'then there is nothing to merge' says 'nothing to merge' branch merge home --into main
claim 'undo takes the merge back' says 'forkpress: undid operation' undo
claim 'the file is gone from main' status_is 404 main /home.txt
claim 'the post, too' status_is 404 main /comes-home/
claim 'what main had before is there' contains main /stays-on-main/ 'Written on a branch.'
claim 'the branch has both still' contains home /comes-home/ 'Written on a branch.'
claim 'it can be merged again' says "forkpress: merged 'home' into 'main': 1 file, " branch merge home --into main
claim 'main has both again' contains main /home.txt 'by home'
claim 'the branch goes' says "deleted COW branch 'home'" branch delete home
claim 'what it brought stays' contains main /comes-home/ 'Written on a branch.'

# --- Git ---------------------------------------------------------------------------------------------
# Nobody's settings but the test's, and a name to commit under.
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0
checkout=$work/checkout
remote=http://wp.localhost:$port/site.git
claim 'clone within a branch is refused' refuses 1 "would become a part of it" clone "$remote" main/checkout
claim 'clone checks main out' says "forkpress: cloned 'main' into $checkout" clone "$remote" "$checkout"
claim 'it has the files' test -f "$checkout/wordpress/wp-load.php"
claim 'it has the database as text' grep -q 'Only on marketing' "$checkout/database.sql"
claim 'it does not have the password' lacks_words "$checkout/database.sql" "\$wp\$" "\$P\$"
claim 'it is clean' checkout_is_clean "$checkout"
claim 'with nothing to commit, commit says so' says "nothing to commit, and 'main' has everything" commit "$checkout" -m none
echo 'by git' >"$checkout/wordpress/by-git.txt"
claim 'commit pushes' says "forkpress: committed and pushed to 'main'" commit "$checkout" -m 'A file'
claim 'commit prints the address of the branch' grep -qxF "http://wp.localhost:$port/" "$work/said"
claim 'main serves it at once' contains main /by-git.txt 'by git'
claim 'the checkout is clean, and its upstream set' checkout_is_clean "$checkout"
claim 'the operation log has the push' says "apply" log -n 1
claim 'a post is saved on main' is_saved main 'After the clone'
claim 'pull' says "forkpress: pulled 'main'" pull "$checkout"
claim 'the checkout has the post' grep -q 'After the clone' "$checkout/database.sql"

claim 'a branch is created by push' checkout_git push origin main:refs/heads/pushed
claim 'it is served, with its files' contains pushed /by-git.txt 'by git'
claim 'it is listed' listed 'main headline pushed'
claim 'two branches at once are not deleted' \
    git_refuses 'ForkPress accepts one branch update per push' push origin :headline :pushed
claim 'and both are there' listed 'main headline pushed'
claim 'and git sees both' refs_are 'headline main pushed'
claim 'a branch is deleted by push' checkout_git push origin :pushed
claim 'it is not listed any more' listed 'main headline'
claim 'it is not served any more' status_is 404 pushed /
claim 'its folder is gone' is_gone "$site/pushed"
claim 'undo brings it back' says "branch 'pushed' is back" undo
claim 'and git sees it' refs_are 'headline main pushed'
claim 'main is not deleted by push' git_refuses 'refusing to delete the main COW branch' push origin :main
claim 'a bad name is refused' git_refuses 'unsupported COW branch name' push origin main:refs/heads/www
claim 'no branch is left of it' listed 'main headline pushed'
claim 'no folder is left of it' is_gone "$site/www"
claim 'no ref is left of it' refs_are 'headline main pushed'
claim 'a branch is created after a refusal' checkout_git push origin main:refs/heads/after
claim 'it is served' status_is 200 after /
claim 'git branch create creates and switches' says "created 'switched' from 'headline'" \
    git branch create switched --from headline "$checkout"
claim 'the checkout is on it' test "$(git -C "$checkout" branch --show-current)" = switched
claim 'it is served, too' status_is 200 switched /

# --- agents ------------------------------------------------------------------------------------------
claim 'agents get a branch and a worktree each' says "agent-2  http://agent-2.wp.localhost:$port/  $checkout/agent-2" \
    agents "$checkout" --count 2
claim 'the first is served' status_is 200 agent-1 /
claim 'the second is served' status_is 200 agent-2 /
claim 'a worktree is clean and follows its branch' checkout_is_clean "$checkout/agent-1"
echo 'by agent 1' >"$checkout/agent-1/wordpress/by-agent.txt"
claim 'an agent commits' says "committed and pushed to 'agent-1'" commit "$checkout/agent-1" -m 'By an agent'
claim 'its branch shows it' contains agent-1 /by-agent.txt 'by agent 1'
claim 'the others do not' status_is 404 agent-2 /by-agent.txt
claim 'agents with work are not removed' refuses 1 'agent-1: its branch on the site has changes' agents "$checkout" --remove
claim 'those without are' listed 'main after agent-1 headline pushed switched'
claim 'the work is there' contains agent-1 /by-agent.txt 'by agent 1'
claim 'once main has the work' says "reset COW branch 'main' from 'agent-1'" branch reset main --from agent-1 --force
claim 'they are removed' says "removed agent 'agent-1'" agents "$checkout" --remove
claim 'no worktree is left' is_gone "$checkout/agent-1"
claim 'no branch is left' listed 'main after headline pushed switched'

# --- bad settings, stop --------------------------------------------------------------------------------
cp "$site/.forkpress/site.toml" "$work/site.toml"
sed -i.bak 's/^version = 1/version = 2/' "$site/.forkpress/site.toml"
claim 'settings of a newer version are refused' exits 1 branch list
claim 'and it says why' grep -q 'has version 2' "$work/said"
cp "$work/site.toml" "$site/.forkpress/site.toml"
rm -f "$site/.forkpress/site.toml.bak"

claim 'the logs have the requests' says '"GET /' logs --file access -n 50
claim 'stop' says "forkpress: stopped http://wp.localhost:$port/" stop
claim 'nobody listens any more' nobody_listens
claim 'the registry is empty' says 'no server runs' server list
claim 'no PHP of the site is left' no_process_left

# --- storage -------------------------------------------------------------------------------------------
if [ -n "$mount" ]; then
    claim 'stop has detached the image, and status says so' \
        status_has '^attached: +no$' '^branches: +unavailable while the image is detached$'
    claim 'a detached site has no branches to work with' refuses 1 'the storage of this site is detached' branch list
    claim 'mount attaches it' says 'forkpress: mounted' storage mount
    claim 'compact gives space back' says 'reclaimed' storage compact
    claim 'and leaves the image detached' status_has '^attached: +no$'
    claim 'serve attaches it' says 'forkpress: serving' serve
    claim 'a branch is served as before' status_is 200 headline /
    claim 'compact ends the server' says 'reclaimed' storage compact
    claim 'nobody listens any more, again' nobody_listens
    claim 'no mount is left' lacks_words /proc/self/mounts "$site"
else
    claim 'without an image there is nothing to compact' says 'nothing to compact' storage compact
fi
claim 'the doctor finds nothing wrong' says 'wrong:       nothing' doctor storage

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
