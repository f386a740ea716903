// SPDX-License-Identifier: GPL-2.0
/*
 * What a page costs on its way out to swap and in again, with one swap backend
 * after the other, on the pages of a file.
 *
 * usage: pagebench FILE PAGES COMPRESSOR[,...] BACKEND[,...] MEASURE[,...]
 *
 * For the backends see backends.h; "swap" can be named for "empty", "depth" and "slow".
 * With ghostswap's own compressors others have lz4. They are not measured again with
 * that where lz4 is named, too.
 *
 * Prints lines "figure BACKEND COMPRESSOR WHAT VALUE". Times are nanoseconds per
 * page, which are instructions per page in a virtual machine that counts them.
 * RAM is in bytes per page stored, that is, not all zero; disks' figures are per
 * page written back. By MEASURE:
 *
 * pages
 *   out        MADV_PAGEOUT of 4 KiB pages
 *   in         a touch of each page, which also frees its slot
 *   free       munmap of pages that are out
 *   thp-out    MADV_PAGEOUT of the same pages in huge ones
 *   thp-free   munmap of huge pages that are out
 *   spread     in percent, between the last two rounds: out and in, the larger
 *   ram        all that the machine has less
 *   slab       what of that is in slab caches: zsmalloc's handles, and nodes and
 *              entries of those who have some
 *   pool       what of that is zsmalloc's pages
 *   objects    what of those is compressed pages
 *   own        RAM by the backend's own figures
 *   stored     pages that are not all zero
 *
 * alone, for pages of memory that are left alone, by zram and ghostswap, and by each with a second
 * compressor, when that had all pages; the backend is NAME-zstd, NAME-dense or NAME-bundles then
 *   alone-ram   all that the machine has less
 *   alone-work  instructions to compress a page again
 *
 * huge-in, only where zswap was never enabled, as the kernel then swaps in none
 *   thp-in     a touch of each page of what went out in huge pages
 *   thp-order  in KiB, what the kernel brought in at once
 *
 * store
 *   objects    for zswap, which only tells it of a control group
 *   wb-bytes, wb-ios        bytes and requests to the disk when all is written back
 *   seq-bytes, seq-ios      from the disk, when all is touched from first to last
 *   random-bytes, random-ios  when all is touched in no order
 *   wb-pages   pages written back
 *
 * inverted, in percent, with memory for so many pages and a disk behind it
 *   hot-reads  of some pages that are needed again and again, after six times as many that
 *              are not: how much is read from the disk
 *
 * shared
 *   nothing: a process for each CPU has its pages swapped out and in, and freed, while a
 *   plugin of the machine's looks on, see profile
 *
 * batches, by ghostswap only
 *   batch      writing back, with one incompressible page among the others
 *   batch-12G  the same with 12 GiB more of pages of one word in the area
 *
 * writes, for 4 KiB that go to a disk in memory
 *   write      writing back without encryption; by "none", write(2) of as many segments
 *              with O_DIRECT, as dd does it
 *   encrypted  writing back with encryption
 *   write-one, encrypted-one  the same with one CPU
 *
 * depth, with a disk that is memory and done in 10 microseconds; the least of some rounds
 *   depth-1     a touch of each page on the disk, in no order; not encrypted
 *   depth-256   the same by 256 threads at once
 *   depth-1-encrypted, depth-256-encrypted  the same by ghostswap with encrypt=on
 *   late-256, late-256-encrypted  256 threads, with a disk that is done in 5 milliseconds
 *
 * empty, in bytes
 *   empty-64G, empty-1T  RAM for swapon of an area of that size
 *
 * slow, in milliseconds, with the machine's first disk
 *   swapoff-ms  swapoff when all is on the disk
 *   seq-ms      a touch of each page then, from first to last
 *   random-ms   a touch of each page then, in no order
 *   swapoff-reads, seq-reads, random-reads  requests of the disk for that
 */
#define _GNU_SOURCE
#include <glob.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <sys/wait.h>

#include "backends.h"

#define HUGE		(512 * PAGE)
#define ROUNDS		6
#define AGREED		0.1	/* percent */

/* A backend's area holds the pages and some more, as huge pages need it. */
#define AREA_PERCENT	120
#define AREA_EXTRA	(2 * 512)

#define THP		"/sys/kernel/mm/transparent_hugepage/"
#define SLOW_DISK	"/dev/vda"
#define MEMORY_DISK	"/dev/nullb0"
#define MEMORY_DISK_PARAMETERS	"nr_devices=1 gb=1 memory_backed=1 irqmode=2 hw_queue_depth=256"

static void run(const char *command)
{
	if (system(command))
		errx(1, "%s failed", command);
}

static size_t usual_area(void)
{
	size_t percent = pages * AREA_PERCENT / 100;

	return percent > pages + AREA_EXTRA ? percent : pages + AREA_EXTRA;
}

/*
 * Free memory in bytes, to the page: with what lies unused in CPUs' and slab
 * caches given back or counted.
 */
