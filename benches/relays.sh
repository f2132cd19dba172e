#!/usr/bin/env bash
# Measures SM2TP beside Postfix, Exim, OpenSMTPD (Debian's packages) and Haraka (npm): the same load, the same sink, the
# same disk, one after the other, ROUNDS times over. Each relay keeps its best durable settings: what is answered 250 has
# been synced. benches/relays/NAME.sh has the settings of each and says why; benches/relays/measure.py how it is measured.
# Prints one JSON object a line, with "relay" in front; benches/summary.py makes tables of them.
#
#   benches/relays.sh [RELAY…] > figures.jsonl      default: postfix exim opensmtpd haraka sm2tp
#   benches/summary.py figures.jsonl
#
#   ROUNDS=3  SESSIONS="1 16 64 256"  OCTETS="1024 10240 102400"  MAILS=10000
#   MAILS_SM2TP=50000      more mails for one relay, where MAILS are over in a second (any name in capitals)
#   SYNC_MAILS=1000        mails of the runs that count syncs, once for each size and number of sessions; 0: none
#   CLIENT=lockstep        one command, one answer, as web sites speak; pipelining as mail servers do
#   OFFER=chunking         what the sink offers: chunking as most servers do (RFC 3030), or data
#   SKIP="haraka exim"     leave out what is not there
#   SM2TP=target/release/sm2tp  SIGN=ed25519|both|none  DIR=/var/tmp (the disk that is measured)
#
# Run it as root on a quiet machine: the relays change users, and each runs in a control group of its own so that nothing
# that it starts escapes the counting. With the defaults it takes about two hours, most of it Exim's.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

ROUNDS=${ROUNDS:-3}
SESSIONS=${SESSIONS:-1 16 64 256}
OCTETS=${OCTETS:-1024 10240 102400}
MAILS=${MAILS:-10000}
SYNC_MAILS=${SYNC_MAILS:-1000}
SKIP=${SKIP:-}
CLIENT=${CLIENT:-lockstep}
OFFER=${OFFER:-chunking}
DIR=${DIR:-/var/tmp}
SM2TP=$(realpath -m "${SM2TP:-target/release/sm2tp}")
SIGN=${SIGN:-ed25519}
export SM2TP SIGN

[ "$(id -u)" -eq 0 ] || { echo "relays.sh: the relays need root to change users" >&2; exit 77; }

[ $# -gt 0 ] || set -- postfix exim opensmtpd haraka sm2tp
relays=()
missing=0
for relay in "$@"; do
    [[ " $SKIP " == *" $relay "* ]] && continue
    [ -f "$here/relays/$relay.sh" ] || { echo "relays.sh: no relay is called $relay" >&2; exit 64; }
    # It says itself what it lacks and which line installs it.
    if "$here/relays/$relay.sh" check >&2; then
        relays+=("$relay")
    else
        echo "relays.sh: or leave it out: SKIP=\"${SKIP:+$SKIP }$relay\"" >&2
        missing=1
    fi
done
if [ "$SYNC_MAILS" -gt 0 ] && ! command -v strace >/dev/null; then
    echo "relays.sh: strace counts the syncs: apt-get install -y strace, or SYNC_MAILS=0" >&2
    missing=1
fi
[ "$missing" -eq 0 ] || exit 69

failed=0
# measured RELAY SESSIONS OCTETS [OPTION…]: a relay that fails is said and the others go on.
measured() {
    local relay=$1 sessions=$2 octets=$3
    shift 3
    "$here/relays/measure.py" "$relay" --sessions "$sessions" --octets "$octets" --client "$CLIENT" --offer "$OFFER" --dir "$DIR" "$@" || failed=1
}

for _ in $(seq "$ROUNDS"); do
    for octets in $OCTETS; do
        for sessions in $SESSIONS; do
            for relay in "${relays[@]}"; do
                own=MAILS_${relay^^}
                measured "$relay" "$sessions" "$octets" --mails "${!own:-$MAILS}"
            done
        done
    done
done
[ "$SYNC_MAILS" -gt 0 ] || exit "$failed"
for octets in $OCTETS; do
    for sessions in $SESSIONS; do
        for relay in "${relays[@]}"; do
            measured "$relay" "$sessions" "$octets" --mails "$SYNC_MAILS" --syncs
        done
    done
done
exit "$failed"
