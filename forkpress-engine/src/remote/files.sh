# shellcheck shell=sh disable=SC2154 # What it finds is set before it.
# Prints the files of the folder $path as a tar archive, packed by $pack. tar's arguments are this script's.
cd "$path" || exit 9
exec 5>&1
status=$({ { tar -cf - "$@" .; echo "$?" >&3; } | { $pack >&4 || echo pack >&3; }; } 3>&1 4>&5 5>&-)
case $status in *[!0-9]* | '') exit 9 ;; esac
exit "$status"
