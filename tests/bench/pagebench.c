// SPDX-License-Identifier: GPL-2.0
/*
 * What a page costs on its way out to swap and in again, with one swap backend
 * after the other, on the pages of a file.
 *
 * usage: pagebench FILE PAGES COMPRESSOR[,...] BACKEND[,...]
 *
 * Prints lines "figure BACKEND COMPRESSOR WHAT VALUE". Times are nanoseconds per
 * page, which are instructions per page in a virtual machine that counts them:
 *
 *   out        MADV_PAGEOUT of 4 KiB pages
 *   in         a touch of each page, which also frees its slot
 *   free       munmap of pages that are out
 *   thp-out    MADV_PAGEOUT of the same pages in huge ones
 *   spread     in percent, between the last two rounds: out and in, the larger
 *   ram        bytes of RAM per page stored: all that the machine has less
 *   slab       what of that is in slab caches
 *   own        bytes of RAM per page stored, by the backend's own figures
 *   stored     pages that reach the backend: those that are not all zero
 */
#define _GNU_SOURCE
#include <glob.h>
#include <stdint.h>

#include "backends.h"

#define HUGE		(512 * PAGE)
#define ROUNDS		6
#define AGREED		0.1	/* percent */

/* A backend's area holds the pages and some more, as huge pages need it. */
#define AREA_PERCENT	120

static void run(const char *command)
{
	if (system(command))
		errx(1, "%s failed", command);
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

static double page_out(char *memory)
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

static double page_in(char *memory)
{
	double time = now();

	for (size_t i = 0; i < pages; i++)
		seen += memory[i * PAGE];
	return (now() - time) / pages;
}

static double unmap(char *memory)
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
	return before - free_memory();
}

#define FIGURE(what, value) \
	printf("figure %s %s %s %.2f\n", backend->name, comp, what, value)

static void measure_small(const struct backend *backend, const char *comp, double crypto)
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
	own = backend->own();
	ram = pages * PAGE - (free_memory() - before);
	slab = slab_memory() - slab;
	if (backend->crypto)
		ram += crypto;

	FIGURE("out", out);
	FIGURE("in", in);
	FIGURE("free", unmap(memory));
	FIGURE("spread", spread);
	FIGURE("ram", ram / stored);
	FIGURE("slab", slab / stored);
	FIGURE("own", own / stored);
	FIGURE("stored", (double)stored);
}

static void measure_huge(const struct backend *backend, const char *comp)
{
	double made = thp_made(), split = thp_split();
	char *memory = map(MADV_HUGEPAGE);

	FIGURE("thp-out", page_out(memory));
	if (thp_made() - made != pages / 512 || thp_split() != split)
		errx(1, "%s: huge pages were split", backend->name);
	unmap(memory);
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
}

static void measure_all(const char *comp, const char *names)
{
	double crypto = -1;

	for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
		if (!has(names, backends[i].name))
			continue;
		if (backends[i].crypto && crypto < 0)
			crypto = crypto_memory(&backends[i], comp);
		measure_small(&backends[i], comp, crypto);
		measure_huge(&backends[i], comp);
		backends[i].off();
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	char *comps, *comp;

	if (argc != 5)
		errx(1, "usage: pagebench FILE PAGES COMPRESSOR[,...] BACKEND[,...]");
	read_corpus(argv[1], argv[2]);
	area_pages = pages * AREA_PERCENT / 100;
	run("modprobe zram");
	if (has(argv[4], "ghostswap"))
		run("modprobe ghostswap");
	/* A fault brings in one page. */
	put("/proc/sys/vm/page-cluster", "0");
	/* A machine of this size has none by itself. */
	put("/sys/kernel/mm/transparent_hugepage/enabled", "madvise");

	for (size_t i = 0; i < ARRAY_SIZE(backends); i++)
		if (has(argv[4], backends[i].name))
			warm_up(&backends[i]);

	comps = strdup(argv[3]);
	while ((comp = strsep(&comps, ",")))
		measure_all(comp, argv[4]);
	return 0;
}
