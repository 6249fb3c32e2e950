# SPDX-License-Identifier: GPL-2.0-or-later
# watchq: its options, its output and its statuses, with mounts as the events, whoever sees them.
load helper
load watching

TIME='[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z'
declare -gA NASTY=(
	[blank]='two  words'
	[newline]=$'line\nand line'
	[quotes]=$'it\'s "so"'
	[escapes]=$'back\\slash\ttab\033[1m\177'
	[umlaut]=$'\303\244 \342\202\254'
	[latin1]=$'caf\351'
	[broken]=$'\303\200\300\355\240\200 \302\205'
)

# bytes_of NAME - a string field of $LINE as it was, whatever its bytes are.
bytes_of() { value --arg name "$1" '.["\($name)_base64"] // (.[$name] | @base64)' | base64 -d; }

# unquoted NAME - the same of a line of text.
unquoted() {
	perl -e '
		my ($line, $name) = @ARGV;
		my %letter = qw(a 7 b 8 t 9 n 10 v 11 f 12 r 13);
		$line =~ / \Q$name\E=("(?:[^"\\]|\\.)*"|[^" ]*)/ or die "no $name: $line\n";
		my $value = $1;
		if ($value =~ s/^"(.*)"$/$1/) {
			$value =~ s/\\([0-7]{3}|.)/length $1 > 1 ? chr oct $1 :
				$letter{$1} ? chr $letter{$1} : $1/ge;
		}
		print $value' "$LINE" "$1"
}

# prints TEXT FILE - FILE has these bytes, and no others.
same_bytes() { cmp "$1" <(printf %s "$2"); }

# ------------------------------------------------------------------------- lines

@test "a mount is a line: time, source, event, names and values" {
	requires cause
	namespace
	watching -o mount.attach mount
	make a
	tmpfs a
	next
	local line="^$TIME mount attach id=([0-9]+) parent=([0-9]+) path=$W/a parent_path=$W( |\$)"
	[[ $LINE =~ $line ]] || fail "line: $LINE"
	[[ ${BASH_REMATCH[1]} == "$(mount_id "$W/a")" ]]
	[[ ${BASH_REMATCH[2]} == "$(mount_id "$W")" ]]
	stop
	silent
}

@test "a mount is an object with --json" {
	requires cause jq
	namespace
	watching --json mount
	make a
	tmpfs a
	next
	is --argjson id "$(mount_id "$W/a")" --argjson parent "$(mount_id "$W")" --arg w "$W" '
		.source == "mount" and .event == "attach" and .watch == 0 and
		(.backend | IN("queue", "fanotify", "mountinfo")) and
		.mnt_id == $id and .parent_id == $parent and
		.path == "\($w)/a" and .parent_path == $w and (.flags | type) == "array" and
		(.time | test("^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{6}Z$"))'
	[[ $(date -u -d "$(value .time)" +%s) -ge $(($(date +%s) - 60)) ]]
	stop
	silent
}

@test "attach, move and detach follow each other, with paths, numbers and parents" {
	requires cause jq
	namespace
	make from to
	watching --json mount
	tmpfs from
	next
	is --arg w "$W" '.event == "attach" and .path == "\($w)/from"'
	local id
	id=$(value .mnt_id)
	make from/below
	tmpfs from/below
	next
	is --arg w "$W" --argjson id "$id" '
		.event == "attach" and .path == "\($w)/from/below" and .parent_id == $id and
		.parent_path == "\($w)/from"'
	within "$CAUSE" move "$W/from" "$W/to"
	next
	is --arg w "$W" --argjson id "$id" --argjson parent "$(mount_id "$W")" '
		.event == "move" and .mnt_id == $id and .path == "\($w)/to" and
		.old_path == "\($w)/from" and .parent_id == $parent'
	next
	is --arg w "$W" --argjson id "$id" '
		.event == "move" and .path == "\($w)/to/below" and .parent_id == $id and
		.old_path == "\($w)/from/below" and (.flags | index("recursive"))'
	within umount "$W/to/below"
	next
	is --arg w "$W" --argjson id "$id" '
		.event == "detach" and .path == "\($w)/to/below" and .parent_id == $id'
	within umount "$W/to"
	next
	is --arg w "$W" --argjson id "$id" '
		.event == "detach" and .mnt_id == $id and .path == "\($w)/to"'
	stop
	silent
}

