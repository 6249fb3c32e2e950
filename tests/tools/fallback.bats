# SPDX-License-Identifier: GPL-2.0-or-later
# Every fallback: a system call is made to fail, and the same bytes arrive.
load helper

CALLS=(splice tee sendfile copy_file_range)
ERRORS=(ENOSYS EPERM EINVAL)

# deny RULES COMMAND... - COMMAND under xdeny; RULES are words.
deny() {
	local rules=$1
	shift
	xdeny $rules -- "$@"
}

# xsplice_arrives RULES OPTION... - file to pipe, pipe to file, file to file, file and pipe to
# socket.
xsplice_arrives() {
	local rules=$1
	shift
	printf '%s: xsplice %s\n' "$rules" "$*"
	expect 0 deny "$rules" xsplice "$@" "$DATA" | cmp - "$DATA"
	silent
	cat "$DATA" | expect 0 deny "$rules" xsplice "$@" - out
	silent
	cmp "$DATA" out
	cat "$DATA" | expect 0 deny "$rules" xsplice "$@" | cmp - "$DATA"
	expect 0 deny "$rules" xsplice "$@" "$DATA" out
	silent
	cmp "$DATA" out
	expect 0 deny "$rules" xsplice "$@" "$DATA" >>appended
	cmp "$DATA" appended
	rm appended there
	drain out UNIX-LISTEN:there
	cat "$DATA" | expect 0 deny "$rules" xsplice "$@" - unix:there
	wait "$PID"
	silent
	cmp "$DATA" out
	drain out "$TCP"
	expect 0 deny "$rules" xsplice "$@" "$DATA" "tcp:127.0.0.1:$PORT"
	wait "$PID"
	cmp "$DATA" out
}

# xtee_arrives RULES OPTION... - to a file, a FIFO, a socket, /dev/null and a pipe at once, from
# pipe and file.
xtee_arrives() {
	local rules=$1 reader
	shift
	printf '%s: xtee %s\n' "$rules" "$*"
	rm -f fifo there
	mkfifo fifo
	cat fifo >two &
	reader=$!
	drain three UNIX-LISTEN:there
	cat "$DATA" | expect 0 deny "$rules" xtee "$@" one fifo unix:there /dev/null | cmp - "$DATA"
	silent
	wait "$reader" "$PID"
	cmp "$DATA" one
	cmp "$DATA" two
	cmp "$DATA" three
	expect 0 deny "$rules" xtee "$@" one <"$DATA" | cmp - "$DATA"
	cmp "$DATA" one
}

each_error() {
	local error via
	requires socat
	: >there
	for error in "${ERRORS[@]}"; do
		for via in auto "$1"; do
			[[ $via == tee ]] || { : >there; xsplice_arrives "$1=$error" --via=$via; }
			[[ $via != auto && $via != tee ]] || xtee_arrives "$1=$error" --via=$via
		done
	done
}

@test "splice missing, denied or refused: the same bytes arrive" {
	each_error splice
}

@test "tee missing, denied or refused: the same bytes arrive" {
	each_error tee
}

@test "sendfile missing, denied or refused: the same bytes arrive" {
	each_error sendfile
}

@test "copy_file_range missing, denied or refused: the same bytes arrive" {
	each_error copy_file_range
}

@test "combinations denied: the same bytes arrive" {
	local rules
	requires socat
	for rules in 'splice=EPERM tee=EPERM' \
		'splice=ENOSYS tee=EINVAL sendfile=EPERM copy_file_range=ENOSYS vmsplice=EPERM' \
		'fcntl:F_SETPIPE_SZ=EPERM' 'pipe2=ENOSYS' 'pipe2=ENOSYS splice=EPERM' \
		'fcntl:F_SETPIPE_SZ=EPERM fcntl:F_GETPIPE_SZ=EPERM' \
		'copy_file_range=EXDEV' 'copy_file_range=EOPNOTSUPP splice=EOPNOTSUPP'; do
		: >there
		xsplice_arrives "$rules"
		xtee_arrives "$rules"
	done
}

@test "--no-fallback turns each fallback into 3, and nothing is moved" {
	local call error
	for error in "${ERRORS[@]}"; do
		for call in splice sendfile; do
			expect 3 deny "$call=$error" xsplice --via=$call --no-fallback "$DATA" |
				cat >out
			[[ $(wc -l <err) == 1 ]]
			grep -q "^xsplice: " err
			empty out
		done
		expect 3 deny "copy_file_range=$error" \
			xsplice --via=copy_file_range --no-fallback "$DATA" out
		empty out
		expect 3 deny "splice=$error" xsplice --no-fallback < <(cat "$DATA") | cat >out
		empty out
		expect 3 deny "tee=$error" xtee --no-fallback one < <(cat "$DATA") | cat >out
		[[ $(wc -l <err) == 1 ]]
		grep -q "^xtee: " err
		empty out
	done
}

@test "--no-fallback without need changes nothing" {
	expect 0 xsplice --no-fallback "$DATA" | cmp - "$DATA"
	cat "$DATA" | expect 0 xsplice --no-fallback - out
	cmp "$DATA" out
	expect 0 xsplice --via=copy --no-fallback "$DATA" out
	cmp "$DATA" out
	cat "$DATA" | expect 0 xtee --no-fallback | cmp - "$DATA"
}

@test "--stats=json names the way taken and why" {
	requires jq
	local call error
	for error in "${ERRORS[@]}"; do
		for call in splice sendfile copy_file_range; do
			expect 0 deny "$call=$error" xsplice --via=$call --stats=json "$DATA" out
			cmp "$DATA" out
			holds '.method == "copy" and
				(.fallback | type == "string" and length > 0)' err
		done
		cat "$DATA" | expect 0 deny "tee=$error" xtee --stats=json | cmp - "$DATA"
		holds '.method == "copy" and (.fallback | type == "string" and length > 0)' err
	done
}

@test "--explain names the call given up, the way taken, and the reason" {
	local call
	for call in splice sendfile copy_file_range; do
		expect 0 deny "$call=EPERM" xsplice --via=$call --explain "$DATA" out
		cmp "$DATA" out
		grep -q "^xsplice: .*$call" err
		grep -q "^xsplice: .*copy" err
		grep -q 'Operation not permitted\|EPERM\|denied' err
	done
	cat "$DATA" | expect 0 deny tee=EPERM xtee --explain | cmp - "$DATA"
	grep -q '^xtee: .*tee.*copy\|^xtee: .*copy.*tee' err
}

@test "an end of input is an end in every fallback" {
	local call
	for call in "${CALLS[@]}"; do
		: | expect 0 deny "$call=ENOSYS" xsplice | cmp - /dev/null
		: | expect 0 deny "$call=ENOSYS" xtee | cmp - /dev/null
		expect 0 deny "$call=ENOSYS" xsplice -n 5000 "$DATA" | cmp - <(head -c 5000 "$DATA")
	done
}

@test "errors keep their side in every fallback" {
	local call
	for call in "${CALLS[@]}"; do
		expect 1 deny "$call=EPERM" xsplice "$DATA" /dev/full
		said "xsplice: writing '/dev/full': No space left on device"
		expect 1 deny "$call=EPERM" xsplice . out
		said "xsplice: reading '.': Is a directory"
		cat "$DATA" | expect 1 deny "$call=EPERM" xtee /dev/full one | cmp - "$DATA"
		said "xtee: writing '/dev/full': No space left on device"
		cmp "$DATA" one
	done
}
