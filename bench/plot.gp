# SPDX-License-Identifier: GPL-2.0-or-later
# plot.gp - pinned speeds: ours as a share of the bare loop's, and as a multiple of other tools'.
# usage: gnuplot -e "work='DIR'; pinning='CPU 1'" bench/plot.gp > FILE.svg

set terminal svg size 1100, 900 dynamic background rgb "white" font "sans-serif,12"
set datafile separator "\t"
set style fill solid 0.6
set boxwidth 0.7
set grid ytics
set xtics rotate by -35 noenhanced scale 0
set bmargin 11
set rmargin 16
unset key
rows(class) = sprintf("< awk -F '\\t' '$2 == \"%s\" && $5 == \"%s\"' %s/speed.tsv", \
	pinning, class, work)
name(row, against) = row.": ".against

set multiplot layout 2, 1
set title sprintf("Speed as a share of the bare loop's (%s; median, minimum, maximum)", \
	pinning eq "none" ? "not pinned" : "pinned to ".pinning)
set yrange [0:*]
plot rows("limit") using 0:11:xtic(name(stringcolumn(1), stringcolumn(4))) with boxes \
		linecolor rgb "#3465a4", \
	"" using 0:11:12:13 with yerrorbars linecolor rgb "black" pointtype 0, \
	1 linecolor rgb "#cc0000" dashtype 2

set title "Times as fast as other tools (logarithmic)"
set logscale y
set yrange [0.5:*]
plot rows("peer") using 0:11:xtic(name(stringcolumn(1), stringcolumn(4))) with boxes \
		linecolor rgb "#4e9a06", \
	"" using 0:11:12:13 with yerrorbars linecolor rgb "black" pointtype 0, \
	1 linecolor rgb "#cc0000" dashtype 2
unset multiplot
