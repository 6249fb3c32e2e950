# SPDX-License-Identifier: GPL-2.0-or-later
# table.awk - the runner's tab-separated lines as a table to read.

BEGIN {
	FS = "\t"
	LINE = "%-22s %-26s %-30s %8s %8s %-9s %6s %-16s %6s %13s  %s"
}

function number(text) { return text == "-" ? "" : sprintf(text < 100 ? "%.2f" : "%.0f", text) }

function heading() {
	printf "\n## %s\n\n", $2 == "none" ? "not pinned" : "everything pinned to " $2
	printf LINE "\n", "row", "ours", "against", "ours", "theirs", "unit", "ratio",
		"(min..max)", "by CPU", "calls", "target"
	pinning = $2
}

$2 != pinning { heading() }

{
	spread = $8 > 1 ? sprintf("(%s..%s)", number($12), number($13)) : ""
	calls = $9 == "-" ? "" : $9 "/" $10
	verdict = $17 == "-" ? "" : $17 ($18 == "yes" ? ": met" : ": MISSED")
	if ($17 != "-")
		$18 == "yes" ? met++ : missed++
	line = sprintf(LINE, $1, $3, $4, number($15), number($16), $7, number($11), spread,
		number($14), calls, verdict)
	sub(/ +$/, "", line)
	print line
}

END {
	print "\nratio: the median over pairs of runs made side by side."
	print "Units a second: times as fast as theirs."
	print "us, ms, s/GiB and KiB: times what theirs costs."
	print "by CPU: the same ratio from CPU time, which other programs disturb less."
	print "calls: system calls, ours/theirs."
	printf "Targets: %d met, %d missed. They are for pinned runs.\n", met, missed
}
