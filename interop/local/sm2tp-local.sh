#!/bin/sh
# The local API of SM2TP (docs/local.md): sm2tp-local.sh SOCKET CALL, where CALL is JSON. Needs socat.
set -eu
printf '%s\n' "$2" | socat -t 5 - "UNIX-CONNECT:$1"
