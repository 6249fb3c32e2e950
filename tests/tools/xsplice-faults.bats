# SPDX-License-Identifier: GPL-2.0-or-later
# xsplice where things go wrong: no byte is lost or repeated, and the right side is blamed.
load helper

VIAS=(auto splice sendfile copy_file_range copy)
FAR=5366607647 # beyond 4 GiB, and odd: $DATA here ends at 5 GiB

@test "non-blocking standard input and output are waited for, in every way" {
	local via
	for via in "${VIAS[@]}"; do
		{ head -c 1000 "$DATA"; sleep 0.05; tail -c +1001 "$DATA"; } |
			expect 0 "$HERE/fdset" 0:nonblock 1:nonblock -- xsplice --via="$via" |
			{ head -c 100000; sleep 0.05; cat; } >got
		cmp "$DATA" got
		silent
	done
}

@test "non-blocking sockets are waited for" {
	requires socat
	feed "$DATA" "$TCP"
	exec {from}<>"/dev/tcp/127.0.0.1/$PORT"
	drain got "$TCP"
	exec {to}<>"/dev/tcp/127.0.0.1/$PORT"
	expect 0 "$HERE/fdset" 0:nonblock 1:nonblock -- xsplice <&"$from" >&"$to"
	exec {from}<&- {to}<&-
	wait "$PID"
	cmp "$DATA" got
}

@test "a descriptor's flags are as they were afterwards" {
	local before
	fifo f
	exec {out}>f
	before=$(grep flags "/proc/$$/fdinfo/$out")
	expect 0 xsplice "$SMALL" >&"$out"
	[[ $(grep flags "/proc/$$/fdinfo/$out") == "$before" ]]
	take 20001 "$FD" | cmp - "$SMALL"
}

@test "dribbles of one byte arrive, in every way" {
	local via
	for via in "${VIAS[@]}"; do
		dd if="$SMALL" bs=1 status=none | expect 0 xsplice --via="$via" | cmp - "$SMALL"
		dd if="$SMALL" bs=1 status=none | expect 0 xsplice --via="$via" - got
		cmp "$SMALL" got
	done
}

@test "a queue of one-byte slots arrives before more is waited for" {
	fifo from
	exec {in}>from
	fifo to
	spawn xsplice from to
	for byte in a b c d; do
		printf %s $byte >&"$in"
		[[ $(take 1 "$FD") == "$byte" ]]
	done
}

@test "a reader that takes one byte at a time gets everything" {
	local via
	for via in "${VIAS[@]}"; do
		expect 0 xsplice --via="$via" "$SMALL" | dd bs=1 status=none | cmp - "$SMALL"
	done
}

@test "pipes of one page lose nothing, in every way" {
	local via
	for via in "${VIAS[@]}"; do
		"$HERE/fdset" 1:size=4096 -- cat "$DATA" |
			expect 0 "$HERE/fdset" 1:size=4096 -- xsplice --via="$via" | cmp - "$DATA"
		expect 0 "$HERE/fdset" 1:size=4096 -- xsplice --via="$via" "$DATA" | cmp - "$DATA"
	done
}

@test "pipes that cannot be enlarged lose nothing, in every way" {
	local via
	for via in "${VIAS[@]}"; do
		expect 0 xdeny fcntl:F_SETPIPE_SZ=EPERM -- xsplice --via="$via" "$DATA" got
		cmp "$DATA" got
		cat "$DATA" |
			expect 0 xdeny fcntl:F_SETPIPE_SZ=EPERM -- \
				xsplice --via="$via" --pipe-size=1M |
			cmp - "$DATA"
	done
}

@test "offsets beyond 4 GiB are read, in every way" {
	local via
	truncate -s 5G sparse
	dd if="$DATA" of=sparse bs=1M seek=$FAR oflag=seek_bytes conv=notrunc status=none
	for via in "${VIAS[@]}"; do
		expect 0 xsplice --via="$via" --in-offset=$FAR -n 2101473 sparse got
		cmp "$DATA" got
		expect 0 xsplice --via="$via" --in-offset=$FAR -n 2101473 sparse | cmp - "$DATA"
	done
}

@test "offsets beyond 4 GiB are written, in every way" {
	local via
	for via in "${VIAS[@]}"; do
		rm -f sparse
		expect 0 xsplice --via="$via" --out-offset=$FAR "$DATA" sparse
		cmp -i 0:$FAR "$DATA" sparse
		cat "$SMALL" | expect 0 xsplice --via="$via" --out-offset=$((FAR + 5)) - sparse
		cmp -n 20001 -i 0:$((FAR + 5)) "$SMALL" sparse
		[[ $(stat -c %s sparse) == $((FAR + 2101473)) ]]
	done
}

