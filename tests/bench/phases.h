/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the plugins here have in common: the functions of the guest that begin a phase,
 * and the file that the figures go to at the end.
 */
#ifndef PHASES_H
#define PHASES_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PHASES		8

static struct {
	char name[16];
	unsigned long address;
	unsigned long calls;
} phases[PHASES];
static size_t phase_count;
static const char *out;

/* Returns whether ARGUMENT is phase=NAME:ADDRESS or out=FILE, and takes it. */
static bool take_argument(const char *argument)
{
	if (phase_count < PHASES && sscanf(argument, "phase=%15[^:]:%lx",
					   phases[phase_count].name,
					   &phases[phase_count].address) == 2) {
		phase_count++;
		return true;
	}
	if (strncmp(argument, "out=", 4))
		return false;
	out = strdup(argument + 4);
	return true;
}

#endif