@test "names with anything in them are valid and reversible in JSON" {
	requires cause jq
	namespace
	local what name
	watching --json -o mount.attach mount
	for what in "${!NASTY[@]}"; do
		name=$W/${NASTY[$what]}
		within mkdir "$name"
		within mount -t tmpfs none "$name"
		next
		iconv -f UTF-8 -t UTF-8 <<<"$LINE" >/dev/null
		is '.event == "attach"'
		bytes_of path >got
		same_bytes got "$name" || fail "$what: $LINE"
		[[ $what == latin1 || $what == broken ]] || is 'has("path_base64") | not'
	done
	stop
}

@test "names with anything in them are quoted and reversible in text" {
	requires cause
	namespace
	local what name
	watching -o mount.attach mount
	for what in "${!NASTY[@]}"; do
		name=$W/${NASTY[$what]}
		within mkdir "$name"
		within mount -t tmpfs none "$name"
		next
		[[ $LINE == *' mount attach id='*' path='* ]]
		unquoted path >got
		same_bytes got "$name" || fail "$what: $LINE"
		[[ $LINE != *[[:cntrl:]]* ]] || fail "control characters: $LINE"
	done
	stop
}

@test "names with anything in them come through -0" {
	requires cause
	namespace
	local what name
	watching -0 --format='%{path}' -o mount.attach mount
	for what in "${!NASTY[@]}"; do
		name=$W/${NASTY[$what]}
		within mkdir "$name"
		within mount -t tmpfs none "$name"
		next -d ''
		[[ $LINE == "$name" ]] || fail "$what: $LINE"
	done
	stop
}

@test "-0 ends lines and objects with NUL" {
	requires cause jq
	namespace
	make a
	watching -0 -n 1 mount
	tmpfs a
	next -d ''
	[[ $LINE =~ ^$TIME\ mount\ attach\ .*path=$W/a ]]
	ends 0 "$PID"
	watching -0 --json -n 1 mount
	within umount "$W/a"
	next -d ''
	is '.event == "detach"'
	ends 0 "$PID"
}

@test "--format prints what it is told, escapes included" {
	requires cause
	namespace
	make a
	watching -n 1 --format='%s|%e|%i|%{path}|%{error}|%%\t\\|\0|%{time}|%t|%{mnt_id}' mount
	tmpfs a
	next -d ''
	[[ $LINE == "mount|attach|0|$W/a||%"$'\t'"\\|" ]] || fail "$LINE"
	next
	[[ $LINE =~ ^\|($TIME)\|($TIME)\|([0-9]+)$ ]] || fail "$LINE"
	[[ ${BASH_REMATCH[1]} == "${BASH_REMATCH[2]}" ]]
	[[ ${BASH_REMATCH[3]} == "$(mount_id "$W/a")" ]]
	ends 0 "$PID"
}

@test "each event is out before the next is waited for, in one write" {
	requires cause strace no-asan
	namespace
	make a b
	rm -f events ready
	fifo ready
	spawn "${ENTER[@]}" strace -f -o "$PWD/trace" -s 200 -e trace=write,writev \
		watchq --no-sandbox --ready=3 -n 2 mount 3>ready >lines
	read -r -t 20 <&"$FD"
	tmpfs a
	tmpfs b
	ends 0 "$PID"
	[[ $(grep -c '^[0-9]* *write(1, .*mount attach' trace) == 2 ]] || fail "$(<trace)"
	[[ $(grep -c '^[0-9]* *write(1, ' trace) == 2 ]]
}

# ------------------------------------------------------------------------- which, and how long

@test "--only lets through what it names" {
	requires cause
	namespace
	make a
	watching -n 2 --format=%s.%e -o mount.detach mount
	tmpfs a
	within umount "$W/a"
	tmpfs a
	within umount "$W/a"
	next
	[[ $LINE == mount.detach ]]
	next
	[[ $LINE == mount.detach ]]
	ends 0 "$PID"
}

