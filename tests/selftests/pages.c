// SPDX-License-Identifier: GPL-2.0
/*
 * Memory whose every page knows what it must hold: where it is, what wrote it
 * and when. A program is a list of verbs, done in order:
 *
 *	fill		write every page anew
 *	rewrite:K	write every K-th page anew
 *	check		compare every page with what it must hold
 *	out[:PERCENT]	have the kernel swap all pages out, again for at most a minute if
 *			less than so many are; says how many of which kind are out then
 *	ahead[:K]	have the kernel read all pages ahead, many at once; with K, every K-th
 *			page, and then those beside, so that none is next to the last
 *	probe		read every page, in no order; says how long the slowest took, in
 *			microseconds
 *	lost		read every page; says how many cannot be read (SIGBUS), and
 *			gives those back
 *	lock		have all pages stay in memory from now on
 *	free		give all pages back; they read as zeros from then on
 *	keep:K		give all but every K-th page back
 *	fork:N		N children and the parent all do what follows
 *	churn[:N]	visit N random pages, or until SIGTERM, and say how many from
 *			time to time: check, and rewrite half. Where no group of -g
 *			makes the kernel swap, swap all out from time to time, too
 *	wild		from now on churn also has the kernel swap out, forget, free, split
 *			and merge runs of pages, and forks children that visit some
 *	frail		from now on a page that cannot be read does not end the process:
 *			it is given back, and the end says how many were
 *	huge		says how much of it is in huge pages
 *	beside		from now on, and while nothing is written, a thread changes what is
 *			mapped, over and over; the end says how many milliseconds the slowest
 *			change took
 *	hold		print "holding" and wait for a line on stdin; children wait
 *			for their parent
 *
 * usage: pages [-g CGROUP] [-m anon|huge|shmem|memfd] [-s MIB] [-k KINDS] [-i SEED] VERB...
 *
 * A wrong page is described on stderr, and makes the status 1.
 */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "pattern.h"

#define MAX_CHILDREN 16

static char *memory;
static size_t pages;
static const char *kinds = "tttrs";
static size_t nr_kinds;
static bool shared;
static bool in_cgroup;
static bool wild;

/*
 * Which process wrote a page, and in which generation; 0: none since it was freed. The kernel
 * may free one that is LAZY at any time, until it is written again.
 */
#define LAZY 0x8000000000000000ULL

static uint64_t *stamps;
static uint32_t generation;
static uint32_t seed = 1;

static pid_t children[MAX_CHILDREN];
static int nr_children;
static bool is_child;
static int stop;

static pthread_t mapper;
static bool has_mapper;
static int stop_mapping;
static long slowest_change;

static sigjmp_buf unreadable;
static size_t lost;

static void on_bus(int signal)
{
	siglongjmp(unreadable, signal);
}

static void on_term(int signal)
{
	int i;

	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (i = 0; i < nr_children; i++)
		kill(children[i], signal);
}

static uint64_t *page_at(size_t index)
{
	return (uint64_t *)(memory + index * PAGE);
}

/* Kinds differ from page to page, so that neighbours never compress alike. */
static char kind_of(size_t index)
{
	return kinds[index % nr_kinds];
}

static void give_back(size_t index, size_t count)
{
	if (madvise(page_at(index), count * PAGE,
		    shared ? MADV_REMOVE : MADV_DONTNEED))
		err(1, "giving pages back");
	memset(&stamps[index], 0, count * sizeof(*stamps));
}

static void write_page(size_t index)
{
	/* It is read first, and then there is another one. */
	if (sigsetjmp(unreadable, 0)) {
		give_back(index, 1);
		lost++;
	}
	stamps[index] = (uint64_t)seed << 32 | generation;
	content(page_at(index), kind_of(index), index, stamps[index]);
}

/* A function of its own: it has no variables that the jump could set back. */
static bool read_page(size_t index, uint64_t *copy)
{
	if (sigsetjmp(unreadable, 0))
		return false;
	memcpy(copy, page_at(index), PAGE);
	return true;
}

