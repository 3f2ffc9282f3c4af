#!/bin/sh
# Brings the programs of other projects that the tests talk to: Debian's gearmand and its tools,
# the databases that keep queues, and the Gearman libraries of PHP, Perl, Node, C and Python.
#
# On Debian, as root, what is missing is installed with apt, and no system service is started by
# it. Anywhere else apt is left alone and tests/services/availability.py names what is missing.
# The libraries of Node and Python go to .cache/peers, in the versions pinned below, and so does a
# newer Python's Django where there is such a Python.
# Run it as often as you like: where nothing is missing it takes a moment and needs no network.
set -eu

GEARMANODE=0.9.2
WINSTON=2.4.7 # gearmanode's logger; gearmanode itself accepts any version of it
PYGEARMAN=0.2.6
GEAR=0.16.0
DJANGO='>=6.0'

root=$(cd "$(dirname "$0")/../.." && pwd)
peers=$root/.cache/peers

have() { command -v "$1" >/dev/null 2>&1; }

missing_packages() {
    # A program somebody installed in another way than with apt serves as well.
    have gearmand || [ -x /usr/sbin/gearmand ] || echo gearman-job-server
    have gearman && have gearadmin || echo gearman-tools
    have php || echo php-cli
    have php && php -r 'exit((int) !extension_loaded("gearman"));' || echo php-gearman
    have perl && perl -MGearman::Client -e 1 2>/dev/null || echo libgearman-client-perl
    have node || echo nodejs
    have npm || echo npm
    have nc || echo netcat-openbsd
    have strace || echo strace
    have systemd-analyze || echo systemd
    [ -n "$(ls /usr/lib/postgresql/*/bin/initdb 2>/dev/null)" ] || echo postgresql
    have mariadbd || [ -x /usr/sbin/mariadbd ] || echo mariadb-server
    [ -e /usr/lib/galera/libgalera_smm.so ] || echo galera-4
    have rsync || echo rsync
    have redis-server || echo redis-server
    have openssl || echo openssl
    have memcached || echo memcached
    have gcc || echo gcc libc6-dev
    [ -e /usr/include/libgearman/gearman.h ] || echo libgearman-dev
}

keep_services_stopped() {
    # Debian starts a service at the end of its installation unless this file says no.
    policy=/usr/sbin/policy-rc.d
    if [ -e "$policy" ]; then
        mv "$policy" "$policy.geartrain"
        trap 'mv "$policy.geartrain" "$policy"' EXIT
    else
        trap 'rm -f "$policy"' EXIT
    fi
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
}

apt_install() {
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y -o Dpkg::Use-Pty=0 \
        --no-install-recommends "$@" >"$peers/apt.log" 2>&1
}

install_packages() {
    if [ "$(id -u)" != 0 ] || [ ! -e /etc/debian_version ]; then
        echo "not root on Debian, so not installed:" $packages >&2
        return 0
    fi
    echo "installing" $packages >&2
    keep_services_stopped
    # The package lists may be there and fresh enough; fetching them is slow.
    apt_install $packages || { apt-get update -qq >&2 && apt_install $packages; } || {
        cat "$peers/apt.log" >&2
        return 1
    }
}

install_node_peers() {
    have npm || return 0
    wanted="gearmanode@$GEARMANODE winston@$WINSTON"
    [ "$(cat "$peers/node/installed" 2>/dev/null)" != "$wanted" ] || return 0
    rm -rf "$peers/node" && mkdir -p "$peers/node"
    npm install --prefix "$peers/node" --no-fund --no-audit --loglevel=error $wanted >&2
    echo "$wanted" >"$peers/node/installed"
}

install_python_peers() {
    wanted="pygearman==$PYGEARMAN gear==$GEAR"
    [ "$(cat "$peers/python/installed" 2>/dev/null)" != "$wanted" ] || return 0
    rm -rf "$peers/python"
    python=$root/.venv/bin/python
    [ -x "$python" ] || python=python3
    "$python" -m pip install --quiet --disable-pip-version-check --target "$peers/python" $wanted >&2
    echo "$wanted" >"$peers/python/installed"
}

newer_python() {
    # Django 6 wants 3.12, whatever the tests themselves run with.
    for python in python3.14 python3.13 python3.12 "$HOME"/.pyenv/versions/3.1[2-9]*/bin/python; do
        have "$python" || continue
        "$python" -c 'import sys, venv; sys.exit(sys.version_info < (3, 12))' 2>/dev/null || continue
        echo "$python" && return
    done
}

install_django() {
    # An interpreter of its own, with what the package needs to be run from its sources.
    wanted="django$DJANGO librt>=0.16 mypy-extensions>=1.1 msgspec>=0.19 psutil>=6"
    [ "$(cat "$peers/django/installed" 2>/dev/null)" != "$wanted" ] || return 0
    python=$(newer_python)
    [ -n "$python" ] || return 0
    rm -rf "$peers/django"
    "$python" -m venv "$peers/django"
    "$peers/django/bin/python" -m pip install --quiet --disable-pip-version-check $wanted >&2
    echo "$wanted" >"$peers/django/installed"
}

mkdir -p "$peers"
# Two test runs may start together on one machine.
exec 9>"$peers/lock"
! have flock || flock 9
packages=$(missing_packages)
[ -z "$packages" ] || (install_packages)
install_node_peers
install_python_peers
install_django
