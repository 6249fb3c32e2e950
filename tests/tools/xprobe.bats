# SPDX-License-Identifier: GPL-2.0-or-later
# xprobe: what this kernel does.
load helper

@test "prints a table with a line for every feature" {
	requires jq
	local name
	expect 0 xprobe >table
	silent
	xprobe --json | jq -r '.[].feature' >names
	(($(wc -l <names) >= 16))
	while read -r name; do
		grep -qE "^ *$name +(native|emulated|absent)" table || fail "no line for $name"
	done <names
}

@test "--json is an array of feature, support, errno, why" {
	requires jq
	expect 0 xprobe --json >json
	holds 'type == "array" and length >= 16 and
		all(.[]; has("feature") and has("errno") and has("why") and
			(.support | IN("native", "emulated", "absent"))) and
		(map(.feature) | unique | length) == length' json
	holds 'map(.feature) | contains(["splice", "tee", "vmsplice", "packet-pipe"])' json
}

@test "this machine's plain calls are native" {
	expect 0 xprobe --native splice tee
	grep -q '^ *splice .*native' <(xprobe splice)
}

@test "FEATURE prints that one only" {
	requires jq
	expect 0 xprobe splice tee >table
	grep -q 'splice' table
	lacks packet table
	[[ $(xprobe --json tee splice | jq -c 'map(.feature) | sort') == '["splice","tee"]' ]]
}

@test "an unknown FEATURE is a usage error" {
	expect 2 xprobe warp-drive >stdout
	complained xprobe
	empty stdout
	expect 2 xprobe splice warp-drive >stdout
	complained xprobe
}

@test "status: 0 if usable, 3 if not; --native: 0 if native, 3 if not" {
	requires jq
	local name support usable native seen=0
	while read -r name support; do
		case $support in
		native) usable=0 native=0 ;;
		emulated) usable=0 native=3 ;;
		absent) usable=3 native=3 ;;
		esac
		expect $usable xprobe "$name" >/dev/null
		expect $native xprobe --native "$name" >/dev/null
		seen=$((seen + 1))
	done < <(xprobe --json | jq -r '.[] | "\(.feature) \(.support)"')
	((seen >= 16))
}

@test "one unusable FEATURE among usable ones makes it 3" {
	expect 3 xdeny tee=ENOSYS -- xprobe splice tee >table
	grep -q '^ *tee .*absent' table
}

@test "-q prints nothing, and the status says it" {
	expect 0 xprobe -q splice >out
	empty out
	silent
	expect 3 xdeny tee=ENOSYS -- xprobe -q tee >out
	empty out
	silent
}

@test "a denied call is told from a missing one" {
	requires jq
	local error
	for error in EPERM ENOSYS; do
		xdeny tee=$error -- xprobe --json tee >json || (($? == 3))
		holds '.[0].support == "absent" and (.[0].errno | tostring |
			. == $error or . == {EPERM: "1", ENOSYS: "38"}[$error])' \
			json --arg error $error
	done
}

@test "a missing call with a fallback is emulated" {
	local call feature
	for call in splice vmsplice sendfile copy_file_range; do
		feature=${call//_/-}
		expect 0 xdeny $call=ENOSYS -- xprobe $feature >table
		grep -q "^ *$feature .*emulated" table
		expect 3 xdeny $call=ENOSYS -- xprobe --native $feature >/dev/null
	done
}

@test "packet pipes are emulated where pipe2 refuses O_DIRECT" {
	expect 0 xdeny pipe2:O_DIRECT=EINVAL -- xprobe packet-pipe >table
	grep -q '^ *packet-pipe .*emulated' table
}

@test "the largest pipe is the limit that the kernel names" {
	requires jq
	expect 0 bound xprobe pipe-size >table
	grep -q "$(</proc/sys/fs/pipe-max-size)" table
}

@test "it works with every call denied at once, and without standard input" {
	expect 0 xdeny splice=EPERM tee=EPERM vmsplice=EPERM sendfile=EPERM copy_file_range=EPERM \
		fcntl:F_SETPIPE_SZ=EPERM -- xprobe <&- >table
	(($(wc -l <table) >= 16))
	lacks '^ *(splice|tee|vmsplice|sendfile|copy-file-range) .*native' table
}
