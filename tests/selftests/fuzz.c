// SPDX-License-Identifier: GPL-2.0
/*
 * Fuzz every input interface, for as long as it is told:
 *
 *	fuzz headers FILE TARGET	FILE is written, mounted over TARGET and swapped on
 *	fuzz options FILE TARGET	FILE, a ghost file, is mounted with options
 *	fuzz remounts MOUNTED		and one that is mounted is given others
 *	fuzz files PATH...		each is written to
 *
 * usage: fuzz [-s SECONDS] [-i SEED] [-w WORD]... VERB ARGUMENT...
 *
 * WORDs are what options and files may be about, such as a disk's path. What fails must
 * say why in one line, and what succeeds nothing. What does not is described on stderr,
 * and makes the status 1.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <time.h>
#include <unistd.h>

#include "pattern.h"

#define MAX_WORDS 8

static const char *words[MAX_WORDS] = { "/dev/null" };
static size_t nr_words = 1;
static uint64_t state = 1;
static time_t end;
static int kernel_log;

/* What was tried, and how much of it was taken. */
static size_t tried, taken;

static size_t below(size_t count)
{
	return next(&state) % count;
}

static bool one_in(size_t count)
{
	return !below(count);
}

static bool goes_on(void)
{
	return time(NULL) < end;
}

/* --- the kernel's log ---------------------------------------------------- */

/* Whether removals go on in the background, and may say why they failed. */
static bool removes;

/* Errors of ghostswap that came since this was asked last; the last of them in @line. */
static int lines_logged(char *line, size_t size)
{
	static const char prefix[] = "ghostswap: ";
	char record[8192], *text;
	unsigned long priority;
	ssize_t length;
	int lines = 0;

	for (;;) {
		length = read(kernel_log, record, sizeof(record) - 1);
		if (length < 0 && errno == EPIPE)
			continue;
		if (length <= 0)
			return lines;
		record[length] = '\0';
		text = strchr(record, ';');
		priority = strtoul(record, NULL, 10) & 7;
		if (!text || priority > 3 || strncmp(text + 1, prefix, strlen(prefix)))
			continue;
		if (removes && strstr(text, ": stays, for "))
			continue;
		snprintf(line, size, "%s", text + 1);
		lines++;
	}
}

