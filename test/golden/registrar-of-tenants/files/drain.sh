#!/bin/sh
# usage: drain.sh RUN_DIR TIMEOUT_SECONDS
set -u
cd "$1" || exit 1
timeout=$2
ask() { kamcmd -s unix:./ctl.sock "$@"; }
ask htable.seti st drain 1 || exit 1
waited=0
while [ "$waited" -lt "$timeout" ]; do
  calls=$(ask dlg.stats_active | sed -n 's/^[[:space:]]*all: *\([0-9][0-9]*\).*/\1/p')
  [ "$calls" = 0 ] && [ "$waited" -ge 3 ] && exit 0
  sleep 1
  waited=$((waited + 1))
done
