/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The backends that are compared, each switched on and off the same way, and the
 * pages of a file to swap with them.
 *
 *   zram         a disk of its own, without a backing device but where one is asked for
 *   ghostswap    a ghost file, without a backing store but where one is asked for
 *   ghostswap-batch  the same, with batch=on
 *   ghostswap-full   the same, with a backing store, to which most goes at once
 *   zswap        in front of swap on a disk
 *   zswap-ghost  in front of a ghost file that has a backing store and no cache
 *   swap         on a disk, without anything; not in the list
 *
 * By default the disk is a loop device on tmpfs: like a real one to the kernel, and the
 * same at each run.
 */
#ifndef BENCH_BACKENDS_H
#define BENCH_BACKENDS_H

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/swap.h>

/* For functions that the profile finds by their names, see profile. */
#define noinline	__attribute__((__noinline__))

#define PAGE		4096UL
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define ZRAM		"/sys/block/zram0/"
#define ZRAM_DISK	"/dev/zram0"
#define ZSWAP		"/sys/module/zswap/parameters/"
#define GHOST		"/tmp/bench.ghost"
#define GHOST_POOL	"/sys/fs/ghostswap/bench/"
#define LOOP		"/dev/loop0"
/* A backing store has 8 MiB at least. */
#define STORE_EXTRA	(16UL << 20 >> 12)
#define LOOP_FILE	"/tmp/bench.disk"
#define CGROUP		"/sys/fs/cgroup/bench/"

/* The pages of the file, and how many of them are not all zero. */
static const char *corpus;
static size_t pages;
static size_t stored;

/* How many pages a backend's area holds. */
static size_t area_pages;

static const char *disk = LOOP;

struct backend {
	const char *name;
	/* Whether it compresses through the crypto API. */
	bool crypto;
	/* Makes what it needs below it, which is not counted as its memory. */
	void (*prepare)(const char *comp);
	void (*on)(const char *comp);
	void (*off)(void);
	/* Undoes what prepare did. That may have made the disk. */
	void (*clean_up)(void);
	/* Bytes in use for pages, by its own figures. */
	double (*own)(void);
	/* Bytes of zsmalloc's pages, and of the compressed pages in them. */
	double (*pool)(void);
	double (*objects)(void);
	/* As on, with a disk behind it, which was made before; off() ends this, too. */
	void (*on_store)(const char *comp);
	/* Writes all to the disk; returns how many pages went there so far. */
	void (*write_back)(void);
	double (*written)(void);
};

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		err(1, "%s: %s", path, text);
	close(fd);
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

