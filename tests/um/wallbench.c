// SPDX-License-Identifier: GPL-2.0
/*
 * What a page costs on its way out to swap and in again, on the clock: /init of a
 * kernel that runs as a program. It measures one backend after the other, and does
 * that over and over, so that what is compared was measured within seconds.
 *
 * usage: /init PAGES ROUNDS COMPRESSOR[,...] BACKEND[,...]
 *
 * The pages are those of /corpus that are not all zero, in a file on tmpfs, and never
 * mapped. Pages of a process would be mapped on the host, too, one by one, which takes
 * the host longer than all that is measured, and two CPUs get in each other's way there.
 *
 * Writes to /samples first "total N", the number of samples that will follow, and
 * then N times "sample ROUND BACKEND COMPRESSOR WHAT VALUE". Times are nanoseconds per
 * page:
 *
 *   out        memory.reclaim of a control group that has nothing but the file
 *   in         sendfile() to /dev/null, which also frees the slots
 *   zero-out   the same of pages that are all zero: the kernel notes that, and no
 *   zero-in    backend sees them. What out and in take more is the backend's part.
 *   two        out and in, of a file each of two processes on a CPU each, at the same
 *              time; divided by the pages of both
 *   zero-two   the same of pages that are all zero
 *
 * The backend "codec" is the compressor alone, see codec.c; it has out, in and two. The
 * backend "cpus" is none: its "round-trip" is how long a line of memory takes from one
 * CPU's cache to the other's and back. What CPUs share costs them that, and where the
 * machine is itself a virtual one, it changes from minute to minute.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/types.h>

#include "../bench/backends.h"
#include "codec.h"

#define WORKERS		2
#define BALL_TURNS	20000
#define GROUPS		"/sys/fs/cgroup/"

/* Of a CPU's last pages some are on no list yet, where reclaim does not see them. */
#define LEFT_PERCENT	1

enum work {
	SWAP_PAGES,
	SWAP_ZERO,
	RUN_LZ4,
	RUN_ZSTD,
	PLAY_BALL,
};

struct times {
	double out, in;
};

/* What the workers share: nothing but this. */
struct shared {
	/* How many workers have come to barriers so far, and how many there are. */
	atomic_int come;
	int workers;
	struct times times[WORKERS];
	/* What follows is in a line of its own. */
	char apart[128];
	atomic_int ball;
};

static struct shared *shared;
static int orders[WORKERS], replies[WORKERS];
static FILE *samples;

/* Pages to swap: a file on tmpfs, and the control group that pays for its memory. */
struct file {
	char path[32], group[32];
	int fd;
	uint64_t sum;
};

static double get_from(const struct file *file, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/%s", file->group, name);
	return get_sum(path, "");
}

/* Returns a sum of the pages, which shows whether they came back as they were. */
static uint64_t sum_of(const struct file *file)
{
	static uint64_t words[16 * PAGE / sizeof(uint64_t)];
	ssize_t length;
	uint64_t sum = 0;

	for (off_t at = 0; (length = pread(file->fd, words, sizeof(words), at)) > 0; at += length)
		for (size_t i = 0; i < length / sizeof(*words); i++)
			sum = sum * 31 + words[i];
	return sum;
}

/* Makes a file of the corpus's pages that are not all zero, or of as many zero pages. */
static void make_file(struct file *file, int worker, bool zeros)
{
	static const char zero[PAGE];
	char procs[64];

	snprintf(file->path, sizeof(file->path), "/tmp/%s-%d", zeros ? "zero" : "pages", worker);
	snprintf(file->group, sizeof(file->group), GROUPS "%s-%d", zeros ? "zero" : "pages",
		 worker);
	if (mkdir(file->group, 0755))
		err(1, "%s", file->group);
	file->fd = open(file->path, O_RDWR | O_CREAT, 0600);
	if (file->fd < 0)
		err(1, "%s", file->path);

	/* A page is charged to the group of its first user: the group has only the file's. */
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", file->group);
	put(procs, "0");
	for (size_t i = 0; i < pages; i++) {
		const char *page = corpus + i * PAGE;

		if (!memcmp(page, zero, PAGE))
			continue;
		if (write(file->fd, zeros ? zero : page, PAGE) != PAGE)
			err(1, "%s", file->path);
	}
	put(GROUPS "cgroup.procs", "0");
	file->sum = sum_of(file);
}