@test "a whole sparse file of 5 GiB is counted and arrives" {
	requires jq
	truncate -s 5G sparse
	dd if="$DATA" of=sparse bs=1M seek=$FAR oflag=seek_bytes conv=notrunc status=none
	expect 0 xsplice --stats=json sparse /dev/null
	[[ $(stat_of bytes) == 5368709120 ]]
	expect 0 xsplice sparse | tail -c +$((FAR + 1)) | cmp - "$DATA"
}

@test "a reader that goes away ends it quietly, as it ends cat" {
	local via
	for via in "${VIAS[@]}"; do
		expect 141 xsplice --via="$via" "$DATA" | head -c 5000 | cmp -n 5000 - "$DATA"
		silent
	done
}

@test "with SIGPIPE ignored, a reader that goes away is blamed on writing" {
	local via
	trap '' PIPE
	for via in "${VIAS[@]}"; do
		expect 1 xsplice --via="$via" "$DATA" | head -c 5000 >part
		cmp -n 5000 part "$DATA"
		said "xsplice: writing 'standard output': Broken pipe"
	done
}

@test "a connection that breaks midway is blamed on writing" {
	requires socat
	local reasons='Broken pipe|Connection reset by peer'
	DIRECTION=-u listen "$TCP" 'SYSTEM:head -c 1000 >/dev/null'
	trap '' PIPE
	expect 1 xsplice - "tcp:127.0.0.1:$PORT" < <(head -c 256M /dev/zero) >out
	empty out
	grep -qE "^xsplice: writing 'tcp:127.0.0.1:$PORT': ($reasons)$" err
}

@test "/dev/full: No space left on device, blamed on writing, in every way and from every kind" {
	local via
	for via in "${VIAS[@]}"; do
		expect 1 xsplice --via="$via" "$SMALL" /dev/full
		said "xsplice: writing '/dev/full': No space left on device"
		expect 1 xsplice --via="$via" "$SMALL" >/dev/full
		said "xsplice: writing 'standard output': No space left on device"
		expect 1 xsplice --via="$via" - /dev/full < <(cat "$SMALL")
		said "xsplice: writing '/dev/full': No space left on device"
	done
}

@test "a file system that fills up is blamed on writing, and what fitted is there" {
	requires userns
	local via
	cat >script <<-'END'
		mount -t tmpfs -o size=64k none full
		xsplice --via="$1" "$2" full/out
		status=$?
		cmp -n "$(stat -c %s full/out)" full/out "$2" && [ -s full/out ] || exit 99
		exit $status
	END
	mkdir full
	for via in "${VIAS[@]}"; do
		expect 1 unshare -rm sh script "$via" "$DATA"
		said "xsplice: writing 'full/out': No space left on device"
	done
}

@test "reading a directory is blamed on reading, and the destination is left alone" {
	local via
	mkdir directory
	for via in "${VIAS[@]}"; do
		expect 1 xsplice --via="$via" directory out
		said "xsplice: reading 'directory': Is a directory"
		expect 1 xsplice --via="$via" <directory | cat >stdout
		said "xsplice: reading 'standard input': Is a directory"
		empty stdout
	done
}

@test "writing a directory is blamed on writing" {
	mkdir directory
	expect 1 xsplice "$SMALL" directory
	said "xsplice: writing 'directory': Is a directory"
}

@test "an input error is blamed on reading, an output error on writing, in every way" {
	local via
	trap '' XFSZ
	for via in "${VIAS[@]}"; do
		# Nothing is mapped at address 0.
		expect 1 xsplice --via="$via" -n 10 /proc/self/mem out
		said "xsplice: reading '/proc/self/mem': Input/output error"
		empty out
		(
			ulimit -f 1000
			expect 1 xsplice --via="$via" "$DATA" out
		)
		said "xsplice: writing 'out': File too large"
		cmp -n "$(stat -c %s out)" out "$DATA"
		[[ -s out ]]
	done
}

# sound STATUS OUT - success delivered everything, failure said so and delivered a beginning.
sound() {
	cmp -n "$(stat -c %s "$2")" "$2" "$DATA" || return
	case $1 in
	0) cmp "$2" "$DATA" ;;
	1) [[ $(wc -l <err) == 1 ]] ;;
	*) false ;;
	esac || fail "unsound: status $1: $(<err)"
}

