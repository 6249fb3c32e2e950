# SPDX-License-Identifier: GPL-2.0-or-later
# table.awk - the runner's tab-separated lines as a table to read.

BEGIN { FS = "\t" }

function number(text) { return text == "-" ? "-" : sprintf(text < 100 ? "%.2f" : "%.0f", text) }

function heading() {
	printf "\n## %s\n\n", $2 == "none" ? "not pinned" : "everything pinned to " $2
	printf "%-28s %-24s %-31s %9s %9s %-9s %7s %-17s %13s  %s\n", "row", "ours", "against", "ours",
		"theirs", "unit", "ratio", " (min..max)", "calls", "target"
	pinning = $2
}

$2 != pinning { heading() }

{
	spread = $8 > 1 ? sprintf(" (%s..%s)", number($12), number($13)) : ""
	calls = $9 == "-" ? "" : $9 "/" $10
	verdict = $16 == "-" ? "" : $16 ($17 == "yes" ? ": met" : ": MISSED")
	if ($16 != "-")
		$17 == "yes" ? met++ : missed++
	line = sprintf("%-28s %-24s %-31s %9s %9s %-9s %7s %-17s %13s  %s", $1, $3, $4, number($14),
		number($15), $7, $11 == "-" ? "" : number($11), spread, calls, verdict)
	sub(/ +$/, "", line)
	print line
}

END {
	print "\nratio: the median over pairs of runs made side by side. GiB/s: times as fast as theirs;"
	print "us, ms and KiB: times what theirs costs. calls: system calls, ours/theirs."
	printf "Targets: %d met, %d missed. They are for pinned runs.\n", met, missed
}
