// SPDX-License-Identifier: GPL-2.0
/*
 * A plugin for QEMU that counts the guest's instructions by address while pagebench
 * measures. The sum is what the machine's clock counts, but for blocks of code that an
 * exception cut short.
 *
 * arguments: clock=ADDRESS, of pagebench's now(): counting begins when a function that
 * measures calls it, and ends when it does so again; phase=NAME:ADDRESS, of each of
 * these functions; from=ADDRESS and until=ADDRESS, of functions between which they are
 * called for this; out=FILE, to which lines "NAME CALLS ADDRESS INSTRUCTIONS EXECUTIONS"
 * go at the end, with how often the function was called.
 */
#include "phases.h"
#include "qemu_plugin.h"

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

/* A block of code as QEMU translates it; the same one may be translated again. */
struct block {
	unsigned long address;
	unsigned long length;
	unsigned long executed[PHASES];
	struct block *next;
};

static struct block *blocks;
static unsigned long clock_address, from, until;

/* Whether calls count, the phase that was called last, and whether its clock runs. */
static bool calls_count;
static size_t phase = PHASES;
static bool counting;

static void executed(unsigned int cpu, void *data)
{
	struct block *block = data;
	size_t i;

	if (counting)
		block->executed[phase]++;
	if (block->address == clock_address) {
		if (counting)
			phase = PHASES;
		counting = phase < PHASES;
	}
	if (block->address == from)
		calls_count = true;
	if (block->address == until)
		calls_count = false;
	for (i = 0; calls_count && i < phase_count; i++) {
		if (block->address == phases[i].address) {
			phase = i;
			phases[i].calls++;
			counting = false;
		}
	}
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	struct block *block = calloc(1, sizeof(*block));

	if (!block)
		abort();
	block->address = qemu_plugin_tb_vaddr(tb);
	block->length = qemu_plugin_tb_n_insns(tb);
	block->next = blocks;
	blocks = block;
	qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, QEMU_PLUGIN_CB_NO_REGS, block);
}

static void finish(qemu_plugin_id_t id, void *data)
{
	FILE *file = fopen(out, "w");
	struct block *block;
	size_t i;

	if (!file) {
		perror(out);
		return;
	}
	for (block = blocks; block; block = block->next) {
		for (i = 0; i < phase_count; i++) {
			unsigned long count = block->executed[i];

			if (count)
				fprintf(file, "%s %lu %lx %lu %lu\n", phases[i].name,
					phases[i].calls, block->address, count * block->length,
					count);
		}
	}
	fclose(file);
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc,
					   char **argv)
{
	int i;

	for (i = 0; i < argc; i++) {
		if (!take_argument(argv[i]) &&
		    sscanf(argv[i], "clock=%lx", &clock_address) != 1 &&
		    sscanf(argv[i], "from=%lx", &from) != 1 &&
		    sscanf(argv[i], "until=%lx", &until) != 1)
			return -1;
	}
	if (!out || !clock_address || !from || !phase_count)
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_atexit_cb(id, finish, NULL);
	return 0;
}