static double free_memory(void)
{
	glob_t caches;

	if (!glob("/sys/kernel/slab/*/shrink", 0, NULL, &caches)) {
		for (size_t i = 0; i < caches.gl_pathc; i++)
			put(caches.gl_pathv[i], "1");
		globfree(&caches);
	}
	put("/proc/sys/vm/drop_caches", "3");
	/* Memory that is freed after a grace period has had one, or several. */
	sleep(1);
	put("/proc/sys/vm/stat_refresh", "1");
	return get_sum("/proc/meminfo", "MemFree:") * 1024 +
	       get_sum("/proc/zoneinfo", "count:") * PAGE;
}

static double slab_memory(void)
{
	return get_sum("/proc/meminfo", "Slab:") * 1024;
}

static double thp_split(void)
{
	return get_sum("/proc/vmstat", "thp_swpout_fallback ");
}

static double thp_made(void)
{
	return get_sum("/proc/vmstat", "thp_fault_alloc ");
}

static char *map(int advice)
{
	size_t length = pages * PAGE;
	char *memory = mmap(NULL, length + HUGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uintptr_t skipped;

	if (memory == MAP_FAILED)
		err(1, "mmap");
	skipped = -(uintptr_t)memory % HUGE;
	if (skipped)
		munmap(memory, skipped);
	munmap(memory + skipped + length, HUGE - skipped);
	memory += skipped;
	if (madvise(memory, length, advice))
		err(1, "madvise");
	memcpy(memory, corpus, length);
	return memory;
}

static noinline double page_out(char *memory)
{
	size_t length = pages * PAGE;
	double time = now();

	if (madvise(memory, length, MADV_PAGEOUT))
		err(1, "MADV_PAGEOUT");
	time = now() - time;
	if (get_sum("/proc/self/status", "VmSwap:") * 1024 < length)
		errx(1, "not all pages went out");
	return time / pages;
}

/* Keeps the reads below from being left out. */
char seen;

/*
 * Has pages go that went out and are still in the swap cache: those of an area that is not
 * synchronous, as reclaim would when it comes upon them again.
 */
static void drop_swap_cache(char *memory, size_t count)
{
	unsigned char *resident = malloc(count);
	size_t left = 0;

	if (!resident || mincore(memory, count * PAGE, resident))
		err(1, "mincore");
	for (size_t i = 0; i < count; i++) {
		if (resident[i] & 1) {
			seen += memory[i * PAGE];
			left++;
		}
	}
	free(resident);
	if (left && madvise(memory, count * PAGE, MADV_PAGEOUT))
		err(1, "MADV_PAGEOUT");
}

/* By writing, or pages of such an area would keep their slots, and not be written again. */
static noinline double page_in(char *memory)
{
	double time = now();

	for (size_t i = 0; i < pages; i++)
		memory[i * PAGE] = corpus[i * PAGE];
	return (now() - time) / pages;
}

static noinline double unmap(char *memory)
{
	double time = now();

	munmap(memory, pages * PAGE);
	return (now() - time) / pages;
}

static double difference(double before, double after)
{
	double percent = 100 * (after / before - 1);

	return percent < 0 ? -percent : percent;
}

/*
 * What the crypto API keeps for a compressor once it was used: a part of what
 * each backend has that uses it, though the next one finds it made.
 */
static double crypto_memory(const struct backend *backend, const char *comp)
{
	double before = free_memory();

	backend->prepare(comp);
	backend->on(comp);
	backend->off();
	backend->clean_up();
	return before - free_memory();
}

#define FIGURE(what, value) \
	printf("figure %s %s %s %.4f\n", backend->name, comp, what, value)

static noinline void measure_small(const struct backend *backend, const char *comp, double crypto)
{
	double out = 0, in = 0, spread = 100, before, slab, ram, own;
	char *memory;

	backend->prepare(comp);
	memory = map(MADV_NOHUGEPAGE);
	before = free_memory();
	slab = slab_memory();
	backend->on(comp);

	for (int round = 0; round < ROUNDS && spread > AGREED; round++) {
		double out_before = out, in_before = in;

		out = page_out(memory);
		drop_swap_cache(memory, pages);
		in = page_in(memory);
		if (memcmp(memory, corpus, pages * PAGE))
			errx(1, "%s with %s: pages came back wrong", backend->name, comp);
		if (!round)
			continue;
		spread = difference(out_before, out);
		if (spread < difference(in_before, in))
			spread = difference(in_before, in);
	}

	page_out(memory);
	drop_swap_cache(memory, pages);
	own = backend->own();
	ram = pages * PAGE - (free_memory() - before);
	slab = slab_memory() - slab;
	if (backend->crypto)
		ram += crypto;
	FIGURE("pool", backend->pool() / stored);
	if (backend->objects)
		FIGURE("objects", backend->objects() / stored);

	FIGURE("out", out);
	FIGURE("in", in);
	FIGURE("free", unmap(memory));
	FIGURE("spread", spread);
	FIGURE("ram", ram / stored);
	FIGURE("slab", slab / stored);
	FIGURE("own", own / stored);
	FIGURE("stored", (double)stored);
}

/* That of this kernel, or, if it is there, one that compresses again. */
#define ZRAM_MODULE	"/zram.ko"

static noinline double compress_again(const struct backend *backend)
{
	double time = now();

	if (backend->on == zram_on) {
		put(ZRAM "idle", "all");
		put(ZRAM "recompress", "type=idle");
	} else {
		put(GHOST_POOL "recompress", "0");
	}
	return now() - time;
}

/* With the second compressor AGAIN, if that is not NULL. */
static void measure_alone(const struct backend *backend, const char *comp, const char *name,
			  const char *again)
{
	char option[64] = "";
	double before, work, ram;
	char *memory;

	backend->prepare(comp);
	memory = map(MADV_NOHUGEPAGE);
	before = free_memory();
	if (backend->on == zram_on) {
		if (again) {
			snprintf(option, sizeof(option), "algo=%s priority=1", again);
			put(ZRAM "recomp_algorithm", option);
		}
		backend->on(comp);
	} else {
		if (again)
			snprintf(option, sizeof(option), ",recomp=%s", again);
		ghost_on(comp, "50%", option, NULL);
	}
	page_out(memory);
	if (again) {
		work = compress_again(backend) / stored;
		printf("figure %s%s %s alone-work %.4f\n", backend->name, name, comp, work);
	}
	ram = (pages * PAGE - (free_memory() - before)) / stored;
	printf("figure %s%s %s alone-ram %.4f\n", backend->name, name, comp, ram);
	if (memcmp(memory, corpus, pages * PAGE))
		errx(1, "%s with %s: pages came back wrong", backend->name, comp);
	unmap(memory);
	backend->off();
	backend->clean_up();
	fflush(stdout);
}

static noinline void measure_huge(const struct backend *backend, const char *comp)
{
	double made = thp_made(), split = thp_split();
	char *memory = map(MADV_HUGEPAGE);

	FIGURE("thp-out", page_out(memory));
	if (thp_made() - made != pages / 512 || thp_split() != split)
		errx(1, "%s: huge pages were split", backend->name);
	FIGURE("thp-free", unmap(memory));
}

/* The largest pages that the kernel swaps in are half a huge one. */
static noinline void measure_huge_in(const struct backend *backend, const char *comp)
{
	double in = 0, in_before, before, order = 0;
	char *memory;

	backend->prepare(comp);
	backend->on(comp);
	memory = map(MADV_HUGEPAGE);
	for (int round = 0; round < ROUNDS; round++) {
		in_before = in;
		page_out(memory);
		before = get_sum(THP "hugepages-1024kB/stats/swpin", "");
		in = page_in(memory);
		order = get_sum(THP "hugepages-1024kB/stats/swpin", "") - before;
		if (memcmp(memory, corpus, pages * PAGE))
			errx(1, "%s with %s: pages came back wrong", backend->name, comp);
		/* They go out whole only if they are huge when they go. */
		unmap(memory);
		memory = map(MADV_HUGEPAGE);
		if (round && difference(in_before, in) <= AGREED)
			break;
	}
	unmap(memory);
	backend->off();
	backend->clean_up();
	FIGURE("thp-in", in);
	FIGURE("thp-order", order == pages / 256 ? 1024.0 : 4.0);
}

/* What the plugin is told by. */
#define LOOKED_AT(phase) \
	static noinline void shared_##phase(void) { asm volatile("# " #phase); }
LOOKED_AT(out)
LOOKED_AT(in)
LOOKED_AT(freed)
LOOKED_AT(end)

#define MAX_CPUS	64

/* The processes, each on a CPU of its own, and the pipes to tell them and to hear them. */
static struct {
	int count;
	int tell[MAX_CPUS][2];
	int done[2];
} workers;

static void stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "sched_setaffinity");
}

