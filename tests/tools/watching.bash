# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2154
# watching.bash - what the suites on watchq share, beyond helper.bash.

ENTER=()
W=''
CAUSE=$BATS_SUITE_TMPDIR/cause # cause.c

# namespace - a mount namespace, an ordinary user's in a user namespace, for all that `within`
# runs. There $W is a tmpfs with room for mounts.
namespace() {
	local how=(unshare -m --propagation private)
	if ((EUID)); then
		requires userns
		how=(unshare -rm --propagation private)
	fi
	hold "${how[@]}"
	if ((EUID)); then ENTER+=(-U --preserve-credentials); fi
}

# hold COMMAND... - the same namespace, as COMMAND makes it.
hold() {
	rm -f made
	fifo made
	W=$BATS_TEST_TMPDIR/w
	mkdir -p "$W"
	# shellcheck disable=SC2016 # the shell in there expands it
	spawn "$@" sh -c 'mount -t tmpfs none "$1" && echo && exec sleep 1000' sh "$W" >&"$FD"
	read -r -t 20 <&"$FD"
	ENTER=(nsenter -t "$PID" -m)
	export HOLD=$PWD # that is not where nsenter(1) starts a command
}

within() { "${ENTER[@]}" "$@"; }

# make DIRECTORY... - in $W.
make() {
	local name
	for name; do within mkdir -p -- "$W/$name"; done
}

# tmpfs DIRECTORY - a mount in $W.
tmpfs() { within mount -t tmpfs none "$W/$1"; }

# watching OPTION... - watchq as $PID, in the namespace if there is one. It prints to $EVENTS, and
# has every watch set.
watching() {
	rm -f events ready
	fifo ready
	local ready=$FD
	fifo events
	EVENTS=$FD
	spawn "${ENTER[@]}" watchq --ready=3 "$@" 3>ready >events 2>err
	read -r -t 20 <&"$ready" || fail "never ready: $(<err)"
	[[ $REPLY == ready ]]
}

# shellcheck disable=SC2120 # the options are seldom needed
# next [read OPTION...] - the next line that watchq prints, as $LINE.
next() {
	IFS= read -r -t 20 "$@" LINE <&"$EVENTS" || fail "no event came: $(<err)"
}

# is FILTER - it is true of $LINE, an object.
is() {
	jq -e "$@" >/dev/null <<<"$LINE" || fail "not true: $* | $LINE"
}

# value FILTER - of $LINE.
value() { jq -r "$@" <<<"$LINE"; }

# stop - ends watchq by a signal, as a user would, and expects that.
stop() {
	signal TERM "$PID"
	ends 143 "$PID"
}

# mount_id PATH - as the events have it: the unique one, or the one in mountinfo.
mount_id() { within "$CAUSE" id "$1"; }

# mounted - where mounts are in $W by mountinfo, sorted.
mounted() {
	within cat /proc/self/mountinfo | awk -v w="$W/" 'index($5, w) == 1 { print $5 }' | sort
}

# picture FILE - the same, from the events in FILE, where the state was the beginning.
picture() {
	jq -n -r --arg w "$W/" '
		reduce (inputs | select(.source == "mount")) as $e ({};
			if $e.event == "attach" or $e.event == "move" then
				.["\($e.mnt_id)"] = ($e.path // "")
			elif $e.event == "detach" then del(.["\($e.mnt_id)"])
			else . end)
		| .[] | select(startswith($w))' "$1" | sort
}

# loop_device add|remove - of the loop device $LOOP, which nobody else has.
loop_device() {
	LOOP=${LOOP:-loop$((1000 + BASHPID % 100000))}
	perl -e '
		my ($number) = $ARGV[0] =~ /(\d+)/;
		my $call = {add => 0x4c80, remove => 0x4c81}->{$ARGV[1]};
		open my $control, "+<", "/dev/loop-control" or die "loop-control: $!\n";
		defined ioctl $control, $call, $number + 0 or die "$ARGV[1]: $!\n"' "$LOOP" "$1"
}

# collect - all that watchq prints from now on goes to ./all. collected - it is there, whole.
collect() {
	rm -f all
	cat <&"$EVENTS" >all &
	own $!
}
collected() {
	echo '{"source":"end"}' >&"$EVENTS"
	eventually grep -qxF '{"source":"end"}' all
}

# until_line FILTER - reads lines until FILTER is true of one, and keeps them all in ./lines.
until_line() {
	: >lines
	while :; do
		next || return
		printf '%s\n' "$LINE" >>lines
		if jq -e "$@" >/dev/null <<<"$LINE"; then return; fi
	done
}
