/**
 * The shell program that starts a destination QEMU on its host and keeps it on a leash: until the word `keep`
 * comes over standard input, the end of that input ends QEMU. POSIX sh, and /proc of Linux; no godwit there.
 */

/**
 * Parameters: working folder; user (empty: whoever runs it); QMP socket; machine type; what QEMU makes, one
 * path a line; program; its arguments. Says one of
 *   refused REASON TEXT      nothing was started
 *   started, boot id, /proc/PID/stat
 *   ended, then all that QEMU said
 * and `kept` once QEMU is left to itself. QEMU's own output goes to a file without a name, so none is left.
 * It outlives whoever reads its words, because it still has to end QEMU.
 */
export const START_SCRIPT = String.raw`
trap '' PIPE HUP
folder=$1 user=$2 qmp=$3 machine=$4 makes=$5; shift 5
refused() { printf 'refused %s\n' "$*"; exit 1; }
lines() { [ -z "$makes" ] || printf '%s\n' "$makes"; }
cd -- "$folder" 2>/dev/null || refused folder "$folder"
command -v -- "$1" >/dev/null || refused program "$1"
"$1" -machine help | grep -q "^$machine " || refused machine "$machine $("$1" -version | head -n 1)"
taken=$(lines | while IFS= read -r path; do if [ -e "$path" ] || [ -L "$path" ]; then printf '%s\n' "$path"; break; fi; done)
[ -z "$taken" ] || refused taken "$taken"
if [ -n "$user" ] && [ "$user" != "$(id -u)" ] && [ "$user" != "$(id -un)" ]; then
  [ "$(id -u)" = 0 ] || refused user "$user $(id -un)"
  group=$(id -g -- "$user" 2>/dev/null) || refused unknown "$user"
  set -- setpriv "--reuid=$user" "--regid=$group" --init-groups "$@"
fi
log=$(mktemp) || refused log "${'$'}{TMPDIR:-/tmp}"
exec 4>>"$log" 5<"$log"
rm -f -- "$log"
setsid "$@" </dev/null >&4 2>&4 4>&- 5<&- &
pid=$!
lives() {
  [ -r "/proc/$pid/stat" ] || return 1
  case $(cat "/proc/$pid/stat" 2>/dev/null) in *') Z '*|*') X '*|'') return 1;; esac
}
over() {
  kill -TERM "$pid" 2>/dev/null
  tries=0
  while lives && [ "$tries" -lt 100 ]; do tries=$((tries + 1)); sleep 0.05; done
  kill -KILL "$pid" 2>/dev/null
  while lives; do sleep 0.05; done
  lines | while IFS= read -r path; do rm -f -- "$path"; done
  printf 'ended\n'
  cat <&5
  exit 1
}
tries=0
while [ ! -S "$qmp" ]; do
  lives || over
  [ "$tries" -lt 1200 ] || over
  tries=$((tries + 1)); sleep 0.05
done
stat=$(cat "/proc/$pid/stat" 2>/dev/null)
[ -n "$stat" ] && lives || over
printf 'started\n%s\n%s\n' "$(cat /proc/sys/kernel/random/boot_id)" "$stat"
read -r word
[ "$word" = keep ] || over
lives || over
printf 'kept\n'
`;