static void work_on(int cpu)
{
	char *memory, step;

	stay_on(cpu);
	memory = map(MADV_NOHUGEPAGE);
	while (read(workers.tell[cpu][0], &step, 1) == 1 && step != 'q') {
		if (step == 'o' && madvise(memory, pages * PAGE, MADV_PAGEOUT))
			err(1, "MADV_PAGEOUT");
		if (step == 'i')
			page_in(memory);
		if (step == 'i' && memcmp(memory, corpus, pages * PAGE))
			errx(1, "pages came back wrong");
		if (step == 'f')
			unmap(memory);
		if (write(workers.done[1], "", 1) != 1)
			err(1, "write");
	}
	exit(0);
}

/* Has all of them do it at once. */
static void all_do(char step)
{
	char byte;

	for (int cpu = 0; cpu < workers.count; cpu++)
		if (write(workers.tell[cpu][1], &step, 1) != 1)
			err(1, "write");
	for (int cpu = 0; step != 'q' && cpu < workers.count; cpu++)
		if (read(workers.done[0], &byte, 1) != 1)
			errx(1, "a process ended early");
}

static void measure_shared(const struct backend *backend, const char *comp)
{
	workers.count = sysconf(_SC_NPROCESSORS_ONLN);
	if (workers.count > MAX_CPUS)
		errx(1, "more than %d CPUs", MAX_CPUS);
	area_pages = workers.count * usual_area();
	backend->prepare(comp);
	backend->on(comp);
	if (pipe(workers.done))
		err(1, "pipe");
	for (int cpu = 0; cpu < workers.count; cpu++) {
		pid_t child;

		if (pipe(workers.tell[cpu]))
			err(1, "pipe");
		child = fork();
		if (child < 0)
			err(1, "fork");
		if (!child)
			work_on(cpu);
	}
	/* The first time much is made that stays. */
	all_do('o');
	all_do('i');
	shared_out();
	all_do('o');
	shared_end();
	shared_in();
	all_do('i');
	shared_end();
	all_do('o');
	shared_freed();
	all_do('f');
	shared_end();
	all_do('q');
	while (wait(NULL) > 0)
		;
	backend->off();
	backend->clean_up();
	area_pages = usual_area();
}

