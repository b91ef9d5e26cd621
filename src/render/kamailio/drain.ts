/** The drain script, run before a pod stops: no new calls, then wait for those that run. */

export const DRAIN_FILE = "drain.sh";

/**
 * Arguments: the run folder (holds ctl.sock) and the longest time to wait, seconds. Ends with 0 when no call is left or
 * the time is over. At least 3 s (or the whole time): the endpoint has to leave the load balancers first.
 */
export const renderDrainScript = (): string => `#!/bin/sh
# usage: drain.sh RUN_DIR TIMEOUT_SECONDS
set -u
cd "$1" || exit 1
timeout=$2
ask() { kamcmd -s unix:./ctl.sock "$@"; }
ask htable.seti st drain 1 || exit 1
waited=0
while [ "$waited" -lt "$timeout" ]; do
  calls=$(ask dlg.stats_active | sed -n 's/^[[:space:]]*all: *\\([0-9][0-9]*\\).*/\\1/p')
  [ "$calls" = 0 ] && [ "$waited" -ge 3 ] && exit 0
  sleep 1
  waited=$((waited + 1))
done
`;
