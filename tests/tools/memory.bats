# SPDX-License-Identifier: GPL-2.0-or-later
# Memory: a peak resident set under 8 MiB, whatever the data size and the number of outputs.
load helper

LIMIT=8192 # KiB

# below PID - its peak so far.
below() {
	local kib
	kib=$(peak "$1")
	((kib > 0 && kib < LIMIT)) || fail "peak resident set is $kib KiB"
}

@test "xsplice moving 256 MiB, in every way" {
	requires no-asan
	local via
	truncate -s 256M source
	for via in auto splice sendfile copy_file_range copy; do
		rm -f to
		mkfifo to
		spawn xsplice --via=$via source to
		exec {out}<to
		take 250M "$out" | tail -c 1 | cmp -n 1 - /dev/zero
		below "$PID"
		[[ $(cat <&"$out" | wc -c) == 6291456 ]]
		exec {out}<&-
		ends 0 "$PID"
	done
}

@test "xsplice with a large chunk and a large pipe" {
	requires no-asan
	local via
	for via in auto copy; do
		rm -f from
		mkfifo from
		spawn xsplice --chunk=1G --pipe-size=1M --via=$via from out
		exec {in}>from
		cat "$DATA" "$DATA" "$DATA" "$DATA" >&"$in"
		eventually arrived 8405892 out
		below "$PID"
		exec {in}>&-
		ends 0 "$PID"
		cmp <(cat "$DATA" "$DATA" "$DATA" "$DATA") out
		rm out
	done
}

# arrived SIZE FILE...
arrived() {
	local size=$1 file
	shift
	for file; do [[ $(stat -c %s "$file") == "$size" ]] || return; done
}

@test "xtee with 32 outputs, in every way" {
	requires no-asan
	local via n fds fd dests sinks sink
	for via in auto tee copy; do
		rm -f from out.*
		fds=() dests=() sinks=()
		for ((n = 0; n < 32; n++)); do
			if ((n % 2)); then
				dests+=("out.$n")
			else
				exec {fd}> >(cat >"out.$n")
				fds+=("$fd") dests+=("fd:$fd") sinks+=($!)
			fi
		done
		mkfifo from
		exec {in}<>from
		spawn xtee --via=$via --no-stdout "${dests[@]}" <from
		for fd in "${fds[@]}"; do exec {fd}>&-; done
		cat "$DATA" "$DATA" >&"$in"
		eventually arrived 4202946 out.*
		below "$PID"
		exec {in}>&-
		ends 0 "$PID"
		for sink in "${sinks[@]}"; do wait "$sink"; done
		for ((n = 0; n < 32; n++)); do cmp <(cat "$DATA" "$DATA") "out.$n"; done
	done
}