struct traffic {
	double read_ios, read_bytes, write_ios, write_bytes;
};

static struct traffic traffic(void)
{
	const char *stat = strcmp(disk, LOOP) ? "/sys/block/vda/stat" : "/sys/block/loop0/stat";
	struct traffic now = {
		get_field(stat, 1), get_field(stat, 3) * 512,
		get_field(stat, 5), get_field(stat, 7) * 512,
	};

	return now;
}

/* Numbers below PAGES, as they are, or in an order that no readahead sees through. */
static void put_order(size_t *numbers, bool shuffled)
{
	uint64_t random = 1;

	for (size_t i = 0; i < pages; i++) {
		size_t other;

		numbers[i] = i;
		if (!shuffled)
			continue;
		random = random * 6364136223846793005 + 1442695040888963407;
		other = (random >> 33) % (i + 1);
		numbers[i] = numbers[other];
		numbers[other] = i;
	}
}

static void measure_store(const struct backend *backend, const char *comp)
{
	bool own_disk = backend->on == backend->on_store;
	size_t *order = malloc(pages * sizeof(*order));
	struct traffic before, after;
	double written;
	char *memory;

	if (!own_disk)
		make_store();
	backend->prepare(comp);
	backend->on_store(comp);

	for (int random = 0; random < 2; random++) {
		put_order(order, random);
		memory = map(MADV_NOHUGEPAGE);
		before = traffic();
		written = backend->written();
		page_out(memory);
		if (!random && !backend->objects)
			FIGURE("objects", zswap_objects() / stored);
		backend->write_back();
		after = traffic();
		written = backend->written() - written;
		if (written < 1)
			errx(1, "%s: nothing was written back", backend->name);
		if (!random) {
			FIGURE("wb-pages", written);
			FIGURE("wb-bytes", (after.write_bytes - before.write_bytes) / written);
			FIGURE("wb-ios", (after.write_ios - before.write_ios) / written);
		}

		/* As the kernel has it where swap is on disks. */
		put(READ_AHEAD, "3");
		before = traffic();
		for (size_t i = 0; i < pages; i++)
			seen += memory[order[i] * PAGE];
		after = traffic();
		put(READ_AHEAD, "0");
		if (memcmp(memory, corpus, pages * PAGE))
			errx(1, "%s with %s: pages came back wrong", backend->name, comp);
		FIGURE(random ? "random-bytes" : "seq-bytes",
		       (after.read_bytes - before.read_bytes) / written);
		FIGURE(random ? "random-ios" : "seq-ios",
		       (after.read_ios - before.read_ios) / written);
		unmap(memory);
	}

	backend->off();
	backend->clean_up();
	if (!own_disk)
		remove_disk();
	free(order);
}

/* Pages of one word take an entry in the table, and nothing else. */
static char *fill_area(size_t size)
{
	const size_t step = 64 << 20;
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED || madvise(memory, size, MADV_HUGEPAGE))
		err(1, "mmap");
	for (size_t done = 0; done < size; done += step) {
		memset(memory + done, 1, step);
		if (madvise(memory + done, step, MADV_PAGEOUT))
			err(1, "MADV_PAGEOUT");
	}
	return memory;
}

/* Puts what no compressor makes smaller into a page. */
static void make_incompressible(char *page)
{
	uint64_t random = 1;

	for (size_t i = 0; i < PAGE; i++) {
		random = random * 6364136223846793005 + 1442695040888963407;
		page[i] = random >> 56;
	}
}

static void measure_batches(const struct backend *backend, const char *comp, const char *what,
			    size_t more)
{
	double time = 0, written = 0;
	char *filled = NULL;

	make_store();
	area_pages = more / PAGE + 2 * usual_area();
	backend->prepare(comp);
	backend->on_store(comp);
	if (more)
		filled = fill_area(more);
	/* The first time, the mover finds that there is nothing in what was filled. */
	for (int round = 0; round < 2; round++) {
		char *memory = map(MADV_NOHUGEPAGE);

		make_incompressible(memory);
		written = backend->written();
		page_out(memory);
		time = now();
		backend->write_back();
		time = now() - time;
		written = backend->written() - written;
		unmap(memory);
	}
	if (written < 0.9 * stored)
		errx(1, "not all was written back");
	FIGURE(what, time / written);
	if (more)
		munmap(filled, more);
	backend->off();
	backend->clean_up();
	remove_disk();
	area_pages = usual_area();
}

