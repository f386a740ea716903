/* SPDX-License-Identifier: GPL-2.0 */
#ifndef WRITE_TEXT_H
#define WRITE_TEXT_H

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* In one call, as files of sysfs want it. Answers -1 with errno, or 0. */
static inline int write_text(const char *file, const char *text)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC);
	int ret, error;

	if (fd < 0)
		return fd;
	ret = write(fd, text, strlen(text)) < 0 ? -1 : 0;
	error = errno;
	close(fd);
	errno = error;
	return ret;
}

#endif
