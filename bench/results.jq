# SPDX-License-Identifier: GPL-2.0-or-later
# results.jq - the runner's tab-separated lines as one JSON object.

def figure: if . == "-" then null else tonumber end;

def row:
  split("\t")
  | {
      row: .[0],
      pinning: .[1],
      ours: .[2],
      against: .[3],
      class: .[4],
      measure: .[5],
      unit: .[6],
      pairs: (.[7] | figure),
      calls: { ours: (.[8] | figure), theirs: (.[9] | figure) },
      ratio: { median: (.[10] | figure), min: (.[11] | figure), max: (.[12] | figure) },
      cpu_ratio: { median: (.[13] | figure) },
      median: { ours: (.[14] | figure), theirs: (.[15] | figure) },
      target: (if .[16] == "-" then null else .[16] end),
      met: (if .[17] == "-" then null else .[17] == "yes" end)
    };

{
  time: $when,
  machine: (
    $machine | split("\n") | map(select(. != "") | split(": ")
    | { key: .[0], value: (.[1:] | join(": ")) }) | from_entries
  ),
  bytes_per_run: $bytes,
  starts_per_sample: $starts,
  rows: [inputs | row]
}
