# SPDX-License-Identifier: GPL-2.0-or-later
# xsplice between every two kinds of endpoint that make sense, in every way, by content.
load helper

VIAS=(auto splice sendfile copy_file_range copy)

# from_KIND: `from` becomes an endpoint (or - with $in) that yields the file $want.
# to_KIND: `to` becomes one (or - with $out) whose bytes arrive in ./got; `sink` is who brings them
# there.
from_file() { from=$want; }
from_null() { from=/dev/null; }
from_proc() { from=/proc/kallsyms; }
from_fuse() { from=fuse/source; }
from_liar() { from=fuse/liar; }
from_pipe() { exec {in}< <(cat "$want"); }
from_fifo() {
	mkfifo source
	cat "$want" >source &
	own $!
	from=source
}
from_tcp() {
	feed "$want" "$TCP"
	from=tcp:127.0.0.1:$PORT
}
from_unix() {
	feed "$want" UNIX-LISTEN:here
	from=unix:here
}
# xsplice is the one that listens: socat tries again until it does.
from_unix_listen() {
	socat -u "OPEN:$want,rdonly" UNIX-CONNECT:waiting,retry=999,interval=0.01 &
	own $!
	from=unix-listen:waiting
}

to_file() { to=got; }
to_null() { to=/dev/null; }
to_append() {
	printf before >got
	exec {out}>>got
}
to_fuse() {
	to=fuse/got
	ln -s behind/got got
}
to_pipe() {
	exec {out}> >(cat >got)
	sink=$!
}
to_fifo() {
	mkfifo drain
	cat drain >got &
	sink=$!
	to=drain
}
to_tcp() {
	drain got "$TCP"
	sink=$PID to=tcp:127.0.0.1:$PORT
}
to_unix() {
	drain got UNIX-LISTEN:there
	sink=$PID to=unix:there
}

# arrived KIND - what KIND has to hold now is in ./got.
arrived() {
	case $1 in
	null) [[ $(stat_of bytes) == "$(wc -c <"$want")" ]] ;;
	append) cat <(printf before) "$want" | cmp - got ;;
	*) cmp "$want" got ;;
	esac
}

# pair FROM TO VIA - in a directory of its own.
pair() {
	local from=- to=- in out sink='' null
	printf '%s to %s by %s\n' "$@"
	rm -rf got source drain here there waiting behind/got
	exec {null}<>/dev/null
	in=$null out=$null
	"from_$1"
	"to_$2"
	expect 0 xsplice --stats=json --via="$3" "$from" "$to" <&"$in" >&"$out"
	exec {in}<&- {out}>&-
	[[ -z $sink ]] || wait "$sink"
	arrived "$2"
}

# pairs FROM KIND... - FROM to each KIND in each way.
pairs() {
	local from=$1 to via
	requires jq socat
	shift
	for to; do
		for via in "${VIAS[@]}"; do pair "$from" "$to" "$via"; done
	done
}

EVERYWHERE=(file append pipe fifo tcp unix null)

@test "a file to every kind" {
	want=$DATA
	pairs file "${EVERYWHERE[@]}"
}

@test "a pipe to every kind" {
	want=$DATA
	pairs pipe "${EVERYWHERE[@]}"
}

@test "a FIFO to every kind" {
	want=$DATA
	pairs fifo "${EVERYWHERE[@]}"
}

@test "a TCP socket to every kind" {
	want=$DATA
	pairs tcp "${EVERYWHERE[@]}"
}

@test "a unix socket to every kind" {
	want=$DATA
	pairs unix "${EVERYWHERE[@]}"
}

@test "a listening unix socket to every kind" {
	want=$SMALL
	pairs unix_listen "${EVERYWHERE[@]}"
}

@test "/dev/null to every kind" {
	want=/dev/null
	pairs null "${EVERYWHERE[@]}"
}

@test "a /proc file, which claims to be empty, to every kind" {
	requires kallsyms
	cat /proc/kallsyms >proc
	want=proc
	VIAS=(auto copy)
	pairs proc "${EVERYWHERE[@]}"
}

