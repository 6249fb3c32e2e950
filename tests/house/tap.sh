# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# tests/house/tap.sh - TAP for the checks in tests/abi and tests/docs.
#
# Sourced from a script that runs in the project's top directory. Sets $build, $scratch (a
# private directory, removed at the end) and $tools; the script ends with tap_end.

cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 99
# shellcheck disable=SC2034 # for the script that sources this
build=${BUILD:-build}
# shellcheck disable=SC2034
tools=$(sed -n 's|^TOOLS *:= *||p' GNUmakefile)
tap_count=0
tap_failed=0
scratch=$(mktemp -d) || exit 99
trap 'rm -rf "$scratch"' EXIT

tap_line() # "ok" or "not ok", NAME
{
	tap_count=$((tap_count + 1))
	echo "$1 $tap_count - $2"
}

# Says what a failure is about, on lines of its own.
tap_note() { sed 's/^/# /'; }

# A command that must succeed; what it prints is shown where it doesn't.
check() # NAME COMMAND...
{
	local name=$1
	shift
	if "$@" >"$scratch/output" 2>&1 </dev/null; then
		tap_line ok "$name"
	else
		tap_line 'not ok' "$name"
		tap_failed=$((tap_failed + 1))
		tap_note <"$scratch/output"
	fi
}

# What a command is found to give; if it is another, what it had said to $scratch/said is shown.
is() # NAME GOT EXPECTED
{
	check "$1" test "$2" = "$3"
	[[ $2 == "$3" ]] || tap_note <"$scratch/said"
}

# Two lists, one item a line, that must agree; order and repeats don't matter.
same() # NAME LABEL LIST LABEL LIST
{
	local left=$3 right=$5

	check "$1" differ_in_nothing "only in $2" "$left" "only in $4" "$right"
}

differ_in_nothing()
{
	comm -23 <(sort -u <<<"$2") <(sort -u <<<"$4") | sed "s|^|$1: |"
	comm -13 <(sort -u <<<"$2") <(sort -u <<<"$4") | sed "s|^|$3: |"
	[[ -n $2 && $(sort -u <<<"$2") == "$(sort -u <<<"$4")" ]]
}

# A command that must print nothing.
silent() # NAME COMMAND...
{
	local name=$1
	shift
	check "$name" prints_nothing "$@"
}

prints_nothing()
{
	local output status=0
	output=$("$@" 2>&1) || status=$?
	[[ -z $output ]] || printf '%s\n' "$output"
	[[ $status -eq 0 && -z $output ]]
}

skip() # NAME WHY
{
	tap_line ok "$1 # SKIP $2"
}

tap_end()
{
	echo "1..$tap_count"
	[[ $tap_failed -eq 0 ]]
}

# ------------------------------------------------------------------------------ the API

# What the map exports.
map_names()
{
	awk '/global:/ { on = 1; next } /local:/ { on = 0 } on { gsub(/[ \t;]/, ""); print }' \
		src/lib/extpipe.map | grep .
}

# What the header declares.
header_names()
{
	perl -0ne 'print "$1\n" while /^XP_API\s[^;]*?\b(xp_\w+)\(/mg' include/extpipe.h
}
