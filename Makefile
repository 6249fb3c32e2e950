# SPDX-License-Identifier: LGPL-2.1-or-later
# GNU make reads GNUmakefile first; whoever reads this one is another make.
all .DEFAULT:
	@echo "extpipe needs GNU make: run gmake" >&2; exit 2
