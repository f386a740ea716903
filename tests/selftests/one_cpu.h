/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ONE_CPU_H
#define ONE_CPU_H

#include <err.h>
#include <sched.h>

static inline void stay_on_this_cpu(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		err(1, "sched_setaffinity");
}

#endif
