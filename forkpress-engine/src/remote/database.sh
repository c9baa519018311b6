# shellcheck shell=sh disable=SC2154 # What it finds is set before it.
# Prints what $dump writes, packed by $pack. What is on the input, which has the password, is for the program.
export_database() {
    case $dump in
        php) cat | php -d display_errors=stderr -d html_errors=0 -d memory_limit=-1 -d max_execution_time=0 ;;
        *)
            # Not from the input itself: that is a socket, which has no name.
            cat | "$dump" --defaults-file=/dev/stdin --single-transaction --quick --skip-lock-tables --hex-blob \
                --skip-triggers --default-character-set=utf8mb4 --loose-no-tablespaces --loose-set-gtid-purged=OFF \
                --loose-column-statistics=0 -- "$name"
            ;;
    esac
}
exec 5>&1
status=$({ { export_database; echo "$?" >&3; } | { $pack >&4 || echo pack >&3; }; } 3>&1 4>&5 5>&-)
case $status in 0) exit 0 ;; *) exit 9 ;; esac
