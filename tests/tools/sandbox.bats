# SPDX-License-Identifier: GPL-2.0-or-later
# What a tool may still do while it moves data.
load helper

# moving TOOL OPTION... - TOOL as $PID, seen to move data from standard input to standard output.
moving() {
	rm -f in out
	mkfifo in out
	exec {in}<>in {out}<>out
	spawn "$@" <in >out
	printf hello >&"$in"
	[[ $(take 5 "$out") == hello ]]
}

@test "a filter is loaded and every capability gone while data moves" {
	local command
	for command in xsplice 'xsplice --via=copy' 'xsplice -P --stats' \
		xtee 'xtee -p one' 'xtee --via=copy one'; do
		# shellcheck disable=SC2086  # words
		moving $command
		[[ $(of_status Seccomp "$PID") == 2 ]]
		(($(of_status Seccomp_filters "$PID") > $(of_status Seccomp_filters)))
		[[ $(of_status CapEff "$PID") == 0000000000000000 ]]
		[[ $(of_status CapPrm "$PID") == 0000000000000000 ]]
		[[ $(of_status NoNewPrivs "$PID") == 1 ]]
	done
}

@test "--no-sandbox leaves all that alone" {
	local tool name
	for tool in xsplice xtee; do
		moving $tool --no-sandbox
		for name in Seccomp Seccomp_filters CapEff CapPrm NoNewPrivs; do
			[[ $(of_status $name "$PID") == "$(of_status $name)" ]] ||
				fail "$tool: $name"
		done
	done
}

@test "the COMMAND of xpipe is not sandboxed" {
	xpipe --size=64K -- cat /proc/self/status | cat >status
	local name
	for name in Seccomp Seccomp_filters CapEff CapPrm NoNewPrivs; do
		[[ $(grep "^$name:" status) == "$(grep "^$name:" "/proc/$$/status")" ]] ||
			fail "$name: $(<status)"
	done
}

@test "the COMMAND of xdeny keeps its capabilities" {
	requires root
	xdeny mkdir=EACCES -- cat /proc/self/status >status
	[[ $(grep ^CapEff: status) == "$(grep ^CapEff: "/proc/$$/status")" ]]
}

@test "what the sandbox allows is enough: every option at work in it" {
	expect 0 xsplice -P --stats --explain --sync --stable --pipe-size=64K --rate=1G "$DATA" out
	cmp "$DATA" out
	cat "$DATA" | expect 0 xtee -p -P --stats --explain --pipe-size=64K one | cmp - "$DATA"
	cmp "$DATA" one
}