/* Writes the header that mkswap would write. */
static void make_header(const char *path, size_t size)
{
	static char page[PAGE];
	unsigned int fields[] = { 1, size - 1 };
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

static void nothing(void)
{
}

static void no_preparation(const char *comp)
{
}

static void make_disk(size_t size)
{
	int loop, file;

	if (!strcmp(disk, LOOP)) {
		loop = open(LOOP, O_RDWR);
		file = open(LOOP_FILE, O_RDWR | O_CREAT, 0600);
		if (file < 0 || ftruncate(file, size * PAGE))
			err(1, LOOP_FILE);
		if (loop < 0 || ioctl(loop, LOOP_SET_FD, file))
			err(1, LOOP);
		close(file);
		close(loop);
	}
	make_header(disk, size);
}

static void remove_disk(void)
{
	int loop;

	if (!strcmp(disk, LOOP)) {
		loop = open(LOOP, O_RDWR);
		if (loop < 0 || ioctl(loop, LOOP_CLR_FD, 0))
			err(1, LOOP);
		close(loop);
		unlink(LOOP_FILE);
	}
}

/* Makes a disk with room for all pages, however a backend lays them out. */
static void make_store(void)
{
	make_disk(2 * pages + STORE_EXTRA);
}

/* A field of a line of numbers, the first being 1. */
static double get_field(const char *path, int field)
{
	double number = 0;
	FILE *file = fopen(path, "r");

	if (!file)
		err(1, "%s", path);
	while (field--)
		if (fscanf(file, "%lf", &number) != 1)
			errx(1, "%s is too short", path);
	fclose(file);
	return number;
}

/* What others are compared with that do not have the compressor: ghostswap's own. */
static const char *theirs(const char *comp)
{
	return strncmp(comp, "wlz", 3) ? comp : "lz4";
}

/* Returns false if there is no memory for its table. */
static bool make_zram(const char *comp, const char *backing)
{
	char size[32];
	int fd;

	if (backing)
		put(ZRAM "backing_dev", backing);
	put(ZRAM "comp_algorithm", theirs(comp));
	/* It has its table from the start, so this may be too much. */
	snprintf(size, sizeof(size), "%zu", area_pages * PAGE);
	fd = open(ZRAM "disksize", O_WRONLY);
	if (write(fd, size, strlen(size)) < 0) {
		close(fd);
		return false;
	}
	close(fd);
	return true;
}

static bool zram_on_size(const char *comp, const char *backing)
{
	if (!make_zram(comp, backing))
		return false;
	make_header(ZRAM_DISK, area_pages);
	swap_on(ZRAM_DISK);
	return true;
}

static void zram_on(const char *comp)
{
	if (!zram_on_size(comp, NULL))
		err(1, ZRAM "disksize");
}

static void zram_on_store(const char *comp)
{
	if (!zram_on_size(comp, disk))
		err(1, ZRAM "disksize");
}

static void zram_off(void)
{
	swap_off(ZRAM_DISK);
	put(ZRAM "reset", "1");
}

static double zram_objects(void)
{
	return get_field(ZRAM "mm_stat", 2);
}

static double zram_pool(void)
{
	return get_field(ZRAM "mm_stat", 3);
}

static double zram_own(void)
{
	/* An entry is 16 bytes, and there is one for each page of the disk. */
	return zram_pool() + 16 * area_pages;
}

static void zram_write_back(void)
{
	put(ZRAM "idle", "all");
	put(ZRAM "writeback", "idle");
}

static double zram_written(void)
{
	return get_field(ZRAM "bd_stat", 3);
}

static void zswap_prepare(const char *comp)
{
	make_disk(area_pages);
}

static void zswap_enable(const char *comp)
{
	put(ZSWAP "compressor", theirs(comp));
	put(ZSWAP "max_pool_percent", "50");
	put(ZSWAP "enabled", "Y");
}

static void zswap_on(const char *comp)
{
	zswap_enable(comp);
	swap_on(disk);
}

static void zswap_off(void)
{
	put(ZSWAP "enabled", "N");
	swap_off(disk);
}

static double zswap_own(void)
{
	return get_sum("/proc/meminfo", "Zswap:") * 1024;
}

static __attribute__((unused)) double zswap_objects(void)
{
	/* Sums over CPUs are up to two seconds late. */
	sleep(3);
	return get_sum(CGROUP "memory.stat", "zswap ");
}

static double zswap_written(void)
{
	return get_sum("/proc/vmstat", "zswpwb ");
}

static double in_swap_cache(void)
{
	return get_sum(CGROUP "memory.stat", "swapcached ");
}

/*
 * Pages that were written stay in the swap cache as long as memory is not short. A CPU's
 * last pages may be on no list yet, and reclaim does not see them.
 */
static void empty_swap_cache(void)
{
	int fd;

	/* Sums over CPUs are up to two seconds late. */
	sleep(3);
	for (int i = 0; i < 600; i++) {
		if (in_swap_cache() <= (pages / 100 + 31) * PAGE)
			return;
		fd = open(CGROUP "memory.reclaim", O_WRONLY);
		if (fd < 0)
			err(1, CGROUP "memory.reclaim");
		/* It fails if there is less than that. */
		if (write(fd, "64M", 3) < 0 && errno != EAGAIN)
			err(1, CGROUP "memory.reclaim");
		close(fd);
		usleep(100000);
	}
	errx(1, "pages stay in the swap cache");
}

/*
 * Makes zswap's shrinker write all pages but the last few, which it rounds down to none.
 * It looks at 128 of them at a time, and passes over each once before it takes it.
 */
static void zswap_write_back(void)
{
	double left = get_sum("/proc/meminfo", "Zswapped:"), before;

	put(ZSWAP "shrinker_enabled", "Y");
	for (size_t idle = 0; idle < pages / 128 + 60; idle++) {
		before = left;
		put("/proc/sys/vm/drop_caches", "2");
		usleep(100000);
		left = get_sum("/proc/meminfo", "Zswapped:");
		if (left < before)
			idle = 0;
	}
	put(ZSWAP "shrinker_enabled", "N");
	if (left * 1024 > pages * PAGE / 20)
		errx(1, "zswap: %.0f KiB were not written back", left);

	empty_swap_cache();
}

static void ghostswap_prepare(const char *comp)
{
	make_header(GHOST, area_pages);
}

/* Where half of the slots are in use, the kernel keeps no slot for a page that was read. */
static void batch_prepare(const char *comp)
{
	make_header(GHOST, 3 * area_pages);
}

static void ghostswap_clean_up(void)
{
	unlink(GHOST);
}

/* With this backing store, if it is not NULL. */
static void ghost_on(const char *comp, const char *limit, const char *more, const char *backing)
{
	char options[100];

	snprintf(options, sizeof(options), "comp=%s,limit=%s,pool=bench%s%s%s", comp, limit, more,
		 backing ? ",backing=" : "", backing ? backing : "");
	if (mount(GHOST, GHOST, "ghostswap", 0, options))
		err(1, "mount %s with %s", GHOST, options);
	swap_on(GHOST);
}

static void ghostswap_on(const char *comp)
{
	ghost_on(comp, "50%", "", NULL);
}

#define READ_AHEAD "/proc/sys/vm/page-cluster"

/* The kernel's readahead is what makes batches of reads. */
static void batch_on(const char *comp)
{
	put(READ_AHEAD, "3");
	ghost_on(comp, "50%", ",batch=on", NULL);
}

static void ghostswap_on_store(const char *comp)
{
	ghost_on(comp, "50%", "", disk);
}

/* Most of the time the pool is so full that it writes back. */
static void full_prepare(const char *comp)
{
	ghostswap_prepare(comp);
	make_disk(2 * area_pages + STORE_EXTRA);
}

static void full_on(const char *comp)
{
	ghost_on(comp, "8M", ",encrypt=off", disk);
}

static void full_clean_up(void)
{
	remove_disk();
	ghostswap_clean_up();
}

static void ghostswap_off(void)
{
	swap_off(GHOST);
	if (umount(GHOST))
		err(1, "umount %s", GHOST);
}

static void batch_off(void)
{
	ghostswap_off();
	put(READ_AHEAD, "0");
}

static double ghostswap_pool(void)
{
	return get_sum(GHOST_POOL "pool_bytes", "");
}

static double ghostswap_objects(void)
{
	return get_sum(GHOST_POOL "compressed_bytes", "");
}

static double ghostswap_own(void)
{
	return ghostswap_pool() + get_sum(GHOST_POOL "table_bytes", "") +
	       get_sum(GHOST_POOL "fixed_bytes", "");
}

static void ghostswap_write_back(void)
{
	put(GHOST_POOL "writeback", "all");
}

static double ghostswap_written(void)
{
	return get_sum(GHOST_POOL "written_pages", "");
}

static void both_prepare(const char *comp)
{
	ghostswap_prepare(comp);
	make_store();
}

static void both_on(const char *comp)
{
	ghost_on(comp, "50%", ",cache=off", disk);
	zswap_enable(comp);
}

static void both_off(void)
{
	put(ZSWAP "enabled", "N");
	ghostswap_off();
}

static void both_clean_up(void)
{
	ghostswap_clean_up();
	remove_disk();
}

static double both_own(void)
{
	return zswap_own() + ghostswap_own();
}

static void both_write_back(void)
{
	zswap_write_back();
	ghostswap_write_back();
}

static void swap_on_disk(const char *comp)
{
	swap_on(disk);
}

static void swap_off_disk(void)
{
	swap_off(disk);
}

/* Plain swap, which all of these must beat. */
static const struct backend swap = {
	.name = "swap",
	.prepare = zswap_prepare,
	.on = swap_on_disk,
	.off = swap_off_disk,
	.clean_up = remove_disk,
	.on_store = swap_on_disk,
	.write_back = empty_swap_cache,
};

static const struct backend backends[] = {
	{
		.name = "zram",
		.prepare = no_preparation,
		.on = zram_on,
		.off = zram_off,
		.clean_up = nothing,
		.own = zram_own,
		.pool = zram_pool,
		.objects = zram_objects,
		.on_store = zram_on_store,
		.write_back = zram_write_back,
		.written = zram_written,
	},
	{
		.name = "ghostswap",
		.crypto = true,
		.prepare = ghostswap_prepare,
		.on = ghostswap_on,
		.off = ghostswap_off,
		.clean_up = ghostswap_clean_up,
		.own = ghostswap_own,
		.pool = ghostswap_pool,
		.objects = ghostswap_objects,
		.on_store = ghostswap_on_store,
		.write_back = ghostswap_write_back,
		.written = ghostswap_written,
	},
	{
		.name = "ghostswap-batch",
		.crypto = true,
		.prepare = batch_prepare,
		.on = batch_on,
		.off = batch_off,
		.clean_up = ghostswap_clean_up,
		.own = ghostswap_own,
		.pool = ghostswap_pool,
		.objects = ghostswap_objects,
	},
	{
		.name = "ghostswap-full",
		.crypto = true,
		.prepare = full_prepare,
		.on = full_on,
		.off = ghostswap_off,
		.clean_up = full_clean_up,
		.own = ghostswap_own,
		.pool = ghostswap_pool,
		.objects = ghostswap_objects,
	},
	{
		.name = "zswap",
		.crypto = true,
		.prepare = zswap_prepare,
		.on = zswap_on,
		.off = zswap_off,
		.clean_up = remove_disk,
		.own = zswap_own,
		.pool = zswap_own,
		.on_store = zswap_on,
		.write_back = zswap_write_back,
		.written = zswap_written,
	},
	{
		.name = "zswap-ghost",
		.crypto = true,
		.prepare = both_prepare,
		.on = both_on,
		.off = both_off,
		.clean_up = both_clean_up,
		.own = both_own,
		.pool = zswap_own,
		.on_store = both_on,
		.write_back = both_write_back,
		.written = zswap_written,
	},
};

static noinline double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

/* Whether LIST, which is words between commas, has WORD. */
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
