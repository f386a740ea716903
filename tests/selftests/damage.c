// SPDX-License-Identifier: GPL-2.0
/*
 * Change what a disk has in some places, drawn from SEED, as no program would: bits and
 * bytes, pages that are zeros, or another's, or what they were once, and at times the
 * disk's end. Its first page stays, which is the swap header.
 *
 * usage: damage IMAGE OLD SEED
 *
 * OLD is what IMAGE had in it at another time.
 */
#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pattern.h"

#define SEGMENT (2UL << 20)
#define UNIT 16UL

static uint64_t state;

static size_t below(size_t count)
{
	return next(&state) % count;
}

static size_t least(size_t one, size_t other)
{
	return one < other ? one : other;
}

static const char zeros[PAGE];

/* A place in a page of @content that is not zeros, if there is one; not in the first. */
static size_t used_place(const char *content, size_t size)
{
	size_t left, at;

	for (left = 1000; left; left--) {
		at = PAGE + below(size - PAGE);
		if (memcmp(content + at / PAGE * PAGE, zeros, PAGE))
			return at;
	}
	return PAGE;
}

static void swap_bytes(char *one, char *other, size_t length)
{
	char byte;

	while (length--) {
		byte = *one;
		*one++ = *other;
		*other++ = byte;
	}
}

static void damage(char *content, size_t size, const char *old)
{
	size_t at = used_place(content, size), other = used_place(content, size);
	size_t page = at / PAGE * PAGE, other_page = other / PAGE * PAGE;
	size_t length = 1 + below(PAGE), i;

	switch (below(8)) {
	case 0:
		content[at] ^= 1 << below(8);
		break;
	case 1:
		for (i = at; i < at + length && i < size; i++)
			content[i] = next(&state);
		break;
	case 2:
		memset(content + page, 0, PAGE);
		break;
	case 3:
		swap_bytes(content + page, content + other_page, PAGE);
		break;
	case 4:
		/* Records begin with a unit. */
		at = at / UNIT * UNIT;
		other = other / UNIT * UNIT;
		length = length / UNIT * UNIT;
		if (at + length <= size && other + length <= size)
			memmove(content + at, content + other, length);
		break;
	case 5:
		memcpy(content + page, old + page, PAGE);
		break;
	case 6:
		/* What was written once, in its own place, for as far as it goes. */
		page = PAGE + (page - PAGE) / SEGMENT * SEGMENT;
		memcpy(content + page, old + page, below(least(size - page, SEGMENT)));
		break;
	case 7:
		memcpy(content + page, old + other_page, PAGE);
		break;
	}
}

static char *map(const char *file, size_t *size)
{
	int fd = open(file, O_RDWR | O_CLOEXEC);
	struct stat about;
	char *content;

	if (fd < 0 || fstat(fd, &about))
		err(1, "%s", file);
	*size = about.st_size;
	content = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (content == MAP_FAILED)
		err(1, "%s", file);
	close(fd);
	return content;
}

int main(int argc, char **argv)
{
	size_t size, old_size, times;
	char *content, *old;

	if (argc != 4)
		errx(2, "usage: damage IMAGE OLD SEED");
	state = mix(strtoul(argv[3], NULL, 0)) | 1;
	content = map(argv[1], &size);
	old = map(argv[2], &old_size);
	if (old_size < size)
		errx(1, "%s is shorter than %s", argv[2], argv[1]);
	/* It may end with its first page since the last time. */
	if (size < 2 * PAGE)
		return 0;
	for (times = 1 + below(12); times; times--)
		damage(content, size, old);
	/* A disk that ends early cannot be read there. */
	if (!below(8) && truncate(argv[1], used_place(content, size) / PAGE * PAGE))
		err(1, "%s", argv[1]);
	return 0;
}
