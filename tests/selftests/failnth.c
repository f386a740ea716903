// SPDX-License-Identifier: GPL-2.0
/*
 * Do the same over and over, and let one thing in it fail: first the first allocation
 * or request, then the second, and so on until there is none left to fail
 * (Documentation/fault-injection, fail-nth). Which ones count is set in debugfs
 * before. First what this process does fails, then what the kernel's workers do, and
 * then what its urgent workers do. What is done is a list of verbs, in order:
 *
 *	fault			let one thing fail from here on, until
 *	mend			nothing fails any more
 *	mount FILE OPTIONS	mount a ghost file over itself
 *	umount|swapon|swapoff FILE
 *	write FILE TEXT		in one call, as files of sysfs want it
 *	is FILE TEXT		that is what the file says; of TEXT "lost", how many pages
 *				were lost in this round
 *	fill			write every page anew
 *	out			have the kernel swap all pages out
 *	ahead			have the kernel read all pages ahead
 *	load			read every page, and give back those that cannot be read
 *	check			compare every page with what it must hold
 *	free			give all pages back
 *	settle			wait until no worker has anything to do
 *
 * A verb that fails by a fault gives one of ERRORS. Then nothing fails any more, and
 * the same is done again: so whatever failed can be repeated, and succeeds.
 *
 * usage: failnth [-a] [-h] [-p PAGES] [-k KINDS] ERROR[,ERROR]... VERB...
 *
 * -h makes it huge pages. Where there are many things to fail most are the same, and
 * not each has its turn but with -a. It prints how many things failed: faults= in all, and
 * by which tasks; and what came of it: failed= of the verbs, lost= of the pages. Any other error,
 * and any page that does not hold what was written, makes the status 1.
 */
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/swap.h>
#include <time.h>
#include <unistd.h>

#include "one_cpu.h"
#include "pattern.h"
#include "write_text.h"

#define MAX_TASKS 256
/* With so many pages, or so many things to fail, most of these are the same. */
#define SMALL_PAGES 64
#define MANY_FAULTS 100

/* Whose doing fails. */
static enum who { SELF, WORKERS, URGENT, EVERYBODY } who;

static const char *errors;
static int faults[EVERYBODY], failed, lost;

static char *memory;
static int nr_pages = SMALL_PAGES;
static const char *kinds = "tr";
/* Of each page, 0 if it was given back. */
static uint64_t *stamps;
static uint64_t stamp;

/* Those that count now. */
static struct task {
	pid_t pid;
	int control;
} tasks[MAX_TASKS];
static int nr_tasks;
static DIR *proc;
/* In this round: which fails, how many did, for each worker has its own count, ... */
static int nth, hits;
/* ... how many pages were lost, and if a worker came that was not let fail. */
static int lost_now;
static bool missed;

/* Answers the first bytes of a file in /proc; "" if the process is gone. */
static const char *read_proc(pid_t pid, const char *name)
{
	static char text[128];
	char path[64];
	ssize_t length = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		length = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	text[length > 0 ? length : 0] = '\0';
	return text;
}

/* What CPUs come online with is a worker, too. */
static bool is_worker(pid_t pid)
{
	const char *name = read_proc(pid, "comm");

	return !strncmp(name, "kworker/", 8) || !strncmp(name, "cpuhp/", 6);
}

/* Answers one worker after the other, then 0. */
static pid_t next_worker(enum who who)
{
	struct dirent *entry;

	while ((entry = readdir(proc))) {
		pid_t pid = atoi(entry->d_name);

		if (pid <= 0 || !is_worker(pid))
			continue;
		if (who == EVERYBODY ||
		    who == (getpriority(PRIO_PROCESS, pid) < 0 ? URGENT : WORKERS))
			return pid;
	}
	rewinddir(proc);
	return 0;
}

static void put_nth(struct task *task, int value)
{
	char text[16];

	snprintf(text, sizeof(text), "%d\n", value);
	/* A worker may have ended. */
	if (pwrite(task->control, text, strlen(text), 0) < 0 && errno != ESRCH)
		err(1, "fail-nth");
}

static void arm(pid_t pid)
{
	struct task *task = &tasks[nr_tasks];
	char path[64];

	if (nr_tasks == MAX_TASKS)
		errx(1, "more than %d workers", MAX_TASKS);
	snprintf(path, sizeof(path), "/proc/%d/fail-nth", pid);
	task->pid = pid;
	task->control = open(path, O_RDWR | O_CLOEXEC);
	if (task->control < 0) {
		if (errno != ENOENT)
			err(1, "%s", path);
		return;
	}
	put_nth(task, nth);
	nr_tasks++;
}