static void start_log(void)
{
	kernel_log = open("/dev/kmsg", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (kernel_log < 0 || lseek(kernel_log, 0, SEEK_END) < 0)
		err(1, "/dev/kmsg");
}

/* What was given is told as it was: bytes that are no text in octal, and many zeros as dots. */
static void show(const char *bytes, size_t length)
{
	size_t i, zeros = 0;

	for (i = 0; i < length; i++) {
		zeros = bytes[i] ? 0 : zeros + 1;
		if (zeros > 8)
			fputs(zeros == 9 ? "..." : "", stderr);
		else if (bytes[i] >= ' ' && bytes[i] <= '~' && bytes[i] != '\\')
			fputc(bytes[i], stderr);
		else
			fprintf(stderr, "\\%03o", (unsigned char)bytes[i]);
	}
	fputc('\n', stderr);
}

static void wrong(const char *given, size_t length, const char *format, ...)
{
	va_list arguments;

	show(given, length);
	va_start(arguments, format);
	verrx(1, format, arguments);
}

/* Of a call that gave @error, 0 if it succeeded, there are so many lines as there should be. */
static void one_reason(const char *what, int error, const char *given, size_t length)
{
	char line[512] = "";
	int lines = lines_logged(line, sizeof(line)), waits;

	/*
	 * While another CPU says something, what comes after that cannot be read, nor can a line
	 * that was cut off, before there is another.
	 */
	for (waits = 100; error && !lines && waits; waits--) {
		if (write(kernel_log, "fuzz\n", 5) < 0)
			err(1, "/dev/kmsg");
		usleep(10000);
		lines = lines_logged(line, sizeof(line));
	}
	tried++;
	taken += !error;
	if (lines != !!error)
		wrong(given, length, "%s gives %s and %d lines, the last: %s", what,
		      error ? strerrorname_np(error) : "OK", lines, line);
}

static int error_of(int ret)
{
	return ret < 0 ? errno : 0;
}

/* --- text ---------------------------------------------------------------- */

struct text {
	char bytes[2 * PAGE];
	size_t length;
};

static void append(struct text *text, const char *bytes, size_t length)
{
	if (length > sizeof(text->bytes) - text->length)
		length = sizeof(text->bytes) - text->length;
	memcpy(text->bytes + text->length, bytes, length);
	text->length += length;
}

static void append_string(struct text *text, const char *string)
{
	append(text, string, strlen(string));
}

static void append_one_of(struct text *text, const char * const *strings)
{
	size_t count = 0;

	while (strings[count])
		count++;
	append_string(text, strings[below(count)]);
}

static void append_number(struct text *text)
{
	static const char * const numbers[] = {
		"0", "1", "20", "100", "101", "4096", "2097152", "4294967296",
		"9223372036854775808", "18446744073709551615", "18446744073709551616",
		"-1", "+1", "0x10", "007", "1e3", NULL
	};
	static const char * const units[] = {
		"", "", "%", "k", "K", "m", "M", "G", "T", "P", "MM", NULL
	};

	append_one_of(text, numbers);
	append_one_of(text, units);
}

/* Changes some of its bytes, most often none. */
static void mutate(struct text *text)
{
	static const char odd[] = "\n\t ,=%\\/.-+\"'\1\177\200\377";
	size_t at, length;

	while (text->length && one_in(2)) {
		at = below(text->length);
		length = below(text->length - at) + 1;
		switch (below(5)) {
		case 0:
			text->bytes[at] ^= 1 << below(8);
			break;
		case 1:
			text->bytes[at] = odd[below(sizeof(odd) - 1)];
			break;
		case 2:
			memmove(text->bytes + at, text->bytes + at + length,
				text->length - at - length);
			text->length -= length;
			break;
		case 3:
			append(text, text->bytes + at, length);
			break;
		case 4:
			while (!one_in(64))
				append(text, text->bytes + at, 1);
			break;
		}
	}
}

static void append_value(struct text *text)
{
	static const char * const values[] = {
		"on", "off", "wlz", "wlz:dense", "lz4", "zstd", "lzo", "nonesuch", "a", "pool.1",
		"..", "all", "", NULL
	};

	switch (below(4)) {
	case 0:
		append_number(text);
		break;
	case 1:
		append_string(text, words[below(nr_words)]);
		break;
	default:
		append_one_of(text, values);
	}
}

static const char * const option_names[] = {
	"comp", "limit", "limit", "pool", "cache", "encrypt", "backing", "nobacking", "discard",
	"write_limit", "", "nonesuch", NULL
};

/* As mount(2) takes them. */
static void options(struct text *text)
{
	text->length = 0;
	do {
		if (text->length)
			append_string(text, ",");
		append_one_of(text, option_names);
		if (!one_in(8)) {
			append_string(text, "=");
			append_value(text);
		}
	} while (one_in(2));
	mutate(text);
	if (text->length >= PAGE)
		text->length = PAGE - 1;
	append(text, "", 1);
}

/* --- headers ------------------------------------------------------------- */

union header {
	char bytes[PAGE];
	uint32_t words[PAGE / 4];
};

enum { VERSION = 1024 / 4, LAST_PAGE, BAD_PAGES };

static void draw_header(union header *header, off_t *length)
{
	static const uint32_t odd[] = { 0, 1, 2, 7, 0x1000000, 0x7fffffff, 0x80000000, 0xffffffff };
	size_t i, left;

	memset(header, 0, sizeof(*header));
	header->words[VERSION] = 1;
	header->words[LAST_PAGE] = 1 + below(1 << 18);
	memcpy(header->bytes + PAGE - 10, "SWAPSPACE2", 10);
	*length = PAGE;
	for (i = below(4); i; i--) {
		switch (below(7)) {
		case 0:
			header->words[VERSION + below(3)] = odd[below(8)];
			break;
		case 1:
			header->words[VERSION + below(3)] ^= 1U << below(32);
			break;
		case 2:
			header->bytes[PAGE - 1 - below(12)] ^= 1 << below(8);
			break;
		case 3:
			header->words[below(PAGE / 4)] = next(&state);
			break;
		case 4:
			*length = below(3 * PAGE);
			break;
		case 5:
			for (left = 32; left; left--)
				header->bytes[below(PAGE)] = next(&state);
			break;
		case 6:
			header->words[VERSION + below(3)] = below(3);
			break;
		}
	}
}

static bool is_right(const union header *header, off_t length)
{
	return length == PAGE && !memcmp(header->bytes + PAGE - 10, "SWAPSPACE2", 10) &&
	       header->words[VERSION] == 1 && header->words[LAST_PAGE] >= 1 &&
	       !header->words[BAD_PAGES];
}

static void write_header(const char *file, const union header *header, off_t length)
{
	int fd = open(file, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, header, PAGE) != PAGE || ftruncate(fd, length) || close(fd))
		err(1, "%s", file);
}

