# SPDX-License-Identifier: GPL-2.0-or-later
# Idle means idle: a tool that waits uses no measurable processor time.
load helper

declare -gA WAITING=()

# waits NAME COMMAND... - one more that waits.
waits() {
	local name=$1
	shift
	spawn "$@" 2>/dev/null
	WAITING[$name]=$PID
}

# nothing_used - each of them uses less than two clock ticks in a second. A machine that is itself
# kept waiting charges that to whoever runs, which only adds: one of five seconds must be as it is.
nothing_used() {
	local name pid used second failed
	local -A before=() left=()
	for name in "${!WAITING[@]}"; do
		eventually at_rest "${WAITING[$name]}"
		left[$name]=${WAITING[$name]}
	done
	for second in {1..5}; do
		failed=()
		for name in "${!left[@]}"; do before[$name]=$(ticks "${left[$name]}"); done
		sleep 1 # what is measured, not waited for
		for name in "${!left[@]}"; do
			pid=${left[$name]}
			kill -0 "$pid" || fail "$name does not wait at all"
			used=$(($(ticks "$pid") - ${before[$name]}))
			if ((used < 2)); then
				unset "left[$name]"
			else
				failed+=("$name: $used ticks")
			fi
		done
		((${#failed[@]} > 0)) || return 0
	done
	fail "${failed[@]}"
}

# idle NAME: a FIFO that stays empty. stuffed NAME: one that stays full. Neither ever ends.
idle() {
	fifo "$1"
}
stuffed() {
	fifo "$1"
	"$HERE/fdset" 1:full -- true >&"$FD"
}

@test "xsplice waiting for input" {
	local via
	idle in
	for via in auto splice sendfile copy_file_range copy; do
		waits "$via, pipe" xsplice --via=$via <in
		waits "$via, named FIFO" xsplice --via=$via in out.$via
		waits "$via, non-blocking" "$HERE/fdset" 0:nonblock -- xsplice --via=$via <in
	done
	waits 'with a meter' xsplice -P <in
	nothing_used
}

@test "xsplice waiting for output" {
	local via
	stuffed out
	for via in auto splice sendfile copy_file_range copy; do
		waits "$via, file" xsplice --via=$via "$DATA" out
		waits "$via, pipe" xsplice --via=$via < <(cat "$DATA") >out
		waits "$via, non-blocking" "$HERE/fdset" 1:nonblock -- \
			xsplice --via=$via "$DATA" >out
		waits "$via, both non-blocking" "$HERE/fdset" 0:nonblock 1:nonblock -- \
			xsplice --via=$via < <(cat "$DATA") >out
	done
	nothing_used
}

@test "xsplice waiting for a connection, on a socket, and for its rate" {
	requires socat
	waits 'TCP connection' xsplice tcp-listen:0 out
	waits 'unix connection' xsplice unix-listen:here out
	idle in
	DIRECTION=-U listen "$TCP" PIPE:in
	waits 'TCP input' xsplice "tcp:127.0.0.1:$PORT" out
	waits rate xsplice --rate=1 --chunk=1 "$DATA" /dev/null
	nothing_used
}

@test "xtee waiting for input" {
	local via
	idle in
	idle out
	for via in auto tee copy; do
		waits "$via, pipe" xtee --via=$via one.$via <in >/dev/null
		waits "$via, watching outputs" xtee -p --via=$via two.$via <in >out
		waits "$via, non-blocking" "$HERE/fdset" 0:nonblock 1:nonblock -- \
			xtee -p --via=$via three.$via <in >out
	done
	waits 'with a meter' xtee -P <in >/dev/null
	nothing_used
}

@test "xtee waiting for one output while the others have room" {
	local via
	stuffed out
	for via in auto tee copy; do
		waits "$via, pipe" xtee --via=$via out one.$via < <(cat "$DATA") >/dev/null
		waits "$via, watching" xtee -p --via=$via out two.$via < <(cat "$DATA") >/dev/null
		waits "$via, file" xtee --via=$via one.$via <"$DATA" >out
		waits "$via, non-blocking" "$HERE/fdset" 1:nonblock -- \
			xtee --via=$via one.$via < <(cat "$DATA") >out
	done
	nothing_used
}

@test "xdeny waiting for its COMMAND" {
	idle in
	waits plain xdeny mkdir=EPERM -- xsplice <in
	waits counted xdeny mkdir@9=EPERM -- xsplice <in
	nothing_used
}

@test "xpipe's COMMAND takes its place" {
	idle in
	idle out
	waits xpipe xpipe --size=64K -- xsplice <in >out
	nothing_used
}