@test "--only takes lists, sources and wildcards" {
	requires cause
	namespace
	make a
	local list
	for list in mount 'mount.*' '*.attach,*.detach' '*' '*.*' mount.attach,mount.detach \
		key.linked,mount.attach,mount.detach; do
		watching -n 2 --format=%s.%e --only="$list" mount
		tmpfs a
		next
		[[ $LINE == mount.attach ]]
		within umount "$W/a"
		next
		[[ $LINE == mount.detach ]]
		ends 0 "$PID"
	done
}

@test "--count stops after so many" {
	requires cause
	namespace
	make a b c
	watching -n 2 --format='%{path}' mount
	tmpfs a
	tmpfs b
	ends 0 "$PID"
	tmpfs c
	next
	[[ $LINE == "$W/a" ]]
	next
	[[ $LINE == "$W/b" ]]
	! read -r -t 0.1 <&"$EVENTS"
}

@test "--timeout ends with 124 if nothing came, else with 0" {
	requires cause
	namespace
	make a
	expect 124 within watchq -t 0.05 mount >out
	empty out
	silent
	expect 124 within watchq -t 0 mount
	watching -t 1.5 mount
	tmpfs a
	next
	ends 0 "$PID"
	# The count is reached first.
	watching -t 100 -n 1 mount
	within umount "$W/a"
	ends 0 "$PID"
}

@test "--initial is the state, and the events go on from there" {
	requires cause jq
	namespace
	make a b
	tmpfs a
	watching --initial --json mount
	tmpfs b
	while next && is . && ! jq -e --arg p "$W/b" '.path == $p' >/dev/null <<<"$LINE"; do
		is '.event == "attach" and (.flags | index("initial")) and .watch == 0'
		printf '%s\n' "$LINE" >>state
	done
	is '.event == "attach" and (.flags | index("initial") | not)'
	within cat /proc/self/mountinfo | awk -v b="$W/b" '$5 != b { print $5 }' | sort >expected
	jq -r .path state | sort >got
	cmp expected <(sed 's/ /\\040/g' got)
	[[ $(jq -s 'map(.mnt_id) | unique | length' state) == "$(wc -l <state)" ]]
	stop
}

@test "--initial and --timeout=0 is the state alone" {
	requires cause
	namespace
	expect 0 within watchq --initial -t 0 --format='%e %{flags}' mount >out
	silent
	[[ $(grep -cE '^attach (.*,)?initial$' out) == "$(wc -l <out)" ]]
	[[ $(wc -l <out) == $(within cat /proc/self/mountinfo | wc -l) ]]
}

@test "what happens after the ready line is seen, however soon" {
	requires cause
	namespace
	local i
	make a
	for i in {1..20}; do
		watching -n 1 --format=%e mount
		if ((i % 2)); then tmpfs a; else within umount "$W/a"; fi
		ends 0 "$PID"
		next
	done
}

@test "--ready is a line on standard error, or on the descriptor that is named" {
	requires cause
	namespace
	expect 124 within watchq --ready -t 0 mount
	said ready
	expect 124 within watchq --ready=1 -t 0 mount >out
	[[ $(<out) == ready ]]
	silent
	expect 124 within watchq --ready=5 -t 0 mount 5>out
	[[ $(<out) == ready ]]
	expect 1 watchq --ready=77 mount >out
	empty out
	said "watchq: writing 'fd:77': Bad file descriptor"
}

@test "a subtree is what is mounted at its root, and below" {
	requires cause jq
	namespace
	make in out
	tmpfs in
	make in/deep
	watching --json mount:"$W/in"
	tmpfs out
	tmpfs in/deep
	next
	is --arg w "$W" '.event == "attach" and .path == "\($w)/in/deep"'
	within umount "$W/out"
	within umount "$W/in/deep"
	next
	is --arg w "$W" '.event == "detach" and .path == "\($w)/in/deep"'
	stop
}

@test "a watch on a mount that goes away ends, and with it the run" {
	requires cause jq
	namespace
	make a
	tmpfs a
	watching --json mount:"$W/a"
	within umount "$W/a"
	while next && ! jq -e '.event == "removal"' >/dev/null <<<"$LINE"; do
		is '.event == "detach"'
	done
	is '.source == "mount" and .watch == 0'
	ends 0 "$PID"
	silent
}