/* Each barrier has a number of its own, so that none has to be reset. */
static void barrier(int number)
{
	atomic_fetch_add(&shared->come, 1);
	while (atomic_load(&shared->come) < number * shared->workers)
		;
}

static double swapped(const struct file *file)
{
	return get_from(file, "memory.swap.current") / PAGE;
}

/*
 * Whether reclaim takes pages from the active list depends on counts that are seconds
 * old, so it may give up too early. Reading the counts renews them. All reads together
 * take less than a thousandth of the time that the pages take.
 */
static void reclaim_group(const struct file *file)
{
	double wanted = stored * (100.0 - LEFT_PERCENT) / 100, left;
	char path[64], text[64];
	int fd;

	snprintf(path, sizeof(path), "%s/memory.reclaim", file->group);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		err(1, "%s", path);
	for (int tries = 0; (left = wanted - swapped(file)) > 0; tries++) {
		get_from(file, "memory.stat");
		snprintf(text, sizeof(text), "%.0f swappiness=max", (left + 1) * PAGE);
		if (write(fd, text, strlen(text)) < 0 && (errno != EAGAIN || tries > 100))
			err(1, "%s: %s", path, text);
	}
	close(fd);
}

static void swap_pages(const struct file *file, int null, struct times *times)
{
	double begin, out;
	off_t at = 0;

	barrier(1);
	begin = now();
	reclaim_group(file);
	times->out = now() - begin;
	out = swapped(file);

	barrier(2);
	begin = now();
	while (at < (off_t)(stored * PAGE))
		if (sendfile(null, file->fd, &at, stored * PAGE - at) <= 0)
			err(1, "sendfile");
	times->in = now() - begin;

	if (swapped(file))
		errx(1, "not all pages came in");
	times->out /= out;
	times->in /= out;
	if (sum_of(file) != file->sum)
		errx(1, "pages came back wrong");
}

static void run_codec(int fd, unsigned long command, struct times *times)
{
	__u64 both[2];

	barrier(1);
	if (ioctl(fd, command, both))
		err(1, CODEC_FILE);
	times->out = (double)both[0] / stored;
	times->in = (double)both[1] / stored;
}

static void play_ball(int number, struct times *times)
{
	double begin;

	barrier(1);
	begin = now();
	for (int turn = 0; turn < BALL_TURNS; turn++) {
		while (atomic_load(&shared->ball) != WORKERS * turn + number)
			;
		atomic_fetch_add(&shared->ball, 1);
	}
	times->out = (now() - begin) / BALL_TURNS;
}

static void fill_codec(int fd, const struct file *file)
{
	char *memory = mmap(NULL, stored * PAGE, PROT_READ, MAP_SHARED, file->fd, 0);

	if (memory == MAP_FAILED || madvise(memory, stored * PAGE, MADV_POPULATE_READ))
		err(1, "%s", file->path);
	if (write(fd, memory, stored * PAGE) != (ssize_t)(stored * PAGE))
		err(1, CODEC_FILE);
	munmap(memory, stored * PAGE);
}

static void work(int number)
{
	int codec = open(CODEC_FILE, O_RDWR), null = open("/dev/null", O_WRONLY);
	struct file some, zero;
	char task;
	cpu_set_t cpu;

	if (codec < 0 || null < 0)
		err(1, "open");
	CPU_ZERO(&cpu);
	CPU_SET(number, &cpu);
	if (sched_setaffinity(0, sizeof(cpu), &cpu))
		err(1, "no CPU %d", number);
	make_file(&some, number, false);
	make_file(&zero, number, true);
	fill_codec(codec, &some);

	/* Ready; then one task after the other. */
	task = 0;
	while (write(replies[number], &task, 1) == 1 && read(orders[number], &task, 1) == 1) {
		struct times *times = &shared->times[number];

		switch ((enum work)task) {
		case SWAP_PAGES:
			swap_pages(&some, null, times);
			break;
		case SWAP_ZERO:
			swap_pages(&zero, null, times);
			break;
		case RUN_LZ4:
			run_codec(codec, CODEC_LZ4, times);
			break;
		case RUN_ZSTD:
			run_codec(codec, CODEC_ZSTD, times);
			break;
		case PLAY_BALL:
			play_ball(number, times);
			break;
		}
	}
}

