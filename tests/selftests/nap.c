// SPDX-License-Identifier: GPL-2.0
/*
 * Have the machine sleep for some seconds, and print "OK" or the name of the error.
 *
 *	nap mem SECONDS		suspended to RAM
 *	nap freeze SECONDS	suspended to idle
 *
 * What wakes it from RAM is the real-time clock. QEMU's says nothing where the machine
 * is only idle, but its serial port does: a character that the port sends to itself, in
 * loopback, is reported when four times the time of one have passed, at so few baud.
 */
#include <asm/termbits.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "write_text.h"

/* <asm/termios.h> and <sys/ioctl.h> do not go together. */
#define TIOCM_LOOP 0x8000

#define PORT "ttyS1"
#define BITS_OF_FOUR_CHARACTERS 40

static void wake_by_clock(int seconds)
{
	struct itimerspec after = { .it_value.tv_sec = seconds };
	int fd = timerfd_create(CLOCK_BOOTTIME_ALARM, 0);

	if (fd < 0 || timerfd_settime(fd, 0, &after, NULL))
		err(1, "timerfd");
}

static void wake_by_port(int seconds)
{
	const struct termios2 slow = {
		.c_cflag = CS8 | CREAD | CLOCAL | BOTHER,
		.c_ospeed = BITS_OF_FOUR_CHARACTERS / seconds,
		.c_ispeed = BITS_OF_FOUR_CHARACTERS / seconds,
	};
	const int lines = TIOCM_LOOP;
	int fd = open("/dev/" PORT, O_RDWR | O_NOCTTY | O_NONBLOCK);

	if (fd < 0 || ioctl(fd, TCSETS2, &slow) || ioctl(fd, TIOCMBIS, &lines))
		err(1, PORT);
	/* At so few baud it would else be reported at once. */
	if (write_text("/sys/class/tty/" PORT "/rx_trig_bytes", "8") ||
	    write_text("/sys/class/tty/" PORT "/power/wakeup", "enabled") ||
	    write(fd, "", 1) != 1)
		err(1, PORT);
}

int main(int argc, char **argv)
{
	int seconds = argc == 3 ? atoi(argv[2]) : 0;

	if (seconds < 1 || seconds > 20)
		errx(2, "usage: nap mem|freeze SECONDS");
	if (!strcmp(argv[1], "freeze"))
		wake_by_port(seconds);
	else
		wake_by_clock(seconds);
	puts(write_text("/sys/power/state", argv[1]) ? strerrorname_np(errno) : "OK");
	return 0;
}