static bool is_zero(const uint64_t *page)
{
	return !page[0] && !memcmp(page, page + 1, PAGE - sizeof(*page));
}

static void check_page(size_t index)
{
	uint64_t expected[WORDS], found[WORDS];
	size_t i;

	if (!read_page(index, found)) {
		give_back(index, 1);
		lost++;
		return;
	}
	if (stamps[index] & LAZY && is_zero(found))
		stamps[index] = 0;
	content(expected, kind_of(index), index, stamps[index] & ~LAZY);
	for (i = 0; i < WORDS; i++) {
		if (found[i] == expected[i])
			continue;
		errx(1, "page %zu (%c, stamp %llx): %llx, not %llx, at word %zu; begins %llx %llx",
		     index, kind_of(index), (unsigned long long)stamps[index],
		     (unsigned long long)found[i], (unsigned long long)expected[i], i,
		     (unsigned long long)found[0], (unsigned long long)found[1]);
	}
}

static void fill(size_t step)
{
	size_t i;

	generation++;
	for (i = 0; i < pages; i += step)
		write_page(i);
}

static void check(void)
{
	size_t i;

	for (i = 0; i < pages; i++)
		check_page(i);
}

/*
 * Pages just written wait in a list of the CPU where that was, out of reach for
 * all others, and each call empties only the list of its own.
 */
static void page_out_from_all_cpus(void)
{
	cpu_set_t all, one;
	int cpu;

	if (sched_getaffinity(0, sizeof(all), &all))
		err(1, "sched_getaffinity");
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		/* It may have gone offline. */
		sched_setaffinity(0, sizeof(one), &one);
		if (madvise(memory, pages * PAGE, MADV_PAGEOUT))
			err(1, "MADV_PAGEOUT");
	}
	sched_setaffinity(0, sizeof(all), &all);
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static void probe(void)
{
	size_t *order = malloc(pages * sizeof(*order)), i, other;
	uint64_t random = mix(seed) | 1;
	double slowest = 0;

	if (!order)
		err(1, "malloc");
	/* Each page once. */
	for (i = 0; i < pages; i++) {
		other = next(&random) % (i + 1);
		order[i] = order[other];
		order[other] = i;
	}
	for (i = 0; i < pages; i++) {
		double begin = now(), took;

		*(volatile char *)page_at(order[i]);
		took = now() - begin;
		if (slowest < took)
			slowest = took;
	}
	free(order);
	printf("slowest=%.0f\n", slowest * 1e6);
}

static void read_ahead(size_t step)
{
	size_t first, i;

	if (!step) {
		if (madvise(memory, pages * PAGE, MADV_WILLNEED))
			err(1, "MADV_WILLNEED");
		return;
	}
	for (first = 0; first < step; first++)
		for (i = first; i < pages; i += step)
			if (madvise(page_at(i), PAGE, MADV_WILLNEED))
				err(1, "MADV_WILLNEED");
}

static long milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/*
 * Returns how many pages are out then, and puts into RESIDENT which are not. A page that the
 * area did not take is in the swap cache and not mapped, so the kernel takes no notice of it
 * until it is read: those that were RESIDENT before are.
 */
static size_t try_to_swap_out(unsigned char *resident)
{
	size_t i, out = 0;

	for (i = 0; i < pages; i++)
		if (resident[i] & 1)
			*(volatile uint64_t *)page_at(i);
	page_out_from_all_cpus();
	if (mincore(memory, pages * PAGE, resident))
		err(1, "mincore");
	for (i = 0; i < pages; i++)
		out += !(resident[i] & 1);
	return out;
}