#define SEGMENT		(2UL << 20)
#define DISK_IN_MEMORY	"/dev/nullb0"
#define WRITE_ROUNDS	5

/* Writes as many segments as it does for BYTES, and says how long that took for each of PAGE. */
static noinline double write_direct(double bytes)
{
	int fd = open(disk, O_WRONLY | O_DIRECT);
	size_t done = 0;
	char *segment;
	double time;

	if (fd < 0 || posix_memalign((void **)&segment, SEGMENT, SEGMENT))
		err(1, "%s", disk);
	memcpy(segment, corpus, SEGMENT);
	time = now();
	for (; done < bytes; done += SEGMENT)
		if (pwrite(fd, segment, SEGMENT, PAGE + done) != (ssize_t)SEGMENT)
			err(1, "%s", disk);
	time = now() - time;
	free(segment);
	close(fd);
	return time / done * PAGE;
}

static double time_of(void (*work)(void))
{
	double time = now();

	work();
	return now() - time;
}

/* Writes all pages back. There are two, for tests/bench/profile to tell them apart. */
static __attribute__((noipa)) double write_plain(const struct backend *backend)
{
	return time_of(backend->write_back);
}

static __attribute__((noipa)) double write_encrypted(const struct backend *backend)
{
	return time_of(backend->write_back);
}

/* Writes all pages back, with BYTES, and says how long that took for each of PAGE of these. */
static double write_back(const struct backend *backend, bool encrypt, double *bytes)
{
	static const char written[] = GHOST_POOL "backing0/written_bytes";
	double time, before;
	char *memory;

	ghost_on("lz4", "50%", encrypt ? "" : ",encrypt=off", disk);
	memory = map(MADV_NOHUGEPAGE);
	page_out(memory);
	before = get_sum(written, "");
	time = encrypt ? write_encrypted(backend) : write_plain(backend);
	*bytes = get_sum(written, "") - before;
	unmap(memory);
	backend->off();
	return time / *bytes * PAGE;
}

static void less(double *least, double value)
{
	if (!*least || value < *least)
		*least = value;
}

/* The least of some rounds: what else goes on makes them longer only. */
static noinline void measure_writes(const struct backend *backend, const char *comp,
				    const char *cpus)
{
	double direct = 0, plain = 0, encrypted = 0, bytes;

	for (int round = 0; round < WRITE_ROUNDS; round++) {
		make_header(disk, 512UL << 20 >> 12);
		less(&plain, write_back(backend, false, &bytes));
		less(&direct, write_direct(bytes));
		make_header(disk, 512UL << 20 >> 12);
		less(&encrypted, write_back(backend, true, &bytes));
	}
	printf("figure none %s write%s %.4f\n", comp, cpus, direct);
	printf("figure %s %s write%s %.4f\n", backend->name, comp, cpus, plain);
	printf("figure %s %s encrypted%s %.4f\n", backend->name, comp, cpus, encrypted);
}

/*
 * The time of swapoff is in that of off(), which does little else: the disk is slow,
 * and all is written that there is to write.
 */
static void measure_slow(const struct backend *backend, const char *comp)
{
	static const char *const times[] = { "swapoff-ms", "seq-ms", "random-ms" };
	static const char *const ios[] = { "swapoff-reads", "seq-reads", "random-reads" };
	bool own_disk = backend->on == backend->on_store;
	size_t *order = malloc(pages * sizeof(*order));
	struct traffic before;
	char *memory;
	double time;

	for (size_t round = 0; round < ARRAY_SIZE(times); round++) {
		put_order(order, round == 2);
		if (!own_disk)
			make_store();
		backend->prepare(comp);
		backend->on_store(comp);
		memory = map(MADV_NOHUGEPAGE);
		page_out(memory);
		backend->write_back();

		put(READ_AHEAD, "3");
		before = traffic();
		time = now();
		if (!round)
			backend->off();
		else
			for (size_t i = 0; i < pages; i++)
				seen += memory[order[i] * PAGE];
		time = now() - time;
		put(READ_AHEAD, "0");
		if (memcmp(memory, corpus, pages * PAGE))
			errx(1, "%s with %s: pages came back wrong", backend->name, comp);
		FIGURE(times[round], time / 1e6);
		FIGURE(ios[round], traffic().read_ios - before.read_ios);

		if (round)
			backend->off();
		backend->clean_up();
		if (!own_disk)
			remove_disk();
		unmap(memory);
	}
	free(order);
}

#define HOT_ROUNDS	16
/* What is counted are the last of them. */
#define STEADY_ROUNDS	8
/* About what a page has, compressed. */
#define COMPRESSED	1450

/* Has room in memory for POOL pages, which is about a hundredth of RAM, and a disk behind it. */
static void on_small(const struct backend *backend, const char *comp, size_t pool)
{
	if (backend->on == zram_on) {
		/* The second to come has the lower priority. */
		area_pages = pool;
		backend->on(comp);
		area_pages = usual_area();
		swap_on(disk);
	} else if (backend->on == zswap_on) {
		backend->on(comp);
		put(ZSWAP "max_pool_percent", "1");
	} else {
		ghost_on(comp, "1%", "", disk);
	}
}