static bool is_armed(pid_t pid)
{
	int i;

	for (i = 0; i < nr_tasks; i++)
		if (tasks[i].pid == pid)
			return true;
	return false;
}

static int do_fault(char **args)
{
	pid_t pid;

	if (who == SELF)
		arm(getpid());
	else
		while ((pid = next_worker(who)))
			arm(pid);
	return 0;
}

static int do_mend(char **args)
{
	pid_t pid;

	if (!nr_tasks)
		return 0;
	if (who != SELF)
		while ((pid = next_worker(who)))
			missed |= !is_armed(pid);
	while (nr_tasks) {
		struct task *task = &tasks[--nr_tasks];
		char text[16] = "";

		/* What is left of it: 0 if something failed. */
		if (pread(task->control, text, sizeof(text) - 1, 0) > 0)
			hits += !atoi(text);
		put_nth(task, 0);
		close(task->control);
	}
	return 0;
}

static int do_mount(char **args)
{
	return mount(args[0], args[0], "ghostswap", 0, args[1]);
}

static int do_umount(char **args)
{
	return umount2(args[0], 0);
}

static int do_swapon(char **args)
{
	return swapon(args[0], 0);
}

static int do_swapoff(char **args)
{
	return swapoff(args[0]);
}

static int do_write(char **args)
{
	return write_text(args[0], args[1]);
}

static int do_is(char **args)
{
	const char *expected = args[1];
	char text[64] = "", number[16];
	int fd = open(args[0], O_RDONLY | O_CLOEXEC);

	snprintf(number, sizeof(number), "%d", lost_now);
	if (!strcmp(expected, "lost"))
		expected = number;
	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		err(1, "%s", args[0]);
	close(fd);
	text[strcspn(text, "\n")] = '\0';
	if (strcmp(text, expected))
		errx(1, "%s is %s, not %s, after fault %d", args[0], text, expected, nth);
	return 0;
}

static char *page_at(int index)
{
	return memory + (size_t)index * PAGE;
}

static void give_back(int index, int count)
{
	if (madvise(page_at(index), (size_t)count * PAGE, MADV_DONTNEED))
		err(1, "MADV_DONTNEED");
	memset(&stamps[index], 0, count * sizeof(*stamps));
}

static int do_free(char **args)
{
	give_back(0, nr_pages);
	return 0;
}

static void content_of(int index, void *page)
{
	content(page, kinds[index % strlen(kinds)], index, stamps[index]);
}

static int do_fill(char **args)
{
	int i;

	/* Gone from swap too, so that every table has to grow again. */
	do_free(args);
	stamp++;
	for (i = 0; i < nr_pages; i++) {
		stamps[i] = stamp;
		content_of(i, page_at(i));
	}
	return 0;
}

static int do_check(char **args)
{
	uint64_t expected[WORDS];
	int i;

	for (i = 0; i < nr_pages; i++) {
		content_of(i, expected);
		if (memcmp(page_at(i), expected, PAGE))
			errx(1, "page %d is wrong after fault %d", i, nth);
	}
	return 0;
}

static int do_out(char **args)
{
	return madvise(memory, (size_t)nr_pages * PAGE, MADV_PAGEOUT);
}

static int do_ahead(char **args)
{
	return madvise(memory, (size_t)nr_pages * PAGE, MADV_WILLNEED);
}

static int do_load(char **args)
{
	int i;

	for (i = 0; i < nr_pages; i++) {
		if (!madvise(page_at(i), PAGE, MADV_POPULATE_READ))
			continue;
		/* Where it would have been SIGBUS: now, or, after swapoff(2), for good. */
		if (errno != EFAULT && errno != EHWPOISON)
			err(1, "MADV_POPULATE_READ");
		give_back(i, 1);
		lost_now++;
	}
	return 0;
}

/* If a worker runs, or waits for a disk. */
static bool is_busy(void)
{
	bool busy = false;
	pid_t pid;

	while ((pid = next_worker(EVERYBODY))) {
		const char *state = strrchr(read_proc(pid, "stat"), ')');

		busy |= state && strchr("RD", state[2]);
	}
	return busy;
}

