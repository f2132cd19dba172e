#!/usr/bin/env bash
# A throw-away Postfix for the measurements: check | version | run PLACE RELAY_PORT SINK_PORT
#
# Durable by itself: cleanup syncs the queue file before smtpd says 250. Lifted are the limits that would bound the load
# and not the relay (connections and mails of one client, processes: more than there are sessions). Sixteen connections
# to the sink at once and up to fifty, used again for the next mail; no DNS, no address look-ups, no TLS, no delay when
# more comes in than goes out.
set -euo pipefail

case $1 in
check)
    command -v postfix >/dev/null ||
        { echo "Postfix is missing: apt-get install -y --no-install-recommends postfix"; exit 1; }
    ;;
version)
    postconf -dh mail_version
    ;;
run)
    place=$2
    cat > "$place/main.cf" <<END
compatibility_level = 3.6
myhostname = postfix.bench.example
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
queue_directory = $place/queue
data_directory = $place/data
daemon_directory = $(postconf -dh daemon_directory)
relayhost = [127.0.0.1]:$4
maillog_file_prefixes = $place
maillog_file = $place/maillog
alias_maps =
local_recipient_maps =
biff = no
smtputf8_enable = no
disable_dns_lookups = yes
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_client_message_rate_limit = 0
default_process_limit = 400
default_destination_concurrency_limit = 50
initial_destination_concurrency = 16
smtp_tls_security_level = none
smtp_connection_cache_on_demand = yes
in_flow_delay = 0
END
    cat > "$place/master.cf" <<END
127.0.0.1:$3 inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
END
    mkdir "$place/queue" "$place/data"
    chown postfix "$place/data"
    # In the foreground, so that it is a child of who measures it.
    exec postfix -c "$place" start-fg
    ;;
esac