static void write_all(char *memory, const size_t *order, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		volatile char *byte = memory + order[i] % count * PAGE;

		*byte = *byte;
	}
}

/*
 * Three pools' worth of pages go, and are not needed any more. Then half a pool's worth are
 * changed in no order, and go, again and again.
 */
static void measure_inverted(const struct backend *backend, const char *comp)
{
	size_t pool = get_sum("/proc/meminfo", "MemTotal:") * 1024 / 100 / COMPRESSED;
	size_t cold = 3 * pool, hot = pool / 2;
	size_t *order = malloc(pages * sizeof(*order));
	bool own_disk = backend->on == backend->on_store;
	double bytes = 0;
	char *memory;

	if (!order || cold + hot > pages)
		errx(1, "%zu pages are too few", pages);
	put_order(order, true);
	if (!own_disk)
		make_store();
	backend->prepare(comp);
	on_small(backend, comp, pool);
	memory = map(MADV_NOHUGEPAGE);
	if (madvise(memory, cold * PAGE, MADV_PAGEOUT))
		err(1, "MADV_PAGEOUT");
	for (int round = 0; round < HOT_ROUNDS; round++) {
		char *needed = memory + cold * PAGE;
		struct traffic before;

		if (madvise(needed, hot * PAGE, MADV_PAGEOUT))
			err(1, "MADV_PAGEOUT");
		/* What goes to a disk is being written. */
		usleep(100000);
		drop_swap_cache(needed, hot);
		before = traffic();
		write_all(needed, order, hot);
		if (round >= HOT_ROUNDS - STEADY_ROUNDS)
			bytes += traffic().read_bytes - before.read_bytes;
	}
	if (memcmp(memory, corpus, pages * PAGE))
		errx(1, "%s with %s: pages came back wrong", backend->name, comp);
	FIGURE("hot-reads", 100 * bytes / (PAGE * hot * STEADY_ROUNDS));
	unmap(memory);
	backend->off();
	if (backend->on == zram_on)
		swap_off(disk);
	backend->clean_up();
	if (!own_disk)
		remove_disk();
	free(order);
}

#define DEPTH		256
#define DEPTH_ROUNDS	3

/* Threads that touch pages, each every so many of an order. */
static struct {
	pthread_barrier_t begin;
	char *memory;
	const size_t *order;
	size_t count;
} touchers;

static void *touch(void *first)
{
	pthread_barrier_wait(&touchers.begin);
	for (size_t i = (size_t)first; i < pages; i += touchers.count)
		*(volatile char *)(touchers.memory + touchers.order[i] * PAGE);
	return NULL;
}

