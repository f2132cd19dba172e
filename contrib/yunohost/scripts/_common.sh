#!/bin/bash
# shellcheck disable=SC2034,SC2154
# What the scripts share. The Debian package brings user, unit, directories and configuration; here it gets its name and port.

config=/etc/sm2tp/sm2tp.toml
data=/var/lib/sm2tp

# The package that the administrator named: apt takes its dependencies along.
install_package() {
    [ -f "$package" ] || ynh_die "$package: there is no such file"
    [ "$(dpkg-deb --field "$package" Package)" = sm2tp ] || ynh_die "$package is not the package of SM2TP"
    ynh_hide_warnings apt-get --assume-yes --option Dpkg::Options::=--force-confold install "$package"
}

# Waiting mail is somebody's mail: without --purge the data directory stays, as with the Debian package alone.
remove_package() {
    local how=remove
    [ "${YNH_APP_PURGE:-0}" -eq 0 ] || how=purge
    ynh_hide_warnings apt-get --assume-yes "$how" sm2tp
}

# Runs a command of the node as the user of the node.
node() {
    runuser --user sm2tp -- sm2tp --config "$config" "$@"
}

# The port that YunoHost gave, and the name under which nginx serves the pages.
name_and_port() {
    sed -i -E -e "/^\[http\]/,/^\[/ s|^#?listen = .*|listen = [\"127.0.0.1:$port\"]|" \
        -e "/^\[http\]/,/^\[/ s|^#?public_url = .*|public_url = \"https://$domain\"|" "$config"
}
