// SPDX-License-Identifier: GPL-2.0
/*
 * A task of real-time priority that takes the CPU from one which is writing pages
 * back, and needs these pages at once. Both are on one CPU. Again and again it has
 * its pages swapped out, sleeps for a moment, in which the other task goes on with
 * its order, and reads them.
 *
 * usage: realtime FILE TIMES
 *
 * FILE is the order "writeback" of the pool in sysfs. It says for how long, at most,
 * the task had the CPU to get one page, in microseconds, and for how many pages it had
 * it so long that the other task seems to have had no part of the second. A wrong page
 * is described on stderr, and makes the status 1.
 */
#include <err.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "one_cpu.h"
#include "pattern.h"
#include "write_text.h"

#define PAGES 64
#define PRIORITY 50
/* It sleeps so many times as long as swapping out takes: for longer than writing back takes. */
#define LONGEST_SLEEP 4
#define SLOW_US 300000

static long clock_us(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static pid_t start_writing(const char *file)
{
	pid_t pid = fork();

	if (pid < 0)
		err(1, "fork");
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		if (write_text(file, "all"))
			err(1, "%s", file);
}

/* Returns for how long it had the CPU for that, in microseconds. */
static long check_page(const uint64_t *page, size_t index, uint64_t stamp)
{
	uint64_t expected[WORDS];
	long begin = clock_us(CLOCK_THREAD_CPUTIME_ID), took;

	*(const volatile uint64_t *)page;
	took = clock_us(CLOCK_THREAD_CPUTIME_ID) - begin;
	content(expected, 't', index, stamp);
	if (memcmp(page, expected, PAGE))
		errx(1, "page %zu is not what it was in round %llu", index,
		     (unsigned long long)stamp);
	return took;
}

int main(int argc, char **argv)
{
	const struct sched_param param = { .sched_priority = PRIORITY };
	uint64_t times = argc == 3 ? strtoull(argv[2], NULL, 10) : 0, state = 1, round;
	long slowest = 0, slow = 0;
	char *memory;
	pid_t pid;
	size_t i;

	if (!times)
		errx(2, "usage: realtime FILE TIMES");
	memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		      0);
	if (memory == MAP_FAILED)
		err(1, "mmap");
	stay_on_this_cpu();
	pid = start_writing(argv[1]);
	if (sched_setscheduler(0, SCHED_FIFO, &param))
		err(1, "sched_setscheduler");
	for (round = 1; round <= times; round++) {
		long begin = clock_us(CLOCK_MONOTONIC), sleep;

		for (i = 0; i < PAGES; i++)
			content((uint64_t *)(memory + i * PAGE), 't', i, round);
		if (madvise(memory, PAGES * PAGE, MADV_PAGEOUT))
			err(1, "MADV_PAGEOUT");
		sleep = LONGEST_SLEEP * (clock_us(CLOCK_MONOTONIC) - begin);
		/* A disturbance may have been much longer. */
		usleep(next(&state) % ((sleep < SLOW_US ? sleep : SLOW_US) + 1));
		for (i = 0; i < PAGES; i++) {
			long took = check_page((uint64_t *)(memory + i * PAGE), i, round);

			if (slowest < took)
				slowest = took;
			slow += took >= SLOW_US;
		}
		if (waitpid(pid, NULL, WNOHANG))
			errx(1, "what writes back has ended");
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	printf("slowest=%ld slow=%ld\n", slowest, slow);
	return 0;
}
