#!/usr/bin/env bash
# Measures the policy service of a node beside postfwd (Debian's package): answers in a second on one core, and what a
# recipient costs at a Postfix that asks, against one that does not. One after the other, ROUNDS times over, in one run.
# The service has the first processor to itself, what asks has the second. postfwd has two rules: one pattern, and one
# limit of recipients, which is less than the node answers from. Prints one JSON object a line, with what it is in front.
#
#   benches/policy.sh > figures.jsonl
#
#   ROUNDS=3  QUESTIONS=200000  CONNECTIONS=8  RECIPIENTS=20000  SM2TP=target/release/sm2tp
#
# Run it as root: Postfix changes users.
set -euo pipefail

ROUNDS=${ROUNDS:-3}
QUESTIONS=${QUESTIONS:-200000}
CONNECTIONS=${CONNECTIONS:-8}
RECIPIENTS=${RECIPIENTS:-20000}
SM2TP=$(realpath -m "${SM2TP:-target/release/sm2tp}")

[ "$(id -u)" -eq 0 ] || { echo "policy.sh: Postfix needs root to change users" >&2; exit 77; }
for program in postfix postfwd2 taskset; do
    command -v "$program" >/dev/null ||
        { echo "$program is missing: apt-get install -y --no-install-recommends postfix postfwd util-linux" >&2; exit 69; }
done

place=$(mktemp -d /tmp/sm2tp-policy-XXXXXX)
chmod 755 "$place"
started=()
cleanup() {
    for name in plain asks-node asks-postfwd; do
        [ ! -e "$place/$name/main.cf" ] || postfix -c "$place/$name" stop 2>/dev/null || true
    done
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait || true
    rm -rf "$place"
}
trap cleanup EXIT

port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

waits_for() {
    for _ in $(seq 100); do
        ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null || return 0
        sleep 0.1
    done
    echo "policy.sh: nobody listens on $1" >&2
    exit 69
}

# The node, with nothing but this door.
node_port=$(port)
cat > "$place/sm2tp.toml" <<END
hostname = "bench.example.org"
data_dir = "$place/data"
[policy]
listen = ["127.0.0.1:$node_port"]
END
SM2TP_LOG=warn taskset -c 0 "$SM2TP" serve --config "$place/sm2tp.toml" >"$place/node.out" 2>&1 &
node_pid=$!
started+=("$node_pid")
waits_for "$node_port"

# postfwd2 forks children beforehand: the faster of the two in the package.
postfwd_port=$(port)
cat > "$place/postfwd.cf" <<'END'
id=gone; recipient=~^gone@; action=REJECT 5.1.1 no such user
id=rate; action=rate(sender/100000000/3600/450 4.7.1 too many recipients)
END
chmod 644 "$place/postfwd.cf"
mkdir "$place/postfwd"
chown nobody "$place/postfwd"
# Limits need its cache process, and that needs the daemon.
taskset -c 0 postfwd2 --file="$place/postfwd.cf" --interface=127.0.0.1 --port="$postfwd_port" --perfmon \
    --user=nobody --group=nogroup --pidfile="$place/postfwd/pid" --cache=0 --min_servers=8 \
    --cache_interface=127.0.0.1 --cache_port="$(port)" >"$place/postfwd.out" 2>&1
waits_for "$postfwd_port"
postfwd_pid=$(cat "$place/postfwd/pid")
started+=("$postfwd_pid")

# mail_server NAME RESTRICTION
mail_server() {
    local dir=$place/$1 at
    at=$(port)
    mkdir -p "$dir/queue" "$dir/lib"
    cat > "$dir/main.cf" <<END
compatibility_level = 3.6
myhostname = postfix.bench.example
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
queue_directory = $dir/queue
data_directory = $dir/lib
daemon_directory = $(postconf -dh daemon_directory)
maillog_file_prefixes = $dir
maillog_file = $dir/maillog
alias_maps =
local_recipient_maps =
disable_dns_lookups = yes
smtpd_peername_lookup = no
default_transport = discard
smtpd_delay_open_until_valid_rcpt = no
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions = $2 permit
END
    cat > "$dir/master.cf" <<END
127.0.0.1:$at inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
proxymap unix - - n - - proxymap
discard unix - - n - - discard
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
END
    chown postfix "$dir/lib"
    postfix -c "$dir" start 2>/dev/null
    waits_for "$at"
    printf '%s\n' "$at"
}
plain=$(mail_server plain "")
asks_node=$(mail_server asks-node "check_policy_service { inet:127.0.0.1:$node_port, default_action=DUNNO },")
asks_postfwd=$(mail_server asks-postfwd "check_policy_service { inet:127.0.0.1:$postfwd_port, default_action=DUNNO },")

# measured WHAT WHICH OPTION…
measured() {
    local what=$1 which=$2
    shift 2
    taskset -c 1 "$SM2TP" bench policy --json "$@" | sed "s/^{/{\"measured\":\"$what\",\"of\":\"$which\",/"
}

for _ in $(seq "$ROUNDS"); do
    measured answers sm2tp --questions "$QUESTIONS" --connections "$CONNECTIONS" \
        --policy "127.0.0.1:$node_port" --pid "$node_pid"
    measured answers postfwd --questions "$((QUESTIONS / 20))" --connections "$CONNECTIONS" \
        --policy "127.0.0.1:$postfwd_port" --pid "$postfwd_pid"
    for which in "plain $plain" "sm2tp $asks_node" "postfwd $asks_postfwd"; do
        # shellcheck disable=SC2086  # a name and a port
        set -- $which
        measured recipient "$1" --questions "$RECIPIENTS" --smtp "127.0.0.1:$2"
    done
done
