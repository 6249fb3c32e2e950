/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "program.h"

int stage_open(void)
{
	return 0;
}

int copy_once(void)
{
	return 0;
}

int main(void)
{
	return use_library();
}