@test "another namespace is watched by its file" {
	requires cause root jq
	namespace
	make a
	rm -f events ready
	fifo ready
	local ready=$FD
	fifo events
	EVENTS=$FD
	local ns=/proc/${ENTER[2]}/ns/mnt
	spawn watchq --ready=3 --json mount:"$ns" 3>ready >events 2>err
	read -r -t 20 <&"$ready" || true
	# It takes fanotify's mount events, or the series.
	if ! running "$PID"; then
		ends 3 "$PID"
		return
	fi
	tmpfs a
	next
	is '.event == "attach" and (.path | endswith("/a"))'
	stop
}

@test "several watches are numbered, and text has the number then" {
	requires cause
	namespace
	make a b
	tmpfs a
	tmpfs b
	make a/x b/y
	watching mount:"$W/a" mount:"$W/b"
	tmpfs b/y
	next
	[[ $LINE =~ ^$TIME\ mount\ attach\ watch=1\ id= ]] || fail "$LINE"
	tmpfs a/x
	next
	[[ $LINE =~ ^$TIME\ mount\ attach\ watch=0\ id= ]] || fail "$LINE"
	stop
}

# ------------------------------------------------------------------------- --exec

@test "--exec runs a command for each event, in order, with the event in variables" {
	requires cause
	namespace
	make a b
	export WATCHQ_ERROR=stale WATCHQ_PATH=stale
	# shellcheck disable=SC2016 # the command's shell expands it
	watching -n 3 -x 'echo "$WATCHQ_SOURCE $WATCHQ_EVENT $WATCHQ_WATCH $WATCHQ_PATH" \
		"$WATCHQ_MNT_ID ${WATCHQ_ERROR-none}" >>"$HOLD/log"' mount
	tmpfs a
	local id
	id=$(mount_id "$W/a")
	next
	tmpfs b
	within umount "$W/a"
	ends 0 "$PID"
	silent
	[[ $(sed -n 1p log) == "mount attach 0 $W/a $id none" ]] || fail "$(<log)"
	[[ $(wc -l <log) == 3 && $(sed -n 2p log) == "mount attach 0 $W/b "* ]]
	[[ $(sed -n 3p log) == "mount detach 0 $W/a $id none" ]]
}

@test "commands run one at a time, and events wait for them" {
	requires cause
	namespace
	make a b
	watching -n 4 -x 'cd "$HOLD"; echo begin >>log; sleep 0.1; echo end >>log' mount
	tmpfs a
	next
	tmpfs b
	next
	within umount "$W/a"
	within umount "$W/b"
	ends 0 "$PID"
	cmp log <(printf 'begin\nend\n%.0s' 1 2 3 4)
}

@test "a command that fails is reported, and the run goes on and ends with 1" {
	requires cause
	namespace
	make a
	watching -n 2 -x '[ "$WATCHQ_EVENT" = detach ] || exit 7' mount
	tmpfs a
	next
	within umount "$W/a"
	ends 1 "$PID"
	[[ $(<err) == "watchq: running '"*"': exit status 7" ]] || fail "$(<err)"
	watching -n 1 -x 'kill -KILL $$' mount
	tmpfs a
	ends 1 "$PID"
	said "watchq: running 'kill -KILL \$\$': killed by signal 9"
}

@test "the COMMAND of --exec is not sandboxed" {
	requires cause
	namespace
	make a
	watching -n 1 -x 'cat /proc/self/status >"$HOLD/status"' mount
	tmpfs a
	ends 0 "$PID"
	within cat /proc/self/status >expected
	local name
	for name in Seccomp Seccomp_filters CapEff CapPrm NoNewPrivs; do
		[[ $(grep "^$name:" status) == "$(grep "^$name:" expected)" ]] ||
			fail "$name: $(<status)"
	done
}

@test "a signal reaches the command, which is waited for" {
	requires cause
	namespace
	make a
	fifo started
	watching -x 'cd "$HOLD"; trap "echo ended >>log; exit" TERM
		echo >started
		while :; do sleep 0.01; done' mount
	tmpfs a
	read -r -t 20 <started
	signal TERM "$PID"
	ends 143 "$PID"
	[[ $(<log) == ended ]]
}

# ------------------------------------------------------------------------- ends

