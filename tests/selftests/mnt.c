// SPDX-License-Identifier: GPL-2.0
/*
 * Call mount(2) and others directly, and print "OK" or the name of the
 * error: the tools print a translation of it, each in its own words.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/swap.h>
#include <unistd.h>

#include "write_text.h"

static int show_usage(void)
{
	fputs("usage: mnt mount SOURCE TARGET [OPTIONS]\n"
	      "       mnt remount TARGET [OPTIONS]\n"
	      "       mnt fsmount SOURCE TARGET [OPTIONS]\n"
	      "       mnt umount|detach TARGET\n"
	      "       mnt swapon FILE [PRIORITY]\n"
	      "       mnt swapoff FILE\n"
	      "       mnt write FILE TEXT\n"
	      "       mnt poll FILE TEXT\n"
	      "       mnt truncate|unlink FILE\n"
	      "       mnt events SUBSYSTEM\n"
	      "An empty SOURCE stands for none at all.\n"
	      "poll waits until the FILE does not read as TEXT, and prints as what it does.\n"
	      "events prints \"listening\", and then a line for each event of the kernel's, for ever.\n"
	      "fsmount goes through fsopen(2) and prints its log as well.\n",
	      stderr);
	return 2;
}

static int fsconfig_options(int fs, char *options)
{
	char *option, *value;
	int ret;

	while ((option = strsep(&options, ","))) {
		if (!*option)
			continue;
		value = strchr(option, '=');
		if (value) {
			*value++ = '\0';
			ret = fsconfig(fs, FSCONFIG_SET_STRING, option, value, 0);
		} else {
			ret = fsconfig(fs, FSCONFIG_SET_FLAG, option, NULL, 0);
		}
		if (ret)
			return ret;
	}
	return 0;
}

static void print_log(int fs)
{
	char message[512];
	ssize_t length;

	while ((length = read(fs, message, sizeof(message))) > 0)
		printf("%.*s", (int)length, message);
}

static int new_mount(const char *source, const char *target, char *options)
{
	int fs, mount = -1, ret, error;

	fs = fsopen("ghostswap", FSOPEN_CLOEXEC);
	if (fs < 0)
		return fs;
	ret = fsconfig(fs, FSCONFIG_SET_STRING, "source", source, 0);
	if (!ret)
		ret = fsconfig_options(fs, options);
	if (!ret)
		ret = fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	if (!ret) {
		mount = fsmount(fs, FSMOUNT_CLOEXEC, 0);
		ret = mount;
	}
	if (mount >= 0)
		ret = move_mount(mount, "", AT_FDCWD, target,
				 MOVE_MOUNT_F_EMPTY_PATH);
	error = errno;
	print_log(fs);
	errno = error;
	return ret;
}

static int poll_file(const char *path, const char *text)
{
	struct pollfd poll_fd = { .events = POLLPRI };
	char line[64];
	ssize_t length;

	poll_fd.fd = open(path, O_RDONLY | O_CLOEXEC);
	if (poll_fd.fd < 0)
		return -1;
	for (;;) {
		length = pread(poll_fd.fd, line, sizeof(line) - 1, 0);
		if (length < 0)
			return -1;
		line[length] = '\0';
		line[strcspn(line, "\n")] = '\0';
		if (strcmp(line, text))
			break;
		if (poll(&poll_fd, 1, -1) < 0)
			return -1;
	}
	puts(line);
	exit(0);
}

/* An event is a line "ACTION@PATH", and more of "NAME=VALUE", each with a zero after it. */
static void print_event(const char *event, size_t length, const char *subsystem)
{
	const char *word = event, *end = event + length;
	bool is_meant = false;

	for (; word < end; word += strlen(word) + 1)
		if (!strncmp(word, "SUBSYSTEM=", 10))
			is_meant = !strcmp(word + 10, subsystem);
	if (!is_meant)
		return;
	printf("%s", event);
	for (word = event; word < end; word += strlen(word) + 1)
		if (!strncmp(word, "GHOSTSWAP_", 10))
			printf(" %s", word);
	putchar('\n');
}

static int print_events(const char *subsystem)
{
	const struct sockaddr_nl from_kernel = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	char event[4096];
	ssize_t length;
	int events;

	events = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
	if (events < 0 || bind(events, (const void *)&from_kernel, sizeof(from_kernel)))
		return -1;
	setlinebuf(stdout);
	puts("listening");
	while ((length = recv(events, event, sizeof(event) - 1, 0)) >= 0) {
		event[length] = '\0';
		print_event(event, length, subsystem);
	}
	return -1;
}

int main(int argc, char **argv)
{
	char none[] = "", *call = argv[1], *first = argv[2];
	char *second = argc > 3 ? argv[3] : NULL;
	char *options = argc > 4 ? argv[4] : none;
	int ret;

	if (argc < 3)
		return show_usage();
	if (!strcmp(call, "mount") && second)
		ret = mount(*first ? first : NULL, second, "ghostswap", 0, options);
	else if (!strcmp(call, "remount"))
		ret = mount("none", first, "ghostswap", MS_REMOUNT,
			    second ? second : none);
	else if (!strcmp(call, "fsmount") && second)
		ret = new_mount(first, second, options);
	else if (!strcmp(call, "umount"))
		ret = umount2(first, 0);
	else if (!strcmp(call, "detach"))
		ret = umount2(first, MNT_DETACH);
	else if (!strcmp(call, "swapon"))
		ret = swapon(first, second && *second ?
			     SWAP_FLAG_PREFER | atoi(second) : 0);
	else if (!strcmp(call, "swapoff"))
		ret = swapoff(first);
	else if (!strcmp(call, "write") && second)
		ret = write_text(first, second);
	else if (!strcmp(call, "poll") && second)
		ret = poll_file(first, second);
	else if (!strcmp(call, "events"))
		ret = print_events(first);
	else if (!strcmp(call, "truncate"))
		ret = truncate(first, 0);
	else if (!strcmp(call, "unlink"))
		ret = unlink(first);
	else
		return show_usage();

	puts(ret < 0 ? strerrorname_np(errno) : "OK");
	return 0;
}
