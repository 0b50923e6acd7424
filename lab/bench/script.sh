#!/usr/bin/env bash
# The shape of the scripts of 2010, which many still run: a client holds the lock, and between
# xfs_freeze -f and -u the command line of AWS makes the snapshot.
# usage: script.sh OPTION_FILE MOUNT VOLUME
set -euo pipefail
option_file=$1 mount=$2 volume=$3

coproc mysql { mariadb --defaults-extra-file="$option_file" --batch --skip-column-names --unbuffered; }
ask() {
    printf '%s; SELECT "done";\n' "$1" >&"${mysql[1]}"
    local line
    while read -r -t 10 line <&"${mysql[0]}"; do
        if [ "$line" = done ]; then return; fi
    done
    return 1
}

trap 'xfs_freeze -u "$mount" 2>/dev/null || true' EXIT
ask 'FLUSH TABLES WITH READ LOCK'
xfs_freeze -f "$mount"
aws ec2 create-snapshot --volume-id "$volume" --output text --query SnapshotId
xfs_freeze -u "$mount"
ask 'UNLOCK TABLES'
