// SPDX-License-Identifier: GPL-2.0
/*
 * A plugin for QEMU that counts the guest kernel's writes to cache lines that more than
 * one CPU writes to, by address of the code.
 *
 * arguments: phase=NAME:ADDRESS, of each of these functions, from the call of which on
 * writes count for it; end=ADDRESS, of the function that ends each; out=FILE, to which
 * lines "NAME CALLS ADDRESS WRITES LINES" go at the end, with how often the function was
 * called, and to how many such lines the code wrote.
 */
#include <pthread.h>

#include "phases.h"
#include "qemu_plugin.h"

#define LINE_SHIFT	6
#define BUCKETS		1048576
/* From here on is the kernel, its code and its data. */
#define KERNEL		0x800000000000UL

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

/* What one place in the code wrote to one line. */
struct writes {
	unsigned long code;
	unsigned long count;
	struct writes *next;
};

struct line {
	unsigned long number;
	unsigned long cpus;
	struct writes *writes;
	struct line *next;
};

/* Of each phase. */
static struct line *lines[PHASES][BUCKETS];
static unsigned long end;

/* The phase that counts, if one does. */
static size_t phase = PHASES;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *make(size_t size)
{
	void *made = calloc(1, size);

	if (!made)
		abort();
	return made;
}

static struct line *find_line(unsigned long number)
{
	struct line **at = &lines[phase][number % BUCKETS];

	while (*at && (*at)->number != number)
		at = &(*at)->next;
	if (!*at) {
		*at = make(sizeof(**at));
		(*at)->number = number;
	}
	return *at;
}

static struct writes *find_writes(struct line *line, unsigned long code)
{
	struct writes **at = &line->writes;

	while (*at && (*at)->code != code)
		at = &(*at)->next;
	if (!*at) {
		*at = make(sizeof(**at));
		(*at)->code = code;
	}
	return *at;
}

static void wrote(unsigned int cpu, qemu_plugin_meminfo_t info, uint64_t address, void *code)
{
	struct line *line;

	if (phase == PHASES || address < KERNEL)
		return;
	pthread_mutex_lock(&lock);
	if (phase < PHASES) {
		line = find_line(address >> LINE_SHIFT);
		line->cpus |= 1UL << cpu;
		find_writes(line, (unsigned long)code)->count++;
	}
	pthread_mutex_unlock(&lock);
}

static void executed(unsigned int cpu, void *data)
{
	unsigned long address = (unsigned long)data;
	size_t i;

	pthread_mutex_lock(&lock);
	if (address == end)
		phase = PHASES;
	for (i = 0; i < phase_count; i++) {
		if (phases[i].address == address) {
			phase = i;
			phases[i].calls++;
		}
	}
	pthread_mutex_unlock(&lock);
}

static bool is_limit(unsigned long address)
{
	size_t i;

	for (i = 0; i < phase_count; i++)
		if (phases[i].address == address)
			return true;
	return address == end;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	unsigned long address = qemu_plugin_tb_vaddr(tb);
	size_t i;

	if (is_limit(address))
		qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, QEMU_PLUGIN_CB_NO_REGS,
						     (void *)address);
	for (i = 0; address >= KERNEL && i < qemu_plugin_tb_n_insns(tb); i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		unsigned long code = qemu_plugin_insn_vaddr(insn);

		qemu_plugin_register_vcpu_mem_cb(insn, wrote, QEMU_PLUGIN_CB_NO_REGS,
						 QEMU_PLUGIN_MEM_W, (void *)code);
	}
}

static void print_line(FILE *file, size_t i, const struct line *line)
{
	const struct writes *writes;

	/* One bit: one CPU only. */
	if (!(line->cpus & (line->cpus - 1)))
		return;
	for (writes = line->writes; writes; writes = writes->next)
		fprintf(file, "%s %lu %lx %lu 1\n", phases[i].name, phases[i].calls,
			writes->code, writes->count);
}

static void finish(qemu_plugin_id_t id, void *data)
{
	FILE *file = fopen(out, "w");
	const struct line *line;
	size_t i, bucket;

	if (!file) {
		perror(out);
		return;
	}
	for (i = 0; i < phase_count; i++)
		for (bucket = 0; bucket < BUCKETS; bucket++)
			for (line = lines[i][bucket]; line; line = line->next)
				print_line(file, i, line);
	fclose(file);
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc,
					   char **argv)
{
	int i;

	for (i = 0; i < argc; i++) {
		if (!take_argument(argv[i]) && sscanf(argv[i], "end=%lx", &end) != 1)
			return -1;
	}
	if (!out || !end || !phase_count)
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_atexit_cb(id, finish, NULL);
	return 0;
}
