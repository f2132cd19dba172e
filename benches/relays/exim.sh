#!/usr/bin/env bash
# A throw-away Exim for the measurements: check | version | run PLACE RELAY_PORT SINK_PORT
#
# Durable by itself: both spool files are synced before the 250. No log of its own for each message, a spool of many
# folders, no limits on connections or on the mails of a connection. Each mail is delivered at once by a process of its own
# (Exim's default, without its limit of ten for one connection); EXIM_QUEUE_ONLY=true leaves it to up to sixteen queue
# runners instead, one more each second. That accepts several times faster and delivers a little slower, so the default is
# what counts end to end.
set -euo pipefail

folder=${MTAS:-/opt/sm2tp-test-mtas}
exim=$folder/usr/sbin/exim4

case $1 in
check)
    [ -x "$exim" ] || { echo "Exim is missing in $folder: scripts/other-mtas"; exit 1; }
    ;;
version)
    "$exim" -C /dev/null -bV 2>/dev/null | awk '/^Exim version/ { print $3; exit }'
    ;;
run)
    place=$2
    mkdir "$place/spool" "$place/log"
    cat > "$place/exim.conf" <<END
primary_hostname = exim.bench.example
spool_directory = $place/spool
log_file_path = $place/log/%slog
pid_file_path = $place/spool/exim.pid
daemon_smtp_ports = $3
local_interfaces = 127.0.0.1
disable_ipv6 = true
exim_path = $exim
exim_user = Debian-exim
exim_group = Debian-exim
keep_environment =
host_lookup =
rfc1413_query_timeout = 0s
never_users =
tls_advertise_hosts =
message_logs = false
split_spool_directory = true
smtp_accept_max = 0
smtp_accept_max_per_connection = 0
smtp_accept_queue_per_connection = 0
smtp_connect_backlog = 300
queue_only = ${EXIM_QUEUE_ONLY:-false}
queue_run_max = 16
acl_smtp_rcpt = accept
acl_smtp_data = accept
begin routers
to_sink:
  driver = manualroute
  route_list = * 127.0.0.1::$4
  transport = remote_smtp
  self = send
begin transports
remote_smtp:
  driver = smtp
  hosts_avoid_tls = *
  hosts_try_dane =
begin retry
* * F,2h,1s
END
    chown Debian-exim "$place/spool" "$place/log"
    exec "$exim" -C "$place/exim.conf" -bdf -q1s
    ;;
esac
