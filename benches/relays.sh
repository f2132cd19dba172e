#!/usr/bin/env bash
# Measures SM2TP beside Postfix (Debian's package) with `sm2tp bench relay`: the same load, the same sink, the same disk,
# one after the other, ROUNDS times. Run it as root on a quiet machine; it starts a throw-away Postfix on loopback and
# removes it. Prints one JSON object a line, with "relay" in front.
#
#   benches/relays.sh [SESSIONS…]        default: 1 16 64
#   MAILS=20000 OCTETS=10240 ROUNDS=3 SM2TP=target/release/sm2tp DIR=/var/tmp benches/relays.sh
set -euo pipefail

MAILS=${MAILS:-20000}
OCTETS=${OCTETS:-10240}
ROUNDS=${ROUNDS:-3}
SM2TP=${SM2TP:-target/release/sm2tp}
DIR=${DIR:-/var/tmp}
SESSIONS=("$@")
[ ${#SESSIONS[@]} -gt 0 ] || SESSIONS=(1 16 64)

command -v postfix >/dev/null || { echo "Postfix is missing: apt-get install -y postfix" >&2; exit 69; }
[ "$(id -u)" -eq 0 ] || { echo "a Postfix instance needs root to change users" >&2; exit 77; }

# Two ports that are free now; Postfix cannot tell us which one it chose.
free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
RELAY_PORT=$(free_port)
SINK_PORT=$(free_port)
HOME_DIR=$(mktemp -d "$DIR/sm2tp-bench-postfix.XXXXXX")
chmod 755 "$HOME_DIR"

clean() {
    postfix -c "$HOME_DIR" stop >/dev/null 2>&1 || true
    rm -rf "$HOME_DIR"
}
trap clean EXIT

# Postfix's durable defaults; limits lifted that would bound the load and not the relay.
cat > "$HOME_DIR/main.cf" <<EOF
compatibility_level = 3.6
myhostname = postfix.bench.example
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
queue_directory = $HOME_DIR/queue
data_directory = $HOME_DIR/data
daemon_directory = $(postconf -dh daemon_directory)
relayhost = [127.0.0.1]:$SINK_PORT
maillog_file_prefixes = $HOME_DIR
maillog_file = $HOME_DIR/maillog
alias_maps =
local_recipient_maps =
biff = no
smtputf8_enable = no
smtpd_client_connection_count_limit = 0
smtpd_client_message_rate_limit = 0
default_process_limit = 200
default_destination_concurrency_limit = 50
initial_destination_concurrency = 16
smtp_tls_security_level = none
smtp_connection_cache_on_demand = yes
in_flow_delay = 0
EOF
cat > "$HOME_DIR/master.cf" <<EOF
127.0.0.1:$RELAY_PORT inet n - n - - smtpd
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
EOF
mkdir "$HOME_DIR/queue" "$HOME_DIR/data"
chown postfix "$HOME_DIR/data"
postfix -c "$HOME_DIR" start >/dev/null 2>&1
MASTER=$(tr -d ' ' < "$HOME_DIR/queue/pid/master.pid")

measured() {
    local name=$1
    shift
    printf '%s ' "$name"
    "$SM2TP" bench relay --json --mails "$MAILS" --octets "$OCTETS" "$@"
}

for _ in $(seq "$ROUNDS"); do
    for sessions in "${SESSIONS[@]}"; do
        measured postfix --sessions "$sessions" --to "127.0.0.1:$RELAY_PORT" --sink "127.0.0.1:$SINK_PORT" --pid "$MASTER"
        measured sm2tp --sessions "$sessions" --dir "$DIR"
    done
done
