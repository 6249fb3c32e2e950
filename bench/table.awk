# SPDX-License-Identifier: GPL-2.0-or-later
# table.awk - the runner's tab-separated lines as a table to read.

BEGIN {
	FS = "\t"
	LINE = "%-28s %-27s %-31s %9s %9s %-9s %7s %-17s %13s  %s"
}

function number(text) { return text == "-" ? "-" : sprintf(text < 100 ? "%.2f" : "%.0f", text) }

function heading() {
	printf "\n## %s\n\n", $2 == "none" ? "not pinned" : "everything pinned to " $2
	printf LINE "\n", "row", "ours", "against", "ours", "theirs", "unit", "ratio",
		" (min..max)", "calls", "target"
	pinning = $2
}

$2 != pinning { heading() }

{
	spread = $8 > 1 ? sprintf(" (%s..%s)", number($12), number($13)) : ""
	calls = $9 == "-" ? "" : $9 "/" $10
	verdict = $16 == "-" ? "" : $16 ($17 == "yes" ? ": met" : ": MISSED")
	if ($16 != "-")
		$17 == "yes" ? met++ : missed++
	line = sprintf(LINE, $1, $3, $4, number($14), number($15), $7,
		$11 == "-" ? "" : number($11), spread, calls, verdict)
	sub(/ +$/, "", line)
	print line
}

END {
	print "\nratio: the median over pairs of runs made side by side."
	print "GiB/s: times as fast as theirs; us, ms and KiB: times what theirs costs."
	print "calls: system calls, ours/theirs."
	printf "Targets: %d met, %d missed. They are for pinned runs.\n", met, missed
}
