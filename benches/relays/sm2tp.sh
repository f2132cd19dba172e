#!/usr/bin/env bash
# A throw-away node for the measurements: check | version | run PLACE RELAY_PORT SINK_PORT
#
# The defaults, with policy, classification and ledger, and signing with Ed25519 (SIGN): more work than the others do
# here. One sync may serve many mails; none is answered 250 before its own. Lifted are the limits that would bound the
# load and not the relay, as for the others; sixteen connections to the sink.
set -euo pipefail

case $1 in
check)
    [ -x "$SM2TP" ] || { echo "SM2TP is missing: cargo build --locked --release, or SM2TP=PROGRAM"; exit 1; }
    "$SM2TP" bench relay --help >/dev/null 2>&1 || { echo "$SM2TP has no bench relay"; exit 1; }
    ;;
version)
    "$SM2TP" --version | awk '{ print $2; exit }'
    ;;
run)
    place=$2
    cat > "$place/sm2tp.toml" <<END
hostname = "sm2tp.bench.example"
data_dir = "$place/data"
[smtp]
listen = ["127.0.0.1:$3"]
trusted_networks = ["127.0.0.1/32"]
connections_max = 2000
connections_per_client_max = 2000
memory_max = "1 GiB"
[relay]
routes = { "bench.test" = "127.0.0.1:$4" }
connections_per_site_max = 50
tls = "off"
[dns]
servers = ["127.0.0.1:9"]
END
    [ "${SIGN:-ed25519}" = none ] ||
        "$SM2TP" dkim new bench.example --algorithm "${SIGN:-ed25519}" --config "$place/sm2tp.toml"
    export SM2TP_LOG=warn
    exec "$SM2TP" serve --config "$place/sm2tp.toml"
    ;;
esac