@test "SIGTERM and SIGINT stop it, and statistics are printed" {
	requires cause jq
	namespace
	make a
	local name
	for name in TERM INT; do
		watching --stats=json mount
		if [[ $name == TERM ]]; then tmpfs a; else within umount "$W/a"; fi
		next
		signal $name "$PID"
		ends $((128 + $(kill -l $name))) "$PID"
		holds '.tool == "watchq" and .events == 1 and .losses == 0 and .bytes > 0 and
			(.seconds | type) == "number" and (.method | length) > 0' err
		holds 'has("fallback")' err
	done
	watching --stats mount
	stop
	grep -qE '^watchq: 0 events, 0 losses, 0 bytes in [0-9.]+ s, by [a-z+-]+$' err
}

@test "SIGUSR1 prints a line of progress" {
	requires cause
	namespace
	watching mount
	signal USR1 "$PID"
	eventually grep -qE '^watchq: 0 events, 0 losses, [0-9]+ s$' err
	stop
}

@test "a reader that went away ends it quietly, also while nothing happens" {
	requires cause
	namespace
	rm -f ready
	fifo ready
	local status
	{
		status=0
		within watchq --ready=3 mount 3>ready 2>err || status=$?
		echo "$status" >status
	} | read -r -t 20 <&"$FD"
	[[ $(<status) == 141 ]] || fail "status $(<status)"
	silent
}

@test "an output that fails is a failure" {
	requires cause
	namespace
	make a
	rm -f ready
	fifo ready
	spawn "${ENTER[@]}" watchq --ready=3 mount 3>ready >/dev/full 2>err
	read -r -t 20 <&"$FD"
	tmpfs a
	ends 1 "$PID"
	said "watchq: writing 'standard output': No space left on device"
}

@test "a closed output is blamed" {
	requires cause
	namespace
	expect 1 within watchq --initial mount >&-
	said "watchq: writing 'standard output': Bad file descriptor"
}

# ------------------------------------------------------------------------- many

@test "the state and the events after it make the state in the end: 1000 random changes" {
	requires cause jq
	namespace
	make {0..7} last
	within "$CAUSE" random 20 1 "$W"
	watching --initial --json mount
	collect
	local seed
	for seed in {2..11}; do
		within "$CAUSE" random 100 "$seed" "$W"
	done
	within mount -t tmpfs none "$W/last"
	eventually grep -qF "\"path\":\"$W/last\"" all
	stop
	collected
	mounted >expected
	picture all >got
	cmp expected got || fail "$(diff expected got)"
}

# caught_up - it comes to the last mount, in little memory, and has told the mounts that there are.
caught_up() {
	eventually grep -qF "\"path\":\"$W/last\"" all
	(($(peak "$PID") < 8192)) || fail "$(peak "$PID") KiB"
	stop
	collected
	mounted >expected
	picture all >got
	cmp expected got || fail "$(diff expected got; grep -c . all; grep loss all)"
}

@test "stopped during 20000 mounts: the right picture in the end, in little memory" {
	requires cause jq no-asan
	namespace
	make {0..7} last x
	watching --initial --json mount
	collect
	signal STOP "$PID"
	within "$CAUSE" pairs 20000 "$W/x"
	within "$CAUSE" random 50 1 "$W"
	within mount -t tmpfs none "$W/last"
	signal CONT "$PID"
	caught_up
}

@test "a reader that stops during 20000 mounts gets the right picture, too" {
	requires cause jq no-asan
	namespace
	make {0..7} last x
	watching --initial --json mount
	within "$CAUSE" pairs 20000 "$W/x"
	within "$CAUSE" random 50 1 "$W"
	within mount -t tmpfs none "$W/last"
	collect
	caught_up
}

# ------------------------------------------------------------------------- what is refused