@test "a FUSE file to every kind, FUSE included" {
	mount_fuse
	cp "$DATA" behind/source
	want=$DATA
	pairs fuse "${EVERYWHERE[@]}" fuse
}

@test "every kind to a FUSE file" {
	local from
	mount_fuse
	want=$DATA
	for from in file pipe fifo tcp unix; do pairs "$from" fuse; done
	want=/dev/null
	pairs null fuse
}

@test "a FUSE file that claims to be empty is read to its end" {
	mount_fuse
	cp "$DATA" behind/liar
	want=$DATA
	pairs liar "${EVERYWHERE[@]}"
}

@test "a device file, /dev/zero, is read as far as --length says" {
	local via
	head -c 1000000 /dev/zero >zeros
	for via in "${VIAS[@]}"; do
		expect 0 xsplice --via="$via" -n 1000000 /dev/zero got
		cmp zeros got
		expect 0 xsplice --via="$via" -n 1000000 /dev/zero | cmp - zeros
	done
}

@test "a /proc file takes what a file or a pipe holds" {
	local via value=100
	fifo idle
	spawn cat <&"$FD"
	for via in "${VIAS[@]}"; do
		value=$((value + 2))
		echo $value >source
		expect 0 xsplice --via="$via" source "/proc/$PID/oom_score_adj"
		[[ $(<"/proc/$PID/oom_score_adj") == "$value" ]]
		echo $((value + 1)) | expect 0 xsplice --via="$via" - "/proc/$PID/oom_score_adj"
		[[ $(<"/proc/$PID/oom_score_adj") == $((value + 1)) ]]
	done
}

@test "a block device, read and written" {
	requires loop
	local device via
	head -c 1M "$DATA" >source
	head -c 1M /dev/zero >disk
	device=$(losetup -f --show disk)
	for via in "${VIAS[@]}"; do
		dd if=/dev/zero of="$device" bs=1M count=1 status=none
		expect 0 xsplice --via="$via" source "$device"
		expect 0 xsplice --via="$via" "$device" got
		cmp source got
	done
	expect 1 xsplice "$DATA" "$device"
	losetup -d "$device"
	said "xsplice: writing '$device': No space left on device"
}

# on_terminal COMMAND - runs COMMAND on a terminal that changes no byte on its way out.
on_terminal() {
	script -qec "stty -echo -opost; echo >ready; $1" /dev/null
}

@test "a file and a pipe to a terminal" {
	requires script
	local via
	mkfifo ready
	for via in "${VIAS[@]}"; do
		read -r <ready &
		on_terminal "xsplice --via=$via '$DATA'" >got </dev/null
		cmp "$DATA" got
		read -r <ready &
		on_terminal "cat '$DATA' | xsplice --via=$via" >got </dev/null
		cmp "$DATA" got
	done
}

@test "a socket to a terminal" {
	requires script socat
	mkfifo ready
	feed "$DATA" "$TCP"
	read -r <ready &
	on_terminal "xsplice tcp:127.0.0.1:$PORT" >got </dev/null
	cmp "$DATA" got
}

# What is typed after `ready`, and the end of file that script types once its own input ends.
typed() {
	read -r <ready
	cat "$TEXT"
}

@test "a terminal to a file, a FIFO, a socket, in every way" {
	requires script socat
	local via
	mkfifo ready
	for via in "${VIAS[@]}"; do
		typed | on_terminal "xsplice --via=$via - got"
		cmp "$TEXT" got
		typed | on_terminal "xsplice --via=$via | cat >got"
		cmp "$TEXT" got
		drain got "$TCP"
		typed | on_terminal "xsplice --via=$via - tcp:127.0.0.1:$PORT"
		wait "$PID"
		cmp "$TEXT" got
	done
}

@test "a terminal to a terminal" {
	requires script
	mkfifo ready
	typed | on_terminal xsplice >got
	cmp "$TEXT" got
}
