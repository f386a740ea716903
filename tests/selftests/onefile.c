// SPDX-License-Identifier: GPL-2.0
/*
 * onefile MOUNTED HEADER SIZE: what can be read from the mounted file, and what
 * each attempt to change it gives, one line an attempt: its name and the error.
 * HEADER is a copy of the ghost file.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#define PAGE 4096

static char header[PAGE];
static off_t size;

static void result(const char *what, long ret)
{
	printf("%s %s\n", what, ret < 0 ? strerrorname_np(errno) : "OK");
}

/* A read of LENGTH at OFFSET answers the right number of the right bytes. */
static void reads(int fd, const char *what, off_t offset, size_t length)
{
	static char found[3 * PAGE];
	size_t expected = 0;
	ssize_t got, i;

	if (offset < size)
		expected = size - offset < (off_t)length ? (size_t)(size - offset) : length;
	memset(found, 0xa5, sizeof(found));
	got = pread(fd, found, length, offset);
	if (got < 0) {
		result(what, got);
		return;
	}
	if ((size_t)got != expected) {
		printf("%s %zd bytes, not %zu\n", what, got, expected);
		return;
	}
	for (i = 0; i < got; i++) {
		char want = offset + i < PAGE ? header[offset + i] : 0;

		if (found[i] != want) {
			printf("%s wrong at %lld\n", what, (long long)offset + i);
			return;
		}
	}
	printf("%s right\n", what);
}

static void reading(int fd)
{
	reads(fd, "read.header", 0, PAGE);
	reads(fd, "read.magic", PAGE - 10, 10);
	reads(fd, "read.across", PAGE - 100, 200);
	reads(fd, "read.three_pages", 0, 3 * PAGE);
	reads(fd, "read.odd", 1048577, 12345 % (3 * PAGE));
	reads(fd, "read.middle", size / 2 + 17, PAGE);
	reads(fd, "read.last_page", size - PAGE, PAGE);
	reads(fd, "read.over_the_end", size - 10, 100);
	reads(fd, "read.at_the_end", size, 10);
	reads(fd, "read.beyond", size + PAGE, 10);
	printf("seek.end %s\n", lseek(fd, 0, SEEK_END) == size ? "right" : "wrong");
	printf("seek.set %s\n", lseek(fd, 5000, SEEK_SET) == 5000 ? "right" : "wrong");
	printf("seek.cur %s\n", lseek(fd, -1000, SEEK_CUR) == 4000 ? "right" : "wrong");
	result("seek.negative", lseek(fd, -1, SEEK_SET));
}

static void writing(int fd, const char *path)
{
	struct iovec vec = { header, 10 };
	int other;

	result("write", write(fd, "x", 1));
	result("pwrite", pwrite(fd, "x", 1, size / 2));
	result("writev", writev(fd, &vec, 1));
	result("ftruncate.shorter", ftruncate(fd, PAGE));
	result("ftruncate.longer", ftruncate(fd, size + PAGE));
	result("truncate", truncate(path, 0));
	other = open(path, O_RDWR | O_TRUNC);
	result("open.truncate", other);
	other = open(path, O_WRONLY | O_APPEND);
	result("open.append", other);
	result("write.append", write(other, "x", 1));
	result("fallocate", fallocate(fd, 0, 0, PAGE));
	result("fallocate.punch", fallocate(fd, FALLOC_FL_PUNCH_HOLE |
					    FALLOC_FL_KEEP_SIZE, 0, PAGE));
}

static void mapping(int fd)
{
	const int none = PROT_NONE, rw = PROT_READ | PROT_WRITE;

#define MAPS(what, prot, flags) \
	result(what, (long)mmap(NULL, PAGE, prot, flags, fd, 0) == -1 ? -1 : 0)
	MAPS("mmap.shared", rw, MAP_SHARED);
	MAPS("mmap.private", rw, MAP_PRIVATE);
	MAPS("mmap.read", PROT_READ, MAP_SHARED);
	MAPS("mmap.none", none, MAP_SHARED);
#undef MAPS
}

static void attributes(int fd, const char *path)
{
	struct timespec times[2] = { { 1, 0 }, { 1, 0 } };
	char value[16];

	result("fchmod", fchmod(fd, 0644));
	result("chmod", chmod(path, 0666));
	result("fchown", fchown(fd, 1, 1));
	result("chown", chown(path, 1, -1));
	result("futimens", futimens(fd, times));
	result("setxattr.user", setxattr(path, "user.x", "y", 1, 0));
	result("setxattr.trusted", fsetxattr(fd, "trusted.x", "y", 1, 0));
	result("setxattr.security", fsetxattr(fd, "security.x", "y", 1, 0));
	result("getxattr.user", getxattr(path, "user.x", value, sizeof(value)));
	result("removexattr.user", removexattr(path, "user.x"));
	result("unlink", unlink(path));
	result("rename", rename(path, "renamed"));
	result("ioctl", ioctl(fd, FIONBIO + 1, 0));
}

int main(int argc, char **argv)
{
	struct stat before, after;
	int fd;

	if (argc != 4)
		errx(2, "usage: onefile MOUNTED HEADER SIZE");
	fd = open(argv[2], O_RDONLY);
	if (fd < 0 || read(fd, header, PAGE) != PAGE)
		err(1, "%s", argv[2]);
	close(fd);
	size = strtoull(argv[3], NULL, 0);

	/* swapon(2) opens it for writing, so that must work. */
	fd = open(argv[1], O_RDWR);
	if (fd < 0 || fstat(fd, &before))
		err(1, "%s", argv[1]);
	reading(fd);
	writing(fd, argv[1]);
	mapping(fd);
	attributes(fd, argv[1]);
	if (fstat(fd, &after))
		err(1, "%s", argv[1]);
	printf("unchanged %s\n", before.st_size == after.st_size &&
	       before.st_mode == after.st_mode && before.st_uid == after.st_uid &&
	       before.st_mtime == after.st_mtime ? "right" : "wrong");
	reads(fd, "read.again", 0, 3 * PAGE);
	return 0;
}
