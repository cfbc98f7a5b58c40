#!/bin/sh
# Sets the GPU wired limit of a Mac. This is all of fleet that ever runs as root.
#
#   usage: fleet-wired-limit MIB
#
# MIB is 0 (the system's own default), or a whole number from a quarter of this machine's
# memory up to its memory less 8 GiB. Anything else is refused and nothing is changed.
# The system forgets the setting when it starts anew.
#
# `fleet join --allow wired-limit` installs this file, owned by root, with a sudoers rule for
# this file alone; `fleet leave` removes both.
set -eu
PATH=/usr/bin:/bin:/usr/sbin:/sbin
export PATH
SYSCTL=/usr/sbin/sysctl
KEEP_FREE_MIB=8192

refuse() {
    echo "fleet-wired-limit: $1" >&2
    exit 65
}

[ $# -eq 1 ] || refuse "one number is wanted"
case $1 in
    0) ;;
    '' | 0* | *[!0123456789]*) refuse "not a whole number" ;;
esac
[ ${#1} -le 7 ] || refuse "not a number of MiB of this machine"

if [ "$1" -ne 0 ]; then
    memory=$("$SYSCTL" -n hw.memsize)
    case $memory in
        '' | *[!0123456789]*) refuse "the size of the memory is not to be had" ;;
    esac
    mib=$((memory / 1048576))
    [ "$1" -le $((mib - KEEP_FREE_MIB)) ] || refuse "above $((mib - KEEP_FREE_MIB)): 8 GiB are the system's"
    [ "$1" -ge $((mib / 4)) ] || refuse "below $((mib / 4)), a quarter of the memory"
fi

exec "$SYSCTL" "iogpu.wired_limit_mb=$1"
