#!/usr/bin/env bash
# A throw-away OpenSMTPD for the measurements: check | version | run PLACE RELAY_PORT SINK_PORT
#
# It syncs nothing before its 250 (strace: the files of the queue are written and renamed, no more) and has no setting for
# it. What an administrator can do is to let the file system sync all that is written below the spool, chattr +SD (ext4,
# xfs, btrfs), and so it is measured here; OPENSMTPD_SYNC=no measures it as it comes, which a power cut can make lose mail.
# Lifted are the
# limits that would bound the load and not the relay: mails of a connection, in and out, connections to one host (5 for a
# route by default), and the seconds that it waits between connections to one host or relay, which a benchmark with one
# destination would otherwise measure. These words of `mta limit` are in its parser and not in its manual page.
set -euo pipefail

folder=${MTAS:-/opt/sm2tp-test-mtas}
smtpd=$folder/usr/sbin/smtpd

case $1 in
check)
    [ -x "$smtpd" ] || { echo "OpenSMTPD is missing in $folder: scripts/other-mtas"; exit 1; }
    ;;
version)
    "$smtpd" -h 2>&1 | awk '/^version:/ { sub("OpenSMTPD", ""); print $2; exit }'
    ;;
run)
    place=$2
    mkdir -p "$place/spool" "$place/run"
    chmod 711 "$place/spool"
    # New files and folders inherit it.
    [ "${OPENSMTPD_SYNC:-yes}" = no ] || chattr +SD "$place/spool"
    cat > "$place/smtpd.conf" <<END
smtp limit max-mails 1000000
listen on 127.0.0.1 port $3 hostname opensmtpd.bench.example
mta limit max-conn-per-host 50 max-conn-per-route 50
mta limit conn-delay-host 0 conn-delay-route 0 conn-delay-source 0 conn-delay-connector 0
mta limit conn-delay-relay 0 conn-delay-domain 0 reconn-delay-route 0
mta limit session-mail-max 1000000 task-hiwat 10000 task-lowat 5000 task-release 5000
action "sink" relay host smtp://127.0.0.1:$4
match from any for any action "sink"
END
    # It looks up the name of each client and cannot be told not to: from the file of hosts, not from a far name server.
    echo "lookup file" > "$place/resolv.conf"
    # Its spool and its socket have names that are compiled in: it gets its own in a mount namespace of its own.
    # shellcheck disable=SC2016  # expanded by the inner shell
    exec unshare --mount -- bash -ec 'mount --bind "$1/resolv.conf" "$(realpath /etc/resolv.conf)"
        mount --bind "$1/spool" /var/spool/smtpd; mount --bind "$1/run" /run
        exec "$2" -d -f "$1/smtpd.conf"' bash "$place" "$smtpd"
    ;;
esac