/* It may be too large for the memory that there is; the largest take long. */
static void swap_on_and_off(const char *target, const union header *header)
{
	int error;

	if (!one_in(header->words[LAST_PAGE] < 1 << 20 ? 8 : 128))
		return;
	error = error_of(swapon(target, 0));
	if (error && error != ENOMEM && error != EINVAL)
		wrong(header->bytes, PAGE, "swapon: %s", strerrorname_np(error));
	if (!error && swapoff(target))
		err(1, "swapoff of %s", target);
}

static void fuzz_headers(const char *file, const char *target)
{
	union header header;
	struct stat about;
	off_t length;
	int error;

	while (goes_on()) {
		draw_header(&header, &length);
		write_header(file, &header, length);
		error = error_of(mount(file, target, "ghostswap", 0, NULL));
		one_reason("mount", error, header.bytes, PAGE);
		/* A last page that the kernel does not take is EFBIG. */
		if (is_right(&header, length) ? error && error != EFBIG : error != EINVAL)
			wrong(header.bytes, PAGE, "mount of %lld bytes gives %s",
			      (long long)length, error ? strerrorname_np(error) : "OK");
		if (error)
			continue;
		if (stat(target, &about) ||
		    about.st_size != (header.words[LAST_PAGE] + 1LL) * PAGE)
			wrong(header.bytes, PAGE, "%lld bytes", (long long)about.st_size);
		swap_on_and_off(target, &header);
		if (umount(target))
			err(1, "umount of %s", target);
	}
}

/* --- options ------------------------------------------------------------- */

/* What a context for mounting says: so many errors. */
static int messages_of(int fs)
{
	char message[PAGE];
	ssize_t length;
	int errors = 0;

	while ((length = read(fs, message, sizeof(message))) > 0)
		errors += message[0] == 'e';
	return errors;
}

static int configure(int fs, unsigned int command, const char *key, const struct text *value)
{
	switch (command) {
	case FSCONFIG_SET_FLAG:
		return fsconfig(fs, command, key, NULL, 0);
	case FSCONFIG_SET_BINARY:
		return fsconfig(fs, command, key, value->bytes, value->length + 1);
	case FSCONFIG_SET_PATH:
		return fsconfig(fs, command, key, "/dev/null", AT_FDCWD);
	case FSCONFIG_SET_FD:
		return fsconfig(fs, command, key, NULL, kernel_log);
	default:
		return fsconfig(fs, FSCONFIG_SET_STRING, key, value->bytes, 0);
	}
}

/* Each call that fails says why, to its caller, and not to the log. */
static void through_fsopen(const char *source)
{
	struct text key, value;
	unsigned int command;
	int fs, error, said;

	fs = fsopen("ghostswap", FSOPEN_CLOEXEC);
	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "source", source, 0))
		err(1, "fsopen");
	do {
		key.length = 0;
		value.length = 0;
		append_one_of(&key, option_names);
		append_value(&value);
		if (one_in(4))
			mutate(&key);
		mutate(&value);
		/* More is refused before it is looked at. */
		if (!key.length || key.length > 250 || value.length > 250)
			continue;
		append(&key, "", 1);
		value.bytes[value.length] = '\0';
		command = one_in(2) ? FSCONFIG_SET_STRING : below(FSCONFIG_SET_FD + 1);
		error = error_of(configure(fs, command, key.bytes, &value));
		said = messages_of(fs);
		tried++;
		taken += !error;
		if (said != !!error)
			wrong(value.bytes, value.length, "%s by %u gives %s and %d messages",
			      key.bytes, command, error ? strerrorname_np(error) : "OK", said);
	} while (one_in(2));
	error = error_of(fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
	said = messages_of(fs);
	if (said != !!error)
		errx(1, "fsconfig(CREATE) gives %s and %d messages",
		     error ? strerrorname_np(error) : "OK", said);
	close(fs);
}