/* One look finds what each did at another time, so it takes some. */
static int do_settle(char **args)
{
	const struct timespec pause = { .tv_nsec = 200000 };
	int looks, quiet = 0;

	for (looks = 0; quiet < 3; looks++) {
		if (looks == 10000)
			errx(1, "the workers do not come to rest");
		quiet = is_busy() ? 0 : quiet + 1;
		nanosleep(&pause, NULL);
	}
	return 0;
}

static const struct verb {
	const char *name;
	int args;
	int (*run)(char **args);
} verbs[] = {
	{ "fault", 0, do_fault },
	{ "mend", 0, do_mend },
	{ "mount", 2, do_mount },
	{ "umount", 1, do_umount },
	{ "swapon", 1, do_swapon },
	{ "swapoff", 1, do_swapoff },
	{ "write", 2, do_write },
	{ "is", 2, do_is },
	{ "fill", 0, do_fill },
	{ "out", 0, do_out },
	{ "ahead", 0, do_ahead },
	{ "load", 0, do_load },
	{ "check", 0, do_check },
	{ "free", 0, do_free },
	{ "settle", 0, do_settle },
};

static const struct verb *verb_of(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	errx(2, "no such verb: %s", name);
}

static void perform(const struct verb *verb, char **args)
{
	const char *error;

	if (!verb->run(args))
		return;
	error = strerrorname_np(errno);
	do_mend(NULL);
	if (!hits || !strstr(errors, error))
		errx(1, "%s gave %s, fault %d %s", verb->name, error, nth,
		     hits ? "went off" : "did not go off");
	failed++;
	if (verb->run(args))
		err(1, "%s, repeated after fault %d", verb->name, nth);
}

/* Answers if there is more to fail. */
static bool go_round(char **list, char **end)
{
	const struct verb *verb;

	hits = 0;
	missed = false;
	lost_now = 0;
	for (; list < end; list += 1 + verb->args) {
		verb = verb_of(*list);
		if (end - list <= verb->args)
			errx(2, "%s takes %d arguments", verb->name, verb->args);
		perform(verb, list + 1);
	}
	do_mend(NULL);
	faults[who] += hits;
	lost += lost_now;
	return hits || missed;
}

static void map(bool huge)
{
	size_t size = (size_t)nr_pages * PAGE;
	char *where = mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	stamps = calloc(nr_pages, sizeof(*stamps));
	if (where == MAP_FAILED || !stamps)
		err(1, "memory");
	memory = (char *)(((uintptr_t)where + HUGE_PAGE - 1) & -HUGE_PAGE);
	/* As in pages.c: a kernel without huge pages knows neither advice. */
	if (madvise(memory, size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) && errno != EINVAL)
		err(1, "madvise");
}

int main(int argc, char **argv)
{
	bool all = false, huge = false, many;
	int option;

	while ((option = getopt(argc, argv, "+ahp:k:")) != -1) {
		switch (option) {
		case 'a':
			all = true;
			break;
		case 'h':
			huge = true;
			nr_pages = HUGE_PAGE / PAGE;
			break;
		case 'p':
			nr_pages = atoi(optarg);
			break;
		case 'k':
			kinds = optarg;
			break;
		default:
			argc = 0;
		}
	}
	if (argc - optind < 2 || nr_pages < 1 || !*kinds || strspn(kinds, KINDS) != strlen(kinds))
		errx(2, "usage: failnth [-a] [-h] [-p PAGES] [-k KINDS] ERROR[,ERROR]... VERB...");
	errors = argv[optind++];
	proc = opendir("/proc");
	if (!proc)
		err(1, "/proc");
	/* Pages that were just written are out of reach for MADV_PAGEOUT of another CPU. */
	stay_on_this_cpu();
	map(huge);

	for (who = SELF; who < EVERYBODY; who++) {
		nth = 1;
		while (go_round(argv + optind, argv + argc)) {
			many = !all && (nr_pages > SMALL_PAGES || nth > MANY_FAULTS);
			/* The same again, if it was another worker's turn. */
			if (hits)
				nth += 1 + (many ? nth / 3 : 0);
		}
	}
	printf("faults=%d self=%d workers=%d urgent=%d failed=%d lost=%d\n",
	       faults[SELF] + faults[WORKERS] + faults[URGENT],
	       faults[SELF], faults[WORKERS], faults[URGENT], failed, lost);
	return 0;
}
