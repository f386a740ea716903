// SPDX-License-Identifier: GPL-2.0
/*
 * Write a ghost file: one page with a swap header, right or wrong in one field.
 */
#include <byteswap.h>
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096

/* union swap_header of include/linux/swap.h */
union header {
	struct {
		char bootbits[1024];
		uint32_t version;
		uint32_t last_page;
		uint32_t nr_badpages;
		uint8_t uuid[16];
		char volume[16];
		uint32_t padding[117];
		uint32_t badpages[1];
	} info;
	struct {
		char reserved[PAGE - 10];
		char magic[10];
	} magic;
};

static uint64_t parse(const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, 0);

	switch (*end) {
	case 'T':
		value <<= 10;
		/* fallthrough */
	case 'G':
		value <<= 10;
		/* fallthrough */
	case 'M':
		value <<= 10;
		/* fallthrough */
	case 'K':
		value <<= 10;
		end++;
	}
	if (*end || end == text)
		errx(2, "not a number: %s", text);
	return value;
}

static void show_usage(void)
{
	errx(2, "usage: header FILE [FIELD=VALUE]...; for the fields see the source");
}

int main(int argc, char **argv)
{
	union header header = { .info = { .version = 1 } };
	const char *magic = "SWAPSPACE2";
	uint64_t length = PAGE, size = 1 << 30;
	int fd, i, swap_bytes = 0;
	char *value;

	if (argc < 2)
		show_usage();
	header.info.last_page = size / PAGE - 1;
	for (i = 2; i < argc; i++) {
		value = strchr(argv[i], '=');
		if (!value)
			show_usage();
		*value++ = '\0';
		if (!strcmp(argv[i], "size"))
			header.info.last_page = parse(value) / PAGE - 1;
		else if (!strcmp(argv[i], "last_page"))
			header.info.last_page = parse(value);
		else if (!strcmp(argv[i], "version"))
			header.info.version = parse(value);
		else if (!strcmp(argv[i], "magic"))
			magic = value;
		else if (!strcmp(argv[i], "bad"))
			header.info.nr_badpages = parse(value);
		else if (!strcmp(argv[i], "swap_bytes"))
			swap_bytes = parse(value);
		else if (!strcmp(argv[i], "length"))
			length = parse(value);
		else
			show_usage();
	}
	memcpy(header.magic.magic, magic, strnlen(magic, 10));
	if (header.info.nr_badpages)
		header.info.badpages[0] = 1;
	if (swap_bytes) {
		header.info.version = bswap_32(header.info.version);
		header.info.last_page = bswap_32(header.info.last_page);
		header.info.nr_badpages = bswap_32(header.info.nr_badpages);
	}

	fd = open(argv[1], O_CREAT | O_TRUNC | O_WRONLY, 0600);
	if (fd < 0)
		err(1, "%s", argv[1]);
	if (write(fd, &header, PAGE) != PAGE || ftruncate(fd, length) || fchmod(fd, 0600))
		err(1, "%s", argv[1]);
	return 0;
}