static void fuzz_options(const char *file, const char *target)
{
	struct text text;
	char line[512] = "";
	int error;

	while (goes_on()) {
		options(&text);
		error = error_of(mount(file, target, "ghostswap", 0, text.bytes));
		one_reason("mount", error, text.bytes, text.length - 1);
		if (!error && umount(target))
			err(1, "umount of %s", target);
		through_fsopen(file);
		if (lines_logged(line, sizeof(line)))
			errx(1, "said to the log as well: %s", line);
	}
}

static void fuzz_remounts(const char *target)
{
	struct text text;
	int error;

	removes = true;
	while (goes_on()) {
		options(&text);
		error = error_of(mount("none", target, "ghostswap", MS_REMOUNT, text.bytes));
		one_reason("remount", error, text.bytes, text.length - 1);
	}
}

/* --- files --------------------------------------------------------------- */

/* A limit of what is written in a day: off, or bytes, two segments at least. */
static bool is_write_limit(const char *text, size_t length)
{
	static const char suffixes[] = "kKmMgGtT";
	const char *suffix = length ? memchr(suffixes, text[length - 1], 8) : NULL;
	uint64_t bytes = 0, unit = 1;
	size_t i;

	if (length == 3 && !memcmp(text, "off", 3))
		return true;
	if (suffix) {
		unit = 1ULL << (suffix - suffixes + 2) / 2 * 10;
		length--;
	}
	for (i = 0; i < length; i++)
		if (text[i] < '0' || text[i] > '9' || __builtin_mul_overflow(bytes, 10, &bytes) ||
		    __builtin_add_overflow(bytes, text[i] - '0', &bytes))
			return false;
	if (__builtin_mul_overflow(bytes, unit, &bytes))
		return false;
	return length && bytes >= 4 << 20;
}

/* What the order or setting takes, with or without the end of the line. */
static bool is_taken_by(const char *name, const struct text *text)
{
	bool writeback = !strcmp(name, "writeback");
	size_t length = text->length, i;

	if (length && text->bytes[length - 1] == '\n')
		length--;
	if (!strcmp(name, "write_limit"))
		return is_write_limit(text->bytes, length);
	if (!writeback && strcmp(name, "age"))
		return false;
	if (writeback && length == 3 && !memcmp(text->bytes, "all", 3))
		return true;
	for (i = 0; i < length; i++)
		if (text->bytes[i] < '0' || text->bytes[i] > '9')
			return false;
	return length;
}

static void write_any(const char *path)
{
	const char *name = strrchr(path, '/') + 1;
	struct text text = { .length = 0 };
	int fd, error;

	append_value(&text);
	mutate(&text);
	if (one_in(2))
		append_string(&text, "\n");
	if (one_in(8))
		append(&text, "", 1);
	/* A write of nothing does not get to the module. */
	if (!text.length)
		return;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	error = error_of(fd);
	if (fd >= 0) {
		error = error_of(write(fd, text.bytes, text.length));
		close(fd);
	}
	if (strstr(name, "_backing"))
		one_reason(name, error, text.bytes, text.length);
	else if (!error && !is_taken_by(name, &text))
		wrong(text.bytes, text.length, "%s takes it", path);
	else
		tried++;
}

static void fuzz_files(char **paths, size_t count)
{
	while (goes_on())
		write_any(paths[below(count)]);
}

static void show_usage(void)
{
	errx(2, "usage: fuzz [-s SECONDS] [-i SEED] [-w WORD]... VERB ARGUMENT...; see the source");
}

int main(int argc, char **argv)
{
	const char *verb;
	int option;

	while ((option = getopt(argc, argv, "s:i:w:")) != -1) {
		if (option == 's')
			end = time(NULL) + atoi(optarg);
		else if (option == 'i')
			state = mix(strtoul(optarg, NULL, 0)) | 1;
		else if (option == 'w' && nr_words < MAX_WORDS)
			words[nr_words++] = optarg;
		else
			show_usage();
	}
	argc -= optind;
	argv += optind;
	if (argc < 2)
		show_usage();
	verb = argv[0];
	start_log();
	if (!strcmp(verb, "headers") && argc == 3)
		fuzz_headers(argv[1], argv[2]);
	else if (!strcmp(verb, "options") && argc == 3)
		fuzz_options(argv[1], argv[2]);
	else if (!strcmp(verb, "remounts") && argc == 2)
		fuzz_remounts(argv[1]);
	else if (!strcmp(verb, "files"))
		fuzz_files(argv + 1, argc - 1);
	else
		show_usage();
	printf("tried=%zu taken=%zu\n", tried, taken);
	return 0;
}
