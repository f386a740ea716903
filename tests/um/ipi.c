// SPDX-License-Identifier: GPL-2.0
/*
 * A library for a kernel that runs as a program on several CPUs, loaded before libc.
 *
 * Whenever such a kernel disables or enables interrupts it blocks or unblocks the signal
 * that CPUs call each other with, which is a system call: some hundred times for a page
 * that is swapped. They cost more than what is measured, and CPUs wait for each other in
 * them, as the host has one lock for the signals of a process. Processors have an
 * instruction for that, which takes nothing. So here it is a variable: a call that comes
 * while it is set is noted, and answered when it is cleared, as the kernel itself does it
 * with all its other signals.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

/* arch/um/os-Linux/internal.h */
#define IPI_SIGNAL	SIGRTMIN

/* The signals of a set that the host has. */
#define WORD(set)	((set)->__val[0])

/* A CPU is a thread. The linker places these as near as the kernel's own variables, see run. */
static __thread volatile bool blocked;
/*
 * A bit for each kind of call. One call of a kind stands for several: the handler does
 * all that there is to do.
 */
static __thread unsigned int pending;

static int (*real_sigprocmask)(int how, const sigset_t *set, sigset_t *old);
static int (*real_sigaction)(int sig, const struct sigaction *new, struct sigaction *old);
static void (*handler)(int sig, siginfo_t *info, void *context);
static unsigned long only_ours;

static __attribute__((constructor)) void find_real(void)
{
	only_ours = 1UL << (IPI_SIGNAL - 1);
	real_sigprocmask = dlsym(RTLD_NEXT, "sigprocmask");
	real_sigaction = dlsym(RTLD_NEXT, "sigaction");
	if (!real_sigprocmask || !real_sigaction)
		abort();
}

/* Answers what was noted, one after the other. The handler may unblock and get here. */
static void answer(void)
{
	unsigned int kinds;

	while (!blocked && __atomic_load_n(&pending, __ATOMIC_RELAXED)) {
		kinds = __atomic_exchange_n(&pending, 0, __ATOMIC_SEQ_CST);
		for (; kinds; kinds &= kinds - 1) {
			siginfo_t info = { .si_signo = IPI_SIGNAL };

			info.si_value.sival_int = __builtin_ctz(kinds);
			blocked = true;
			handler(IPI_SIGNAL, &info, NULL);
			blocked = false;
		}
	}
}

static void note(int sig, siginfo_t *info, void *context)
{
	__atomic_fetch_or(&pending, 1U << info->si_value.sival_int, __ATOMIC_SEQ_CST);
	answer();
}

/* The signal itself may come while it is answered: that is what is noted. */
int sigaction(int sig, const struct sigaction *new, struct sigaction *old)
{
	struct sigaction ours;

	if (sig != IPI_SIGNAL || !new)
		return real_sigaction(sig, new, old);
	handler = new->sa_sigaction;
	ours = *new;
	ours.sa_sigaction = note;
	ours.sa_flags |= SA_NODEFER;
	sigdelset(&ours.sa_mask, IPI_SIGNAL);
	return real_sigaction(sig, &ours, old);
}

/* What came until now comes once more. */
static void raise_again(void)
{
	unsigned int kinds = __atomic_exchange_n(&pending, 0, __ATOMIC_SEQ_CST);

	for (; kinds; kinds &= kinds - 1) {
		union sigval value = { .sival_int = __builtin_ctz(kinds) };

		if (pthread_sigqueue(pthread_self(), IPI_SIGNAL, value))
			abort();
	}
}

/*
 * Calls that are about other signals, too. A CPU that is about to sleep blocks its timer's,
 * and then waits for that one and ours as signals, not in their handlers: so ours is
 * blocked in earnest until the timer's is unblocked.
 */
static int change_others(int how, const sigset_t *set, sigset_t *old)
{
	bool was_blocked = blocked, ours = WORD(set) & only_ours;
	sigset_t others = *set;
	int err;

	if (how == SIG_SETMASK)
		blocked = ours;
	else if (ours)
		blocked = how == SIG_BLOCK;

	WORD(&others) &= ~only_ours;
	if (how == SIG_UNBLOCK || (how == SIG_BLOCK && blocked))
		WORD(&others) |= only_ours;
	err = real_sigprocmask(how, &others, old);
	if (how == SIG_BLOCK && blocked)
		raise_again();

	if (old && was_blocked)
		WORD(old) |= only_ours;
	if (!blocked)
		answer();
	return err;
}

int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	if (!set)
		return real_sigprocmask(how, set, old);
	if (WORD(set) != only_ours || how == SIG_SETMASK || old)
		return change_others(how, set, old);

	blocked = how == SIG_BLOCK;
	if (!blocked)
		answer();
	return 0;
}
