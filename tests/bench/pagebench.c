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
#include <err.h>
#include <fcntl.h>
#include <glob.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/swap.h>

#define PAGE		4096UL
#define HUGE		(512 * PAGE)
#define ROUNDS		6
#define AGREED		0.1	/* percent */

/* A backend's area holds the pages and some more, as huge pages need it. */
#define AREA_PERCENT	120

#define ZRAM		"/sys/block/zram0/"
#define ZRAM_DISK	"/dev/zram0"
#define ZSWAP		"/sys/module/zswap/parameters/"
#define GHOST		"/tmp/bench.ghost"
#define GHOST_POOL	"/sys/fs/ghostswap/bench/"

static const char *corpus;
static size_t pages;
static size_t stored;

struct backend {
	const char *name;
	/* If it compresses through the crypto API. */
	bool crypto;
	/* What it stands on; not counted as its memory. */
	void (*prepare)(const char *comp);
	void (*on)(const char *comp);
	void (*off)(void);
	/* Bytes it says it has, in use for pages. */
	double (*own)(void);
};

static void run(const char *command)
{
	if (system(command))
		errx(1, "%s failed", command);
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		err(1, "%s: %s", path, text);
	close(fd);
}

static void put_number(const char *path, size_t number)
{
	char text[32];

	snprintf(text, sizeof(text), "%zu", number);
	put(path, text);
}

/* The sum of the numbers that stand after KEY, at the beginning of lines. */
static double get_sum(const char *path, const char *key)
{
	char line[256];
	double sum = 0;
	FILE *file = fopen(path, "r");

	if (!file)
		err(1, "%s", path);
	while (fgets(line, sizeof(line), file)) {
		char *text = line + strspn(line, " ");

		if (!strncmp(text, key, strlen(key)))
			sum += strtod(text + strlen(key), NULL);
	}
	fclose(file);
	return sum;
}

static size_t area_pages(void)
{
	return pages * AREA_PERCENT / 100;
}

/* What mkswap would write. */
static void make_header(const char *path)
{
	static char page[PAGE];
	unsigned int fields[] = { 1, area_pages() - 1 };
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	memcpy(page + 1024, fields, sizeof(fields));
	memcpy(page + PAGE - 10, "SWAPSPACE2", 10);
	if (fd < 0 || write(fd, page, PAGE) != PAGE || fsync(fd))
		err(1, "%s", path);
	close(fd);
}

static void swap_on(const char *path)
{
	if (swapon(path, 0))
		err(1, "swapon %s", path);
}

static void swap_off(const char *path)
{
	if (swapoff(path))
		err(1, "swapoff %s", path);
}

static void no_preparation(const char *comp)
{
}

static void make_zram(const char *comp)
{
	put(ZRAM "comp_algorithm", comp);
	put_number(ZRAM "disksize", area_pages() * PAGE);
	make_header(ZRAM_DISK);
}

static void zram_on(const char *comp)
{
	make_zram(comp);
	swap_on(ZRAM_DISK);
}

static void zram_off(void)
{
	swap_off(ZRAM_DISK);
	put(ZRAM "reset", "1");
}

static double zram_own(void)
{
	double original, compressed, used;
	FILE *file = fopen(ZRAM "mm_stat", "r");

	if (!file || fscanf(file, "%lf %lf %lf", &original, &compressed, &used) != 3)
		err(1, ZRAM "mm_stat");
	fclose(file);
	/* An entry is 16 bytes, and there is one for each page of the disk. */
	return used + 16 * area_pages();
}

/* Something must be behind zswap, that it does not need here. */
static void zswap_prepare(const char *comp)
{
	make_zram("lz4");
}

static void zswap_on(const char *comp)
{
	put(ZSWAP "compressor", comp);
	put(ZSWAP "max_pool_percent", "50");
	put(ZSWAP "enabled", "Y");
	swap_on(ZRAM_DISK);
}

static void zswap_off(void)
{
	put(ZSWAP "enabled", "N");
	zram_off();
}

static double zswap_own(void)
{
	return get_sum("/proc/meminfo", "Zswap:") * 1024;
}

static void ghostswap_on(const char *comp)
{
	char options[64];

	make_header(GHOST);
	snprintf(options, sizeof(options), "comp=%s,limit=50%%,pool=bench", comp);
	if (mount(GHOST, GHOST, "ghostswap", 0, options))
		err(1, "mount %s with %s", GHOST, options);
	swap_on(GHOST);
}

static void ghostswap_off(void)
{
	swap_off(GHOST);
	if (umount(GHOST))
		err(1, "umount %s", GHOST);
	unlink(GHOST);
}

static double ghostswap_own(void)
{
	return get_sum(GHOST_POOL "pool_bytes", "") + get_sum(GHOST_POOL "table_bytes", "") +
	       get_sum(GHOST_POOL "fixed_bytes", "");
}

static const struct backend backends[] = {
	{ "zram", false, no_preparation, zram_on, zram_off, zram_own },
	{ "ghostswap", true, no_preparation, ghostswap_on, ghostswap_off, ghostswap_own },
	{ "zswap", true, zswap_prepare, zswap_on, zswap_off, zswap_own },
};

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

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

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
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

/* If LIST, of words between commas, has WORD in it. */
static bool has(const char *list, const char *word)
{
	size_t length = strlen(word);

	for (; list; list = strchr(list, ',')) {
		list += *list == ',';
		if (!strncmp(list, word, length) && (!list[length] || list[length] == ','))
			return true;
	}
	return false;
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

static void read_corpus(const char *path, const char *count)
{
	static const char zero[PAGE];
	struct stat status;
	int fd = open(path, O_RDONLY);

	if (fd < 0 || fstat(fd, &status))
		err(1, "%s", path);
	pages = strtoul(count, NULL, 10) / 512 * 512;
	if (!pages || pages > status.st_size / PAGE)
		errx(1, "%s has no %s pages", path, count);
	corpus = mmap(NULL, pages * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	if (corpus == MAP_FAILED)
		err(1, "%s", path);
	close(fd);
	for (size_t i = 0; i < pages; i++)
		stored += memcmp(corpus + i * PAGE, zero, PAGE) != 0;
}

int main(int argc, char **argv)
{
	char *comps, *comp;

	if (argc != 5)
		errx(1, "usage: pagebench FILE PAGES COMPRESSOR[,...] BACKEND[,...]");
	read_corpus(argv[1], argv[2]);
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
