# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# helper.bash - what the suites share. Each test starts in an empty directory of its own.
set -euo pipefail
shopt -s inherit_errexit

export LC_ALL=C
HERE=$BATS_TEST_DIRNAME
DATA=$BATS_SUITE_TMPDIR/data   # 2 MiB and a bit, random
SMALL=$BATS_SUITE_TMPDIR/small # 20001 bytes, random
TEXT=$BATS_SUITE_TMPDIR/text   # lines, for terminals
TOOLS=(xsplice xtee xpipe xprobe xfuse xshim xdeny)
OWNED=()
LOOPS=()
readonly HERE DATA SMALL TEXT TOOLS

setup() {
	cd "$BATS_TEST_TMPDIR"
}

teardown() { clean_up; }

# clean_up - ends what the test started, by number, once nothing can wait for its FUSE mounts any
# more, and makes room: all tests together would leave gigabytes until the last one ends.
clean_up() {
	local pid place
	fuse_mounts "$BATS_TEST_TMPDIR" | while IFS= read -r place; do
		fusermount3 -u -z "$place"
	done
	for pid in "${OWNED[@]}"; do
		if running "$pid"; then
			# shellcheck disable=SC2046  # numbers are words
			kill -KILL "$pid" $(descendants "$pid") 2>/dev/null || true
		fi
		wait "$pid" 2>/dev/null || true
	done
	for place in "${LOOPS[@]}"; do losetup -d "$place" || true; done
	cd /
	find "$BATS_TEST_TMPDIR" -xdev -mindepth 1 -delete || true
}

# fuse_mounts DIRECTORY - where FUSE file systems are mounted in it.
fuse_mounts() {
	awk -v w="$1/" 'index($5, w) == 1 && / - fuse/ { print $5 }' /proc/self/mountinfo
}

# descendants PID - every process below it.
descendants() {
	local child
	for child in $(cat "/proc/$1/task/"*/children 2>/dev/null); do
		printf '%s\n' "$child"
		descendants "$child"
	done
}

fail() {
	printf '%s\n' "$*" >&2
	return 1
}

# offers NAME - this machine has NAME: a feature, by xprobe's name, where it is native, or what
# setup_suite.bash looks for. no-NAME is the opposite.
offers() {
	[[ " $XP_KNOWN " == *" ${1#no-} "* ]] || { fail "no such requirement: $1" || exit; }
	if [[ $1 == no-* ]]; then
		[[ " $XP_HERE " != *" ${1#no-} "* ]]
	else
		[[ " $XP_HERE " == *" $1 "* ]]
	fi
}

# requires NAME... - skips the test where this machine doesn't offer NAME. Nothing else skips:
# which skips are right is what allowed-skips says, kernel by kernel.
requires() {
	local name
	for name; do offers "$name" || skip "needs $name"; done
}

# expect STATUS COMMAND... - COMMAND has to end with STATUS; its standard error is kept in ./err.
expect() {
	local want=$1 got=0
	shift
	"$@" 2>err || got=$?
	# shellcheck disable=SC2053  # STATUS may be a pattern
	[[ $got == $want ]] || fail "status $got, not $want: $* | $(<err)"
}

# bound COMMAND... - COMMAND as a process that the limits on pipes hold for: root's may exceed them.
bound() {
	if offers root; then
		setpriv --bounding-set=-sys_resource -- "$@"
	else
		"$@"
	fi
}

# said LINE - standard error was exactly LINE.
said() {
	[[ $(<err) == "$1" ]] || fail "said: $(<err) | expected: $1"
}