/* Nanoseconds a page, on all CPUs. */
static double touch_all(char *memory, const size_t *order, size_t count)
{
	pthread_t threads[DEPTH];
	pthread_attr_t attributes;
	cpu_set_t all;
	double time;

	CPU_ZERO(&all);
	for (long cpu = 0; cpu < sysconf(_SC_NPROCESSORS_ONLN); cpu++)
		CPU_SET(cpu, &all);
	touchers.memory = memory;
	touchers.order = order;
	touchers.count = count;
	if (pthread_barrier_init(&touchers.begin, NULL, count + 1) ||
	    pthread_attr_init(&attributes) ||
	    pthread_attr_setstacksize(&attributes, 16 * PAGE) ||
	    pthread_attr_setaffinity_np(&attributes, sizeof(all), &all))
		errx(1, "pthread attributes");
	for (size_t i = 0; i < count; i++)
		if (pthread_create(&threads[i], &attributes, touch, (void *)i))
			errx(1, "pthread_create");
	time = now();
	pthread_barrier_wait(&touchers.begin);
	for (size_t i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	time = now() - time;
	pthread_attr_destroy(&attributes);
	pthread_barrier_destroy(&touchers.begin);
	return time / pages;
}

/* The disk waits before it is done, so there is no use in one thread. */
static bool is_late;

/* There are two, for tests/bench/profile to tell them apart. */
static __attribute__((noipa)) double read_plain(char *memory, const size_t *order)
{
	return touch_all(memory, order, DEPTH);
}

static __attribute__((noipa)) double read_encrypted(char *memory, const size_t *order)
{
	return touch_all(memory, order, DEPTH);
}

static double read_by(size_t depth, bool encrypted, char *memory, const size_t *order)
{
	if (is_late || depth == 1)
		return touch_all(memory, order, depth);
	return encrypted ? read_encrypted(memory, order) : read_plain(memory, order);
}

static noinline void measure_depth_of(const struct backend *backend, const char *comp,
				      const char *how)
{
	static const size_t depths[] = { 1, DEPTH };
	size_t *order = malloc(pages * sizeof(*order));
	char what[32];

	put_order(order, true);
	for (size_t i = is_late; i < ARRAY_SIZE(depths); i++) {
		double least = 0;

		for (int round = 0; round < DEPTH_ROUNDS; round++) {
			char *memory = map(MADV_NOHUGEPAGE);
			double time;

			page_out(memory);
			backend->write_back();
			time = read_by(depths[i], *how, memory, order);
			if (memcmp(memory, corpus, pages * PAGE))
				errx(1, "%s with %s: pages came back wrong", backend->name, comp);
			if (!round || time < least)
				least = time;
			unmap(memory);
		}
		snprintf(what, sizeof(what), "%s-%zu%s", is_late ? "late" : "depth", depths[i],
			 how);
		FIGURE(what, least);
	}
	free(order);
}

static void measure_depth(const struct backend *backend, const char *comp)
{
	if (backend->on != backend->on_store)
		make_store();
	backend->prepare(comp);
	backend->on_store(comp);
	if (!strcmp(backend->name, "ghostswap")) {
		measure_depth_of(backend, comp, "-encrypted");
		backend->off();
		ghost_on(comp, "50%", ",encrypt=off", disk);
	}
	measure_depth_of(backend, comp, "");
	backend->off();
	backend->clean_up();
}

/* Slab caches and those of CPUs may take a page more or less. */
#define EMPTY_ROUNDS	5

static int compare(const void *left, const void *right)
{
	double difference = *(const double *)left - *(const double *)right;

	return (difference > 0) - (difference < 0);
}

static void measure_empty(const struct backend *backend, const char *comp,
			  const char *size, size_t size_pages)
{
	double ram[EMPTY_ROUNDS], before;
	char what[20];

	area_pages = size_pages;
	for (int round = -1; round < EMPTY_ROUNDS; round++) {
		backend->prepare(comp);
		before = free_memory();
		if (backend->on != zram_on) {
			backend->on(comp);
		} else if (!zram_on_size(comp, NULL)) {
			put(ZRAM "reset", "1");
			goto out;
		}
		/* The first time something may be made that stays. */
		if (round >= 0)
			ram[round] = before - free_memory();
		backend->off();
		backend->clean_up();
	}
	qsort(ram, EMPTY_ROUNDS, sizeof(*ram), compare);
	snprintf(what, sizeof(what), "empty-%s", size);
	FIGURE(what, ram[EMPTY_ROUNDS / 2]);
out:
	area_pages = usual_area();
}

/* What the kernel makes at the first use of anything is no backend's memory. */
static void warm_up(const struct backend *backend)
{
	/* Likely not one that is measured. */
	static const char comp[] = "lzo";
	char *memory = map(MADV_NOHUGEPAGE);

	backend->prepare(comp);
	backend->on(comp);
	page_out(memory);
	unmap(memory);
	backend->off();
	backend->clean_up();
}

/* The compressors that are named. */
static const char *all_comps;

static bool is_measured(const struct backend *backend, const char *comp, const char *names)
{
	bool is_again = strcmp(theirs(comp), comp) && has(all_comps, theirs(comp)) &&
			strncmp(backend->name, "ghostswap", strlen("ghostswap"));

	return has(names, backend->name) && !is_again;
}

static void measure_pages(const char *comp, const char *names)
{
	double crypto = -1;

	for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
		if (!is_measured(&backends[i], comp, names))
			continue;
		if (backends[i].crypto && crypto < 0)
			crypto = crypto_memory(&backends[i], comp);
		measure_small(&backends[i], comp, crypto);
		measure_huge(&backends[i], comp);
		backends[i].off();
		backends[i].clean_up();
		fflush(stdout);
	}
}

/*
 * In a control group, as zswap's shrinker works on one, and tells it what a
 * compressed page has.
 */
static void measure_in_group(const char *comp, const char *names,
			     void (*measure)(const struct backend *backend, const char *comp))
{
	pid_t child;
	int status;

	put("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	if (mkdir(CGROUP, 0700))
		err(1, CGROUP);
	child = fork();
	if (child < 0)
		err(1, "fork");
	if (!child) {
		put(CGROUP "cgroup.procs", "0");
		if (has(names, swap.name) && measure != measure_store)
			measure(&swap, comp);
		for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
			if (!is_measured(&backends[i], comp, names))
				continue;
			measure(&backends[i], comp);
			fflush(stdout);
		}
		exit(0);
	}
	if (waitpid(child, &status, 0) < 0 || status)
		errx(1, "the disk's figures could not be taken");
	if (rmdir(CGROUP))
		err(1, CGROUP);
}

static void measure_stores(const char *comp, const char *names)
{
	measure_in_group(comp, names, measure_store);
}

static void measure_all_inverted(const char *comp, const char *names)
{
	measure_in_group(comp, names, measure_inverted);
}

static void measure_all_slow(const char *comp, const char *names)
{
	measure_in_group(comp, names, measure_slow);
}

static void measure_all_depths(const char *comp, const char *names)
{
	measure_in_group(comp, names, measure_depth);
}

static void measure_all_shared(const char *comp, const char *names)
{
	for (size_t i = 0; i < ARRAY_SIZE(backends); i++)
		if (has(names, backends[i].name))
			measure_shared(&backends[i], comp);
}

