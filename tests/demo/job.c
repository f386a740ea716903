// SPDX-License-Identifier: GPL-2.0
/*
 * The job of the demonstration: a table in memory, as a program that analyses
 * a log might have it, is filled, changed and checked byte by byte.
 *
 * usage: job MEBIBYTES
 *
 * What a row holds follows from its number and the round it was written in, so
 * that any page that comes back as another's, or as an old one, is noticed.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct row {
	uint64_t number;
	uint32_t time;
	uint16_t status;
	uint16_t country;
	uint32_t address;
	uint32_t length;
	char agent[32];
	uint64_t round;
};

#define PAGE 4096
#define ROWS_PER_PAGE (PAGE / sizeof(struct row))

/* Of so many pages one is changed. */
#define CHANGED 8

static const char agents[][32] = {
	"Mozilla/5.0 (X11; Linux)", "Mozilla/5.0 (Windows NT 10.0)",
	"Mozilla/5.0 (iPhone)", "curl/8.14.1", "feed reader",
	"Mozilla/5.0 (compatible; bot)", "apt-http/3.0.3", "backup",
};

static const uint16_t statuses[] = { 200, 200, 200, 200, 304, 304, 404, 500 };

/* The finaliser of MurmurHash3: every bit of the row's number counts. */
static uint64_t mix(uint64_t n)
{
	n ^= n >> 33;
	n *= 0xff51afd7ed558ccdULL;
	n ^= n >> 33;
	n *= 0xc4ceb9fe1a85ec53ULL;
	return n ^ n >> 33;
}

static void make_page(struct row *rows, uint64_t page, uint64_t round)
{
	for (size_t i = 0; i < ROWS_PER_PAGE; i++) {
		uint64_t number = page * ROWS_PER_PAGE + i;
		uint64_t random = mix(number + (round << 48));
		uint64_t visitor = mix(number / 4);
		struct row *row = &rows[i];

		memset(row, 0, sizeof(*row));
		row->number = number;
		row->time = 1700000000 + number / 8;
		row->status = statuses[random & 7];
		row->length = random >> 3 & 0x3fff;
		row->country = visitor & 31;
		row->address = 0x0a000000 + (visitor >> 5 & 0xffff);
		memcpy(row->agent, agents[visitor >> 21 & 7], sizeof(row->agent));
		row->round = round;
	}
}

static int is_page(const struct row *rows, uint64_t page, uint64_t round)
{
	static struct row expected[ROWS_PER_PAGE];

	make_page(expected, page, round);
	if (!memcmp(rows, expected, PAGE))
		return 1;
	fprintf(stderr, "page %llu is not what round %llu wrote\n",
		(unsigned long long)page, (unsigned long long)round);
	return 0;
}

/* Tells how many of the pages are done, in KiB, at each so many of them. */
static void show(const char *what, size_t done, size_t pages, size_t each)
{
	if (done % each == 0 || done == pages)
		printf("%s %zu %zu\n", what, done * (PAGE / 1024), pages * (PAGE / 1024));
}

int main(int argc, char **argv)
{
	size_t pages = argc == 2 ? strtoul(argv[1], NULL, 10) * (1024 * 1024 / PAGE) : 0;
	/* A multiple of CHANGED, so that all passes come by. */
	size_t each = (pages / 64 / CHANGED + 1) * CHANGED;
	struct row *table;

	if (!pages) {
		fprintf(stderr, "usage: job MEBIBYTES\n");
		return 2;
	}
	setlinebuf(stdout);
	table = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (table == MAP_FAILED) {
		perror("mmap");
		return 1;
	}

	for (size_t i = 0; i < pages; i++) {
		make_page(&table[i * ROWS_PER_PAGE], i, 1);
		show("fill", i + 1, pages, each);
	}

	/*
	 * One page of CHANGED is checked and written anew, and then every page is
	 * checked, from the last one to the first.
	 */
	for (size_t i = 0; i < pages; i += CHANGED) {
		if (!is_page(&table[i * ROWS_PER_PAGE], i, 1))
			return 1;
		make_page(&table[i * ROWS_PER_PAGE], i, 2);
		show("change", i + CHANGED, pages, each);
	}
	for (size_t n = pages; n > 0; n--) {
		size_t i = n - 1;

		if (!is_page(&table[i * ROWS_PER_PAGE], i, i % CHANGED == 0 ? 2 : 1))
			return 1;
		show("check", pages - i, pages, each);
	}
	printf("done %zu\n", pages * (size_t)PAGE);
	return 0;
}