# complained TOOL - a usage error: one line by TOOL, and at most argp's hint after it.
complained() {
	local lines
	mapfile -t lines <err
	[[ ${lines[0]:-} == "$1: "?* ]] || fail "no message by $1: $(<err)"
	[[ ${#lines[@]} == 1 || (${#lines[@]} == 2 && ${lines[1]} == Try\ *) ]] ||
		fail "more than a line: $(<err)"
}

silent() {
	[[ ! -s err ]] || fail "unexpected on standard error: $(<err)"
}

empty() {
	[[ -e $1 && ! -s $1 ]] || fail "$1 is missing or not empty"
}

# lacks PATTERN FILE - FILE is there, and no line of it matches.
lacks() {
	[[ -e $2 ]] || fail "$2 is missing"
	if grep -E -e "$1" "$2"; then fail "$2 has $1"; fi
}

absent() {
	[[ ! -e $1 ]] || fail "$1 should not be there"
}

# stat_of NAME - one value of the JSON object that --stats=json left in ./err.
stat_of() {
	grep '^{' err | jq -r ".$1"
}

# running PID - it is a child of ours that has not ended: its number is nobody else's.
running() {
	[[ $'\n'$(jobs -rp)$'\n' == *$'\n'"$1"$'\n'* ]]
}

# signal NAME PID
signal() {
	running "$2" || fail "process $2 ended too early: $(cat err* 2>/dev/null)"
	kill "-$1" "$2"
}

# holds FILTER FILE [jq OPTION...] - FILE has JSON in it, and FILTER is true of it.
holds() {
	[[ -s $2 ]] || fail "$2 is missing or empty"
	jq -e "${@:3}" "$1" "$2" >/dev/null || fail "not true: $1 | $(<"$2")"
}

# own PID - ends PID with the test.
own() {
	OWNED+=("$1")
}

# spawn COMMAND... - COMMAND in the background, as $PID, with signals as a terminal's shell
# leaves them, and of this shell's own descriptors only those that it is told of as fd:N.
spawn() {
	(
		local fd
		for fd in "/proc/$BASHPID/fd/"[1-9][0-9]*; do
			fd=${fd##*/}
			[[ " $* " == *" fd:$fd "* ]] || exec {fd}>&-
		done
		exec env --default-signal=INT,PIPE "$@"
	) <&0 &
	PID=$!
	own "$PID"
}

# ends STATUS PID - waits for PID, which has to end with STATUS.
ends() {
	local got=0
	wait "$2" || got=$?
	[[ $got == "$1" ]] || fail "process ended with $got, not $1: $(cat err* 2>/dev/null)"
}

# eventually COMMAND... - waits until COMMAND succeeds, for what the kernel has no event for.
eventually() {
	local tries=0
	until "$@" 2>/dev/null; do
		((++tries < 1000)) || fail "never came true: $*"
		sleep 0.01
	done
}

# at_rest PID - PID is a tool of ours by now, and sleeps.
at_rest() {
	local stat
	[[ $(<"/proc/$1/comm") == x* ]] && stat=$(<"/proc/$1/stat") && [[ ${stat##*) } == S* ]]
}

gone() {
	! kill -0 "$1"
}

# ticks PID - processor time in clock ticks so far, user and system.
ticks() {
	local stat fields
	stat=$(<"/proc/$1/stat")
	read -ra fields <<<"${stat##*) }"
	printf '%s\n' $((fields[11] + fields[12]))
}

# of_status NAME [PID] - one line's value from /proc/PID/status, of this shell by default.
of_status() {
	sed -n "s/^$1:[[:space:]]*//p" "/proc/${2:-$$}/status"
}

# peak PID - largest resident set so far, in KiB.
peak() {
	of_status VmHWM "$1" | tr -dc 0-9
}

# take COUNT FD - so many bytes from a descriptor that never sees its end.
take() {
	timeout 30 head -c "$1" <&"$2"
}

# fifo NAME - a FIFO whose descriptor $FD neither blocks an opener nor ever sees its end.
fifo() {
	mkfifo "$1"
	exec {FD}<>"$1"
}

# listen ADDRESS OTHER - socat between a listening ADDRESS and OTHER, as $PID; TCP's port is $PORT.
# `-u` or `-U` in DIRECTION says which way. Returns once it listens.
listen() {
	local log line=''
	log=$(mktemp -u log.XXXXXX)
	mkfifo "$log"
	exec {LOG}<>"$log"
	socat -d -d "$DIRECTION" "$1" "$2" 2>"$log" &
	PID=$!
	own "$PID"
	until [[ $line == *'listening on'* ]]; do read -r line <&"$LOG"; done
	PORT=${line##*:}
}

# feed FILE ADDRESS - whoever connects to ADDRESS gets FILE. drain FILE ADDRESS - the reverse.
feed() { DIRECTION=-U listen "$2" "OPEN:$1,rdonly"; }
drain() { DIRECTION=-u listen "$2" "OPEN:$1,creat,trunc,wronly"; }

TCP='TCP-LISTEN:0,bind=127.0.0.1'

# mount_fuse - ./fuse shows ./behind through FUSE until the test ends.
mount_fuse() {
	requires fuse
	mkdir behind fuse
	fifo mounted
	spawn "$BATS_SUITE_TMPDIR/fusedir" -f fuse "$PWD/behind" >&"$FD"
	read -r <&"$FD"
}