static void measure_all_batches(const char *comp, const char *names)
{
	for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
		if (strcmp(backends[i].name, "ghostswap") || !has(names, backends[i].name))
			continue;
		measure_batches(&backends[i], comp, "batch", 0);
		measure_batches(&backends[i], comp, "batch-12G", 12UL << 30);
	}
}

static void measure_all_writes(const char *comp, const char *names)
{
	static const char cpu[] = "/sys/devices/system/cpu/cpu1/online";

	run("modprobe null_blk nr_devices=1 gb=1 memory_backed=1");
	disk = DISK_IN_MEMORY;
	for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
		if (strcmp(backends[i].name, "ghostswap") || !has(names, backends[i].name))
			continue;
		backends[i].prepare(comp);
		if (!access(cpu, W_OK)) {
			measure_writes(&backends[i], comp, "");
			put(cpu, "0");
		}
		measure_writes(&backends[i], comp, "-one");
		if (!access(cpu, W_OK))
			put(cpu, "1");
		backends[i].clean_up();
	}
	disk = LOOP;
}

static void measure_all_huge_in(const char *comp, const char *names)
{
	for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
		if (is_measured(&backends[i], comp, names))
			measure_huge_in(&backends[i], comp);
		fflush(stdout);
	}
}

static void measure_empty_areas(const struct backend *backend, const char *comp)
{
	measure_empty(backend, comp, "64G", 64UL << 30 >> 12);
	measure_empty(backend, comp, "1T", 1UL << 40 >> 12);
	fflush(stdout);
}

static void measure_all_empty(const char *comp, const char *names)
{
	if (has(names, swap.name))
		measure_empty_areas(&swap, comp);
	for (size_t i = 0; i < ARRAY_SIZE(backends); i++)
		if (has(names, backends[i].name))
			measure_empty_areas(&backends[i], comp);
}

static void measure_all_alone(const char *comp, const char *names)
{
	for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
		const struct backend *backend = &backends[i];
		bool is_zram = backend->on == zram_on;

		if (!has(names, backend->name) || (!is_zram && backend->on != ghostswap_on))
			continue;
		measure_alone(backend, comp, "", NULL);
		measure_alone(backend, comp, "-zstd", "zstd");
		if (!is_zram) {
			measure_alone(backend, comp, "-dense", "wlz:dense");
			measure_alone(backend, comp, "-bundles", "zstd:bundles");
		}
	}
}

static void for_each(const char *comps, const char *names,
		     void (*measure)(const char *comp, const char *names))
{
	char *rest = strdup(comps), *comp;

	while ((comp = strsep(&rest, ",")))
		measure(comp, names);
}

int main(int argc, char **argv)
{
	const char *names, *measures;

	if (argc != 6)
		errx(1, "usage: pagebench FILE PAGES COMPRESSOR[,...] BACKEND[,...] MEASURE[,...]");
	/* Pages that were just written are in a list of the CPU, out of reach for others. */
	stay_on(0);
	read_corpus(argv[1], argv[2]);
	area_pages = usual_area();
	all_comps = argv[3];
	names = argv[4];
	measures = argv[5];
	run(access(ZRAM_MODULE, F_OK) ? "modprobe zram" : "insmod " ZRAM_MODULE);
	if (has(names, "ghostswap") || has(names, "zswap-ghost"))
		run("modprobe ghostswap");
	/* A fault brings in one page. */
	put(READ_AHEAD, "0");
	/* A machine of this size has none by itself. */
	put(THP "enabled", "madvise");
	if (has(measures, "huge-in"))
		run("for order in " THP "hugepages-*/enabled; do echo inherit >$order; done");

	for (size_t i = 0; i < ARRAY_SIZE(backends); i++)
		if (has(names, backends[i].name))
			warm_up(&backends[i]);

	if (has(measures, "pages"))
		for_each(argv[3], names, measure_pages);
	if (has(measures, "store"))
		for_each(argv[3], names, measure_stores);
	if (has(measures, "inverted"))
		for_each(argv[3], names, measure_all_inverted);
	if (has(measures, "alone"))
		for_each(argv[3], names, measure_all_alone);
	if (has(measures, "huge-in"))
		for_each(argv[3], names, measure_all_huge_in);
	if (has(measures, "batches"))
		for_each(argv[3], names, measure_all_batches);
	if (has(measures, "writes"))
		for_each(argv[3], names, measure_all_writes);
	if (has(measures, "shared"))
		for_each(argv[3], names, measure_all_shared);
	if (has(measures, "empty"))
		for_each(argv[3], names, measure_all_empty);
	if (has(measures, "depth")) {
		disk = MEMORY_DISK;
		run("modprobe null_blk completion_nsec=10000 " MEMORY_DISK_PARAMETERS);
		for_each(argv[3], names, measure_all_depths);
		run("modprobe -r null_blk");
		is_late = true;
		run("modprobe null_blk completion_nsec=5000000 " MEMORY_DISK_PARAMETERS);
		for_each(argv[3], names, measure_all_depths);
	}
	if (has(measures, "slow")) {
		disk = SLOW_DISK;
		for_each(argv[3], names, measure_all_slow);
	}
	return 0;
}