static void swap_out(size_t percent)
{
	enum { NR_KINDS = sizeof(KINDS) - 1 };
	static const char names[NR_KINDS][8] = { "text", "random", "same", "word", "zero" };
	unsigned char *resident = calloc(pages, 1);
	size_t i, out, swapped[NR_KINDS] = { 0 };
	long end = milliseconds() + 60000;

	if (!resident)
		err(1, "calloc");
	do {
		out = try_to_swap_out(resident);
	} while (out * 100 < percent * pages && milliseconds() < end);
	for (i = 0; i < pages; i++)
		if (!(resident[i] & 1))
			swapped[strchr(KINDS, kind_of(i)) - KINDS]++;
	printf("out=%zu", out);
	for (i = 0; i < NR_KINDS; i++)
		printf(" %s=%zu", names[i], swapped[i]);
	putchar('\n');
	free(resident);
}

static void on_bus_go_on(void)
{
	/* The next one may come before this one's handler ever returns. */
	const struct sigaction jump = { .sa_handler = on_bus, .sa_flags = SA_NODEFER };

	sigaction(SIGBUS, &jump, NULL);
}

static void give_back_lost(void)
{
	const struct sigaction end = { .sa_handler = SIG_DFL };
	uint64_t copy[WORDS];
	size_t i, count = 0;

	on_bus_go_on();
	for (i = 0; i < pages; i++) {
		if (read_page(i, copy))
			continue;
		give_back(i, 1);
		count++;
	}
	sigaction(SIGBUS, &end, NULL);
	printf("lost=%zu\n", count);
}

static void keep(size_t step)
{
	size_t i;

	for (i = 0; i < pages; i += step)
		if (step > 1 && i + step <= pages)
			give_back(i + 1, step - 1);
}

static void fork_children(int count)
{
	int i;

	if (count > MAX_CHILDREN)
		errx(2, "at most %d children", MAX_CHILDREN);
	fflush(stdout);
	for (i = 0; i < count; i++) {
		pid_t pid = fork();

		if (pid < 0)
			err(1, "fork");
		if (!pid) {
			seed += 1000 * (i + 1);
			nr_children = 0;
			is_child = true;
			/* A parent that is killed takes them with it. */
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			return;
		}
		children[i] = pid;
		nr_children = i + 1;
	}
}

static int wait_for_children(void)
{
	int i, status, bad = 0;

	for (i = 0; i < nr_children; i++) {
		while (waitpid(children[i], &status, 0) < 0)
			if (errno != EINTR)
				err(1, "waitpid");
		if (status) {
			warnx("child %d ended with status %#x", i, status);
			bad = 1;
		}
	}
	return bad;
}

static void say_visits(size_t done)
{
	printf("visits=%zu\n", done);
	fflush(stdout);
}

/* Sees that what is shared with a child is found by both. */
static void fork_visitor(uint64_t state)
{
	int status, visits;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		for (visits = 0; visits < 16; visits++) {
			size_t index = next(&state) % pages;

			check_page(index);
			/* What is shared is not this one's to change. */
			if (!shared)
				write_page(index);
			check_page(index);
		}
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			err(1, "waitpid");
	if (status)
		errx(1, "a child that visited pages ended with status %#x", status);
}

/* A kernel without huge pages, as with PREEMPT_RT, knows no advice about them. */
static void advise_as_far_as_known(void *where, size_t size, int advice)
{
	bool about_huge = advice == MADV_HUGEPAGE || advice == MADV_NOHUGEPAGE;

	if (madvise(where, size, advice) && !(about_huge && errno == EINVAL))
		err(1, "advice %d", advice);
}

/* Does something to a run of pages that leaves them as they are, or gone. */
static void advise(uint64_t *state)
{
	static const int harmless[] = {
		MADV_PAGEOUT, MADV_COLD, MADV_WILLNEED, MADV_HUGEPAGE, MADV_NOHUGEPAGE,
	};
	size_t nr_harmless = sizeof(harmless) / sizeof(*harmless);
	size_t first = next(state) % pages;
	size_t count = next(state) % 64 + 1;
	size_t choice = next(state) % (nr_harmless + 3);
	size_t i;

	if (count > pages - first)
		count = pages - first;
	if (choice < nr_harmless) {
		advise_as_far_as_known(page_at(first), count * PAGE, harmless[choice]);
	} else if (choice == nr_harmless) {
		fork_visitor(*state);
	} else if (choice == nr_harmless + 1 || shared) {
		give_back(first, count);
	} else {
		if (madvise(page_at(first), count * PAGE, MADV_FREE))
			err(1, "MADV_FREE");
		for (i = first; i < first + count; i++)
			if (stamps[i])
				stamps[i] |= LAZY;
	}
}

