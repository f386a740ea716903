/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a page must hold, given where it is and its stamp, which says when it was
 * written and by which process. A stamp of 0 is a page that was not written: zeros.
 */
#ifndef PATTERN_H
#define PATTERN_H

#include <stdint.h>
#include <string.h>

#define PAGE 4096
#define WORDS (PAGE / sizeof(uint64_t))
#define HUGE_PAGE (2UL << 20)

/*
 * t(ext, compresses to about a third), r(andom), s(ame 32-bit word), w(ord of 64 bits, over and
 * over; its halves differ), z(ero)
 */
#define KINDS "trswz"

static inline uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	return x ^ x >> 33;
}

static inline uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static inline void content(uint64_t *page, char kind, uint64_t index, uint64_t stamp)
{
	uint64_t state = mix(stamp ^ mix(index + 1)) | 1;
	size_t i;

	if (!stamp || kind == 'z') {
		memset(page, 0, PAGE);
		return;
	}
	for (i = 0; i < WORDS; i++) {
		if (kind == 's')
			page[i] = (uint32_t)state | state << 32;
		else if (kind == 'w')
			page[i] = state;
		else if (kind == 'r' || i % 4 == 0)
			page[i] = next(&state);
		else
			page[i] = 0x0000200000000000ULL + i % 16;
	}
	/* A stranger's page is then known by what it begins with. */
	if (kind != 's' && kind != 'w') {
		page[0] = stamp;
		page[1] = index;
	}
}

#endif