static void wait_for_workers(int workers)
{
	for (int i = 0; i < workers; i++) {
		char byte;

		if (read(replies[i], &byte, 1) != 1)
			errx(1, "worker %d has ended", i);
	}
}

static void start_workers(void)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		err(1, "mmap");
	for (int i = 0; i < WORKERS; i++) {
		int order[2], reply[2];

		if (pipe2(order, O_CLOEXEC) || pipe2(reply, O_CLOEXEC))
			err(1, "pipe");
		switch (fork()) {
		case -1:
			err(1, "fork");
		case 0:
			orders[i] = order[0];
			replies[i] = reply[1];
			close(order[1]);
			close(reply[0]);
			work(i);
			exit(0);
		}
		orders[i] = order[1];
		replies[i] = reply[0];
		close(order[0]);
		close(reply[1]);
	}
	wait_for_workers(WORKERS);
}

/* Nanoseconds per page of one worker, or of both together. */
static struct times run(enum work task, int workers)
{
	struct times times = { 0 };
	char byte = task;

	shared->come = 0;
	shared->ball = 0;
	shared->workers = workers;
	for (int i = 0; i < workers; i++)
		if (write(orders[i], &byte, 1) != 1)
			err(1, "worker %d", i);
	wait_for_workers(workers);
	for (int i = 0; i < workers; i++) {
		if (times.out < shared->times[i].out)
			times.out = shared->times[i].out;
		if (times.in < shared->times[i].in)
			times.in = shared->times[i].in;
	}
	times.out /= workers;
	times.in /= workers;
	return times;
}

/* The first round warms up, and has no number. */
static void note(int round, const char *backend, const char *comp, const char *what,
		 double value)
{
	if (round < 0)
		return;
	fprintf(samples, "sample %d %s %s %s %.1f\n", round, backend, comp, what, value);
	fflush(samples);
}

/* Samples that measure_cpus(), measure_codec() and measure_backend() take. */
#define CPUS_SAMPLES	1
#define CODEC_SAMPLES	3
#define BACKEND_SAMPLES	6

static void measure_cpus(int round)
{
	/* Each of the two waits for the other: it is not divided between them. */
	note(round, "cpus", "none", "round-trip", WORKERS * run(PLAY_BALL, WORKERS).out);
}

/* Returns whether codec.c has it: ghostswap's own compressor is nowhere but in its module. */
static bool has_library(const char *comp)
{
	return theirs(comp) == comp;
}

static void measure_codec(int round, const char *comp)
{
	enum work task = strcmp(comp, "zstd") ? RUN_LZ4 : RUN_ZSTD;
	struct times times = run(task, 1);

	note(round, "codec", comp, "out", times.out);
	note(round, "codec", comp, "in", times.in);
	times = run(task, 2);
	note(round, "codec", comp, "two", times.out + times.in);
}

static void measure_backend(int round, const struct backend *backend, const char *comp)
{
	/* Something must be behind zswap, that it does not need here. */
	bool behind = !strcmp(backend->name, "zswap");
	struct times times;

	if (behind && !make_zram("lz4", NULL))
		err(1, ZRAM_DISK);
	backend->prepare(comp);
	backend->on(comp);

	/* Backends make some things at the first use: let both workers, so both CPUs, do so. */
	run(SWAP_PAGES, 2);

	times = run(SWAP_PAGES, 1);
	note(round, backend->name, comp, "out", times.out);
	note(round, backend->name, comp, "in", times.in);
	times = run(SWAP_PAGES, 2);
	note(round, backend->name, comp, "two", times.out + times.in);

	times = run(SWAP_ZERO, 1);
	note(round, backend->name, comp, "zero-out", times.out);
	note(round, backend->name, comp, "zero-in", times.in);
	times = run(SWAP_ZERO, 2);
	note(round, backend->name, comp, "zero-two", times.out + times.in);

	backend->off();
	if (behind)
		put(ZRAM "reset", "1");
}

