/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The backends that are compared, each switched on and off the same way, and the
 * pages of a file to swap with them.
 */
#ifndef BENCH_BACKENDS_H
#define BENCH_BACKENDS_H

#include <err.h>
#include <fcntl.h>
#include <stdbool.h>
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

#define ZRAM		"/sys/block/zram0/"
#define ZRAM_DISK	"/dev/zram0"
#define ZSWAP		"/sys/module/zswap/parameters/"
#define GHOST		"/tmp/bench.ghost"
#define GHOST_POOL	"/sys/fs/ghostswap/bench/"

/* The pages of the file, and how many of them are not all zero. */
static const char *corpus;
static size_t pages;
static size_t stored;

/* How many pages a backend's area holds. */
static size_t area_pages;

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

/* What mkswap would write. */
static void make_header(const char *path)
{
	static char page[PAGE];
	unsigned int fields[] = { 1, area_pages - 1 };
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
	put_number(ZRAM "disksize", area_pages * PAGE);
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
	return used + 16 * area_pages;
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

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
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

#endif
