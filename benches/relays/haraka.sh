#!/usr/bin/env bash
# A throw-away Haraka for the measurements: check | version | run PLACE RELAY_PORT SINK_PORT
#
# Durable by itself: the queue file is synced before the 250 (outbound/index.js, FsyncWriteStream); the folder is not.
# One worker process for each core (nodes=cpus; HARAKA_NODES for another number), no plugin but ours of a few lines that
# allows relaying and names the sink, up to a hundred deliveries at once; it opens a connection for each mail, and has no
# other way.
set -euo pipefail

folder=${HARAKA:-/opt/sm2tp-bench/haraka}
haraka=$folder/node_modules/Haraka

case $1 in
check)
    command -v node >/dev/null || { echo "Node.js 20 is missing: apt-get install -y nodejs npm"; exit 1; }
    [ -f "$haraka/haraka.js" ] || {
        echo "Haraka is missing in $folder: mkdir -p $folder &&" \
            "npm install --prefix $folder --no-audit --no-fund --ignore-scripts Haraka@3.3.4"
        exit 1
    }
    ;;
version)
    node -p "require('$haraka/package.json').version"
    ;;
run)
    place=$2
    mkdir -p "$place/plugins" "$place/queue"
    cp -r "$haraka/config" "$place/config"
    printf 'listen=127.0.0.1:%s\nnodes=%s\n' "$3" "${HARAKA_NODES:-cpus}" > "$place/config/smtp.ini"
    printf '[main]\nlevel=error\n' > "$place/config/log.ini"
    printf 'enable_tls=false\nlocal_mx_ok=true\nconcurrency_max=100\n' > "$place/config/outbound.ini"
    echo haraka.bench.example > "$place/config/me"
    echo bench > "$place/config/plugins"
    cat > "$place/plugins/bench.js" <<END
exports.hook_rcpt = (next, connection) => {
    connection.relaying = true
    next(OK)
}
exports.hook_get_mx = (next) => next(OK, { priority: 0, exchange: '127.0.0.1', port: $4 })
END
    exec node "$haraka/bin/haraka" -c "$place"
    ;;
esac