static void churn(size_t visits)
{
	uint64_t state = mix(seed) | 1;
	size_t done;

	for (done = 0; !visits || done < visits; done++) {
		size_t index = next(&state) % pages;

		if (__atomic_load_n(&stop, __ATOMIC_RELAXED))
			break;
		check_page(index);
		if (state >> 63) {
			generation++;
			write_page(index);
		}
		if (wild && done % 64 == 63)
			advise(&state);
		if (!in_cgroup && done % 256 == 255)
			page_out_from_all_cpus();
		if (!visits && done % 32 == 31)
			say_visits(done);
	}
	say_visits(done);
}

static void count_huge(void)
{
	FILE *smaps = fopen("/proc/self/smaps_rollup", "r");
	char line[128];
	size_t kib;

	while (smaps && fgets(line, sizeof(line), smaps))
		if (sscanf(line, "AnonHugePages: %zu kB", &kib) == 1)
			printf("huge=%zu\n", kib / (HUGE_PAGE >> 10));
	if (smaps)
		fclose(smaps);
}

/* Maps a page and unmaps it, and parts the mapping of all pages in two for a while. */
static void *change_mappings(void *unused)
{
	while (!__atomic_load_n(&stop_mapping, __ATOMIC_RELAXED)) {
		long took, begin = milliseconds();
		void *page = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (page == MAP_FAILED || munmap(page, PAGE) ||
		    mprotect(page_at(pages - 1), PAGE, PROT_READ) ||
		    mprotect(page_at(pages - 1), PAGE, PROT_READ | PROT_WRITE))
			err(1, "changing what is mapped");
		took = milliseconds() - begin;
		if (took > slowest_change)
			slowest_change = took;
		usleep(10000);
	}
	return unused;
}

static void begin_mapping(void)
{
	errno = pthread_create(&mapper, NULL, change_mappings, NULL);
	if (errno)
		err(1, "pthread_create");
	has_mapper = true;
}

static void end_mapping(void)
{
	__atomic_store_n(&stop_mapping, 1, __ATOMIC_RELAXED);
	pthread_join(mapper, NULL);
	printf("slowest_change=%ld\n", slowest_change);
}

static void hold(void)
{
	sigset_t go_on;
	int i, signal;
	char c;

	if (is_child) {
		sigemptyset(&go_on);
		sigaddset(&go_on, SIGUSR1);
		sigwait(&go_on, &signal);
		return;
	}
	puts("holding");
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) == 1 && c != '\n')
		;
	for (i = 0; i < nr_children; i++)
		kill(children[i], SIGUSR1);
}

/* The group of that name which lib.sh made. */
static void join_cgroup(const char *name)
{
	char path[128];
	FILE *procs;

	snprintf(path, sizeof(path), "/sys/fs/cgroup/ghostswap.%s/cgroup.procs", name);
	procs = fopen(path, "w");
	if (!procs || fprintf(procs, "0\n") < 0 || fclose(procs))
		err(1, "%s", path);
	in_cgroup = true;
}