@test "bad command lines are refused before anything is printed" {
	local line
	while IFS= read -r line; do
		[[ -n $line ]] || continue
		eval "expect 2 watchq $line" >out
		complained watchq
		empty out
	done <<'end'

--json
mount --nonsense
mount sbx:/
files
key
key:
key:@x
key:hello
key:0
key:-9
key:0x
key:99999999999
key:%
key:%user
key:%user:
key:%a-type-whose-name-is-longer-than-32:x
mount:
sb
sb:
block:
'' mount
mount ''
mount --queue=0
mount --queue=513
mount --queue=
mount --queue=-1
mount --queue=1K
mount --queue=many
mount -n 0
mount -n -1
mount -n x
mount -t x
mount -t ''
mount -t -1
mount -t 1s
mount -t .
mount -t 1e3
mount -t inf
mount -o ''
mount -o mount.nothing
mount -o nothing.attach
mount -o nothing
mount -o mount.attach,
mount -o ,mount.attach
mount -o mount.attach,key.x
mount -o '*.nothing'
mount -o mount.
mount -o key
mount -o key.linked,sb.error
mount --format=%q
mount --format=%
mount --format='a%{'
mount --format='%{}'
mount --format='%{path'
mount --format='%{nothing}'
mount --format='\q'
mount --format='x\'
mount --json --format=%e
mount --json --raw
mount --raw --format=%e
mount --raw -0
mount --raw --initial
mount --raw --backend=stock
mount --no-fallback --backend=stock
mount --backend=
mount --backend=best
mount --ready=x
mount --ready=-1
mount --stats=xml
--list mount
--list --raw
--list --format=%e
end
}

@test "what cannot be watched is named, with the reason, before anything is printed" {
	requires cause
	namespace
	make plain
	: >file
	expect 1 within watchq --initial mount mount:"$W/none" >out
	said "watchq: watching 'mount:$W/none': No such file or directory"
	empty out
	expect 1 within watchq --initial mount mount:"$W/plain" >out
	said "watchq: watching 'mount:$W/plain': no mount's root, and no mount namespace"
	empty out
	expect 1 within watchq --initial mount mount:"$PWD/file" >out
	said "watchq: watching 'mount:$PWD/file': no mount's root, and no mount namespace"
	expect '[13]' within watchq --initial mount sb:"$W/none" >out
	empty out
	expect '[13]' within watchq --initial mount block:/dev/null >out
	[[ $(<err) == "watchq: watching 'block:/dev/null': "* ]]
	empty out
	expect '[13]' within watchq --initial mount block:nothing >out
	[[ $(<err) == "watchq: watching 'block:nothing': "* ]]
	empty out
}

@test "--explain says who serves each watch, and who saw what" {
	requires cause
	namespace
	make a
	watching --explain -n 1 mount
	tmpfs a
	ends 0 "$PID"
	grep -qE '^watchq: watch 0, mount: (queue|fanotify|mountinfo): .+' err
	grep -qE '^watchq: mount attach: seen by (queue|fanotify|mountinfo)$' err
}

@test "--list says how everything is served here" {
	requires jq
	local source count
	expect 0 watchq --list >out
	silent
	[[ $(head -n 1 out) == SOURCE* ]]
	for source in key.linked mount.attach mount.propagation sb.remount sb.error block.add \
		block.error; do
		grep -qE "^${source%.*} +${source#*.} +[a-z-]+ +[^ ]" out || fail "$source: $(<out)"
	done
	expect 0 watchq --list --json >json
	count=$(jq -s 'map(select((.source | type) == "string" and (.event | type) == "string" and
		has("backend") and (.why | length) > 0)) | length' json)
	[[ $count == $(wc -l <json) && $count == $(($(wc -l <out) - 1)) ]]
	expect 0 watchq --list --backend=stock >out
	lacks ' queue ' out
}

@test "what the sandbox allows is enough, and it is there" {
	requires cause no-asan
	namespace
	make a b
	watching --initial --json --explain --stats -P mount
	[[ $(of_status Seccomp "$PID") == 2 ]]
	[[ $(of_status NoNewPrivs "$PID") == 1 ]]
	[[ $(of_status CapEff "$PID") == 0000000000000000 ]]
	tmpfs a
	within "$CAUSE" remount ro "$W/a"
	within "$CAUSE" move "$W/a" "$W/b"
	within umount "$W/b"
	tmpfs a
	while next && ! jq -e '.event == "detach"' >/dev/null <<<"$LINE"; do :; done
	next
	stop
	watching --no-sandbox mount
	[[ $(of_status Seccomp "$PID") == "$(of_status Seccomp)" ]]
	stop
}
