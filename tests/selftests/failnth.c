// SPDX-License-Identifier: GPL-2.0
/*
 * Let the first allocation of an operation fail, then the second, and so on
 * until it has no more of them (Documentation/fault-injection, fail-nth). Which
 * allocations count is set in debugfs before.
 *
 *	failnth mount SOURCE TARGET [OPTIONS]
 *	failnth swapon FILE
 *	failnth store|load|huge
 *	failnth tell FILE TEXT [FILE TEXT]...
 *
 * where tell writes the first TEXT to its file, and undoes that by writing the
 * others to theirs. It says how many allocations failed and what came of it:
 * faults= in all, failed= of the operations, with ENOMEM each. Any other error,
 * and any page that does not hold what was written, makes the status 1.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/swap.h>
#include <unistd.h>

#include "pattern.h"

#define SMALL_PAGES 64

static char **args;
static int faults, failed, control;

static int no_pages, nr_pages;
static char *memory;
static uint64_t stamp;

/* Answers what is left of the last one: 0 if the allocation failed. */
static int arm(int nth)
{
	char text[16] = "";
	int left;

	if (pread(control, text, sizeof(text) - 1, 0) < 0)
		err(1, "fail-nth");
	left = atoi(text);
	snprintf(text, sizeof(text), "%d\n", nth);
	if (pwrite(control, text, strlen(text), 0) < 0)
		err(1, "fail-nth");
	return left;
}

static char kind_of(int index)
{
	return "tr"[index % 2];
}

static void fill(void)
{
	int i;

	/* Gone from swap too, so that every table has to grow again. */
	if (madvise(memory, nr_pages * PAGE, MADV_DONTNEED))
		err(1, "MADV_DONTNEED");
	stamp++;
	for (i = 0; i < nr_pages; i++)
		content((uint64_t *)(memory + i * PAGE), kind_of(i), i, stamp);
}

static void check(void)
{
	uint64_t expected[WORDS];
	int i;

	for (i = 0; i < nr_pages; i++) {
		content(expected, kind_of(i), i, stamp);
		if (memcmp(memory + i * PAGE, expected, PAGE))
			errx(1, "page %d is wrong", i);
	}
}

static int page_out(void)
{
	return madvise(memory, nr_pages * PAGE, MADV_PAGEOUT);
}

static int touch_all(void)
{
	int i, sum = 0;

	for (i = 0; i < nr_pages; i++)
		sum += __atomic_load_n(memory + i * PAGE, __ATOMIC_RELAXED);
	return sum & 0;
}

static void out_of_the_way(void)
{
	fill();
	if (page_out())
		err(1, "MADV_PAGEOUT");
}

static int do_mount(void)
{
	return mount(args[0], args[1], "ghostswap", 0, args[2] ? args[2] : "");
}

static void undo_mount(void)
{
	if (umount2(args[1], 0))
		err(1, "umount");
}

static int do_swapon(void)
{
	return swapon(args[0], 0);
}

static void undo_swapon(void)
{
	if (swapoff(args[0]))
		err(1, "swapoff");
}

static int write_text(const char *file, const char *text)
{
	int fd, ret, error;

	fd = open(file, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		err(1, "%s", file);
	ret = write(fd, text, strlen(text));
	error = errno;
	close(fd);
	errno = error;
	return ret < 0 ? ret : 0;
}

static int do_tell(void)
{
	return write_text(args[0], args[1]);
}

static void undo_tell(void)
{
	char **other;

	for (other = args + 2; other[0] && other[1]; other += 2)
		if (write_text(other[0], other[1]))
			err(1, "%s", other[0]);
}

static const struct operation {
	const char *name;
	int *pages;
	void (*prepare)(void);
	int (*run)(void);
	void (*undo)(void);
} operations[] = {
	{ "mount", &no_pages, NULL, do_mount, undo_mount },
	{ "swapon", &no_pages, NULL, do_swapon, undo_swapon },
	{ "store", &nr_pages, fill, page_out, check },
	{ "huge", &nr_pages, fill, page_out, check },
	{ "load", &nr_pages, out_of_the_way, touch_all, check },
	{ "tell", &no_pages, NULL, do_tell, undo_tell },
};

static void fail_each(const struct operation *operation)
{
	int error, left, nth, ret;

	/* Where there are many, most are the same. */
	for (nth = 1;; nth += 1 + (nr_pages > SMALL_PAGES || nth > 160 ? nth / 3 : 0)) {
		if (operation->prepare)
			operation->prepare();
		arm(nth);
		ret = operation->run();
		error = errno;
		left = arm(0);

		faults += !left;
		failed += ret != 0;
		if (ret && (error != ENOMEM || left))
			errx(1, "%s gave %s when allocation %d failed, %d left",
			     operation->name, strerrorname_np(error), nth, left);
		if (!ret)
			operation->undo();
		if (left)
			return;
	}
}

static void map(int huge)
{
	char *where = mmap(NULL, 2 * HUGE_PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (where == MAP_FAILED)
		err(1, "mmap");
	memory = (char *)(((uintptr_t)where + HUGE_PAGE - 1) & -HUGE_PAGE);
	if (madvise(memory, HUGE_PAGE, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE))
		err(1, "madvise");
	nr_pages = huge ? HUGE_PAGE / PAGE : SMALL_PAGES;
}

int main(int argc, char **argv)
{
	const struct operation *operation = operations;
	const struct operation *end = operation + sizeof(operations) / sizeof(*operations);

	args = argv + 2;
	while (argc > 1 && operation < end && strcmp(operation->name, argv[1]))
		operation++;
	if (argc < 2 || operation == end)
		errx(2, "usage: failnth mount|swapon|store|huge|load|tell [ARGUMENT]...");

	control = open("/proc/self/fail-nth", O_RDWR);
	if (control < 0)
		err(1, "fail-nth");
	if (operation->pages == &nr_pages)
		map(!strcmp(operation->name, "huge"));

	fail_each(operation);
	printf("faults=%d failed=%d\n", faults, failed);
	return 0;
}