# Where the probes end and the data begins is the tool's business, so the failing call is moved
# along.
@test "a call that fails once, anywhere, neither loses nor repeats a byte" {
	local call n error status
	for call in splice sendfile copy_file_range; do
		for error in EIO EINVAL ENOSYS EAGAIN; do
			for n in {1..12}; do
				printf '%s@%s=%s\n' "$call" "$n" "$error"
				status=0
				xdeny "$call@$n=$error" -- \
					xsplice --via=$call --chunk=64K "$DATA" 2>err >out ||
					status=$?
				sound "$status" out
				status=0
				xdeny "$call@$n=$error" -- \
					xsplice --via=$call --chunk=64K "$DATA" 2>err |
					cat >out || status=$?
				sound "$status" out
				status=0
				xdeny "$call@$n=$error" -- \
					xsplice --via=$call --chunk=64K - out \
					< <(cat "$DATA") 2>err || status=$?
				sound "$status" out
			done
		done
	done
}

@test "EIO in the middle is the end of it, and is reported" {
	local call
	for call in splice sendfile copy_file_range; do
		expect 1 xdeny "$call@9=EIO" -- xsplice --via=$call --chunk=64K "$DATA" out
		grep -qE "^xsplice: (reading '$DATA'|writing 'out'): Input/output error$" err
		[[ -s out ]]
		cmp -n "$(stat -c %s out)" out "$DATA"
	done
}

@test "an interrupted call continues" {
	local call n
	for call in splice sendfile copy_file_range; do
		for n in {1..9}; do
			expect 0 xdeny "$call@$n=EINTR" -- \
				xsplice --via=$call --chunk=64K "$DATA" out
			cmp "$DATA" out
		done
	done
	expect 0 xdeny write@1=EINTR -- xsplice --via=copy "$DATA" | cmp - "$DATA"
}

@test "a file that grows is read to the end seen" {
	local via
	for via in "${VIAS[@]}"; do
		cat "$DATA" "$DATA" >growing
		mkfifo slow
		spawn xsplice --via="$via" growing slow
		exec {in}<slow
		take 10 "$in" >got
		cat "$SMALL" >>growing
		cat <&"$in" >>got
		exec {in}<&-
		ends 0 "$PID"
		cmp growing got
		rm slow
	done
}

@test "a file that shrinks ends it without harm" {
	local via
	for via in "${VIAS[@]}"; do
		cat "$DATA" "$DATA" >shrinking
		mkfifo slow
		spawn xsplice --via="$via" shrinking slow
		exec {in}<slow
		take 10 "$in" >got
		truncate -s 3000000 shrinking
		cat <&"$in" >>got
		exec {in}<&-
		ends 0 "$PID"
		(($(stat -c %s got) >= 3000000))
		cmp -n 3000000 got shrinking
		rm slow
	done
}

# moving OPTION... - xsplice as $PID between $in and $out, whose first bytes have come through.
moving() {
	rm -f from to
	mkfifo from to
	exec {in}<>from {out}<>to
	spawn xsplice "$@" from to 2>err
	printf hello >&"$in"
	[[ $(take 5 "$out") == hello ]]
}

@test "SIGINT and SIGTERM stop cleanly, deliver what was taken, and print --stats" {
	requires jq
	local row via
	for via in auto copy; do
		for row in INT:130 TERM:143; do
			moving --via=$via --stats=json
			signal "${row%:*}" "$PID"
			ends "${row#*:}" "$PID"
			[[ $(stat_of bytes) == 5 ]]
		done
	done
}

@test "SIGINT while the output is blocked stops it too" {
	requires jq
	fifo f
	"$HERE/fdset" 1:full -- true >&"$FD"
	spawn xsplice --stats=json "$DATA" f 2>err
	eventually at_rest "$PID"
	signal INT "$PID"
	ends 130 "$PID"
	[[ $(stat_of bytes) == 0 ]]
}

@test "SIGUSR1 prints one progress line and it goes on" {
	local line
	mkfifo from to messages
	exec {in}<>from {out}<>to {messages}<>messages
	spawn xsplice from to 2>&"$messages"
	printf hello >&"$in"
	[[ $(take 5 "$out") == hello ]]
	signal USR1 "$PID"
	read -r -t 30 line <&"$messages"
	[[ $line == *5* ]]
	printf again >&"$in"
	[[ $(take 5 "$out") == again ]]
	signal TERM "$PID"
	ends 143 "$PID"
	echo end >&"$messages"
	read -r -t 30 line <&"$messages"
	[[ $line == end ]]
}

@test "a stop and a continue lose nothing" {
	local via
	for via in "${VIAS[@]}"; do
		rm -f slow
		mkfifo slow
		spawn xsplice --via="$via" "$DATA" slow
		exec {in}<slow
		take 10 "$in" >got
		signal STOP "$PID"
		signal CONT "$PID"
		signal USR1 "$PID"
		cat <&"$in" >>got
		exec {in}<&-
		ends 0 "$PID"
		cmp "$DATA" got
	done
}