/* The first backend changes from round to round, so that none always finds the same. */
static void measure_round(int round, const char *comp, const char *names)
{
	if (has_library(comp))
		measure_codec(round, comp);
	for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
		size_t turn = (round + 1 + i) % ARRAY_SIZE(backends);
		const struct backend *backend = &backends[turn];

		if (has(names, backend->name))
			measure_backend(round, backend, comp);
	}
}

static void measure_all(int rounds, const char *comps, const char *names)
{
	static const char * const known[] = { "lz4", "wlz", "zstd" };
	int each = CPUS_SAMPLES;

	for (size_t c = 0; c < ARRAY_SIZE(known); c++) {
		if (!has(comps, known[c]))
			continue;
		if (has_library(known[c]))
			each += CODEC_SAMPLES;
		for (size_t i = 0; i < ARRAY_SIZE(backends); i++)
			if (has(names, backends[i].name))
				each += BACKEND_SAMPLES;
	}
	fprintf(samples, "total %d\n", rounds * each);
	fflush(samples);

	for (int round = -1; round < rounds; round++) {
		measure_cpus(round);
		for (size_t c = 0; c < ARRAY_SIZE(known); c++)
			if (has(comps, known[c]))
				measure_round(round, known[c], names);
	}
}

/*
 * The host gives this machine its memory when it is first used, which takes longer
 * than to use it. So it is used before anything is measured.
 */
static void use_memory(void)
{
	static const char path[] = "/tmp/memory", piece[256 * PAGE];
	double left = get_sum("/proc/meminfo", "MemAvailable:") * 1024 * 0.9;
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	for (; left > 0; left -= sizeof(piece))
		if (write(fd, piece, sizeof(piece)) != sizeof(piece))
			err(1, "%s", path);
	close(fd);
	unlink(path);
}

static void mount_at(const char *type, const char *path)
{
	if (mount(type, path, type, 0, NULL))
		err(1, "mount %s", path);
}

static void load(const char *path)
{
	int fd = open(path, O_RDONLY);

	if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
		err(1, "%s", path);
	close(fd);
}

static void set_up(const char *names)
{
	mount_at("proc", "/proc");
	mount_at("sysfs", "/sys");
	mount_at("debugfs", "/sys/kernel/debug");
	mount_at("devtmpfs", "/dev");
	mount_at("cgroup2", "/sys/fs/cgroup");
	put(GROUPS "cgroup.subtree_control", "+memory");
	if (mount("tmpfs", "/tmp", "tmpfs", 0, "size=95%"))
		err(1, "mount /tmp");
	load("/codec.ko");
	load("/zram.ko");
	if (has(names, "ghostswap"))
		load("/ghostswap.ko");
	/* No page is read ahead. */
	put("/proc/sys/vm/page-cluster", "0");
}

int main(int argc, char **argv)
{
	int status = 0;
	pid_t child;

	/* If the first process ends, the kernel takes it for a failure of its own. */
	child = fork();
	if (child) {
		pid_t ended;

		do
			ended = wait(&status);
		while (ended != child && ended > 0);
		sync();
		reboot(RB_POWER_OFF);
		return 1;
	}

	if (argc != 5)
		errx(1, "usage: /init PAGES ROUNDS COMPRESSOR[,...] BACKEND[,...]");
	samples = fopen("/samples", "w");
	if (!samples)
		err(1, "/samples");
	set_up(argv[4]);
	use_memory();
	read_corpus("/corpus", argv[1]);
	area_pages = WORKERS * stored + 512;
	disk = ZRAM_DISK;
	start_workers();
	measure_all(atoi(argv[2]), argv[3], argv[4]);
	return 0;
}
