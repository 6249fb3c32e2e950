// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * plant_leak - memory that nobody can free any more, for kmemleak to find. A check of leaks that
 * does not find this one finds none.
 */
#include <linux/module.h>
#include <linux/slab.h>

/* Not __init, because kmemleak names who has allocated by what is there when it is asked. */
static noinline int plant_leak(void)
{
	char *lost = kmalloc(64, GFP_KERNEL);

	if (!lost)
		return -ENOMEM;
	OPTIMIZER_HIDE_VAR(lost);
	return 0;
}

static int __init plant_leak_init(void)
{
	return plant_leak();
}
module_init(plant_leak_init);

static void __exit plant_leak_exit(void)
{
}
module_exit(plant_leak_exit);

MODULE_DESCRIPTION("A leak, to see that leaks are found");
MODULE_LICENSE("GPL");