static void map(const char *kind, size_t size)
{
	int fd = -1, flags = MAP_PRIVATE | MAP_ANONYMOUS;
	char *where;

	if (!strcmp(kind, "shmem")) {
		flags = MAP_SHARED | MAP_ANONYMOUS;
	} else if (!strcmp(kind, "memfd")) {
		fd = memfd_create("pages", MFD_CLOEXEC);
		if (fd < 0 || ftruncate(fd, size + HUGE_PAGE))
			err(1, "memfd");
		flags = MAP_SHARED;
	} else if (strcmp(kind, "anon") && strcmp(kind, "huge")) {
		errx(2, "no such kind of memory: %s", kind);
	}
	shared = flags & MAP_SHARED;

	where = mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (where == MAP_FAILED)
		err(1, "mmap");
	memory = (char *)(((uintptr_t)where + HUGE_PAGE - 1) & -HUGE_PAGE);
	if (!shared)
		advise_as_far_as_known(memory, size, strcmp(kind, "huge") ?
				       MADV_NOHUGEPAGE : MADV_HUGEPAGE);
}

static void show_usage(void)
{
	errx(2, "usage: pages [-g CGROUP] [-m MEMORY] [-s MIB] [-k KINDS] [-i SEED] VERB...");
}

static void lock(void)
{
	if (mlock(memory, pages * PAGE))
		err(1, "mlock");
}

static void perform(const char *verb)
{
	const char *colon = strchr(verb, ':');
	size_t number = colon ? strtoul(colon + 1, NULL, 0) : 0;
	size_t length = colon ? (size_t)(colon - verb) : strlen(verb);
	char name[16];

	if (length >= sizeof(name))
		show_usage();
	memcpy(name, verb, length);
	name[length] = '\0';
	if (!strcmp(name, "fill"))
		fill(1);
	else if (!strcmp(name, "rewrite") && number)
		fill(number);
	else if (!strcmp(name, "check"))
		check();
	else if (!strcmp(name, "out"))
		swap_out(number);
	else if (!strcmp(name, "ahead"))
		read_ahead(number);
	else if (!strcmp(name, "probe"))
		probe();
	else if (!strcmp(name, "lost"))
		give_back_lost();
	else if (!strcmp(name, "lock"))
		lock();
	else if (!strcmp(name, "free"))
		give_back(0, pages);
	else if (!strcmp(name, "keep") && number)
		keep(number);
	else if (!strcmp(name, "fork") && number)
		fork_children(number);
	else if (!strcmp(name, "churn"))
		churn(number);
	else if (!strcmp(name, "wild"))
		wild = true;
	else if (!strcmp(name, "frail"))
		on_bus_go_on();
	else if (!strcmp(name, "huge"))
		count_huge();
	else if (!strcmp(name, "beside"))
		begin_mapping();
	else if (!strcmp(name, "hold"))
		hold();
	else
		show_usage();
	fflush(stdout);
}

int main(int argc, char **argv)
{
	const struct sigaction action = { .sa_handler = on_term };
	const char *kind = "anon";
	sigset_t blocked;
	size_t mib = 8;
	int option;

	while ((option = getopt(argc, argv, "g:m:s:k:i:")) != -1) {
		switch (option) {
		case 'g':
			join_cgroup(optarg);
			break;
		case 'm':
			kind = optarg;
			break;
		case 's':
			mib = strtoul(optarg, NULL, 0);
			break;
		case 'k':
			kinds = optarg;
			break;
		case 'i':
			seed = strtoul(optarg, NULL, 0);
			break;
		default:
			show_usage();
		}
	}
	nr_kinds = strlen(kinds);
	if (!mib || !nr_kinds || strspn(kinds, KINDS) != nr_kinds)
		show_usage();

	pages = (mib << 20) / PAGE;
	stamps = calloc(pages, sizeof(*stamps));
	if (!stamps)
		err(1, "calloc");
	/* What may be lost is what is looked at, not what it takes to look. */
	if (mlockall(MCL_CURRENT | MCL_ONFAULT))
		err(1, "mlockall");
	map(kind, mib << 20);
	sigaction(SIGTERM, &action, NULL);
	/* Pending until a child waits for it, see hold(). */
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	sigprocmask(SIG_BLOCK, &blocked, NULL);

	for (; optind < argc; optind++)
		perform(argv[optind]);
	if (has_mapper)
		end_mapping();
	if (lost)
		printf("lost=%zu\n", lost);
	return wait_for_children();
}
