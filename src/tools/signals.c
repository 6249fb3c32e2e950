/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "signals.h"

#include <signal.h>
#include <sys/time.h>

static volatile sig_atomic_t stop_signal;
static volatile sig_atomic_t asked;
static volatile sig_atomic_t every_second;

static void set_timer(long microseconds)
{
	struct itimerval timer = {
		.it_interval = { microseconds / 1000000, microseconds % 1000000 },
		.it_value = { microseconds / 1000000, microseconds % 1000000 },
	};

	setitimer(ITIMER_REAL, &timer, NULL);
}

/*
 * The flag may have been looked at just before, and a call entered that blocks: the timer
 * interrupts it, again and again until somebody looks.
 */
static void catch_signal(int number)
{
	if (number == SIGUSR1)
		asked = 1;
	else if (number != SIGALRM)
		stop_signal = number;
	if (number != SIGALRM)
		set_timer(20000);
}

static void catch_one(int number)
{
	struct sigaction old, action = { .sa_handler = catch_signal };

	/* Without SA_RESTART: a blocked call is to end. */
	if (!sigaction(number, NULL, &old) && old.sa_handler != SIG_IGN)
		sigaction(number, &action, NULL);
}

void signals_catch(bool ignore_interrupt)
{
	if (ignore_interrupt)
		signal(SIGINT, SIG_IGN);
	catch_one(SIGINT);
	catch_one(SIGTERM);
	catch_one(SIGHUP);
	catch_one(SIGUSR1);
	catch_one(SIGALRM);
}

void signals_every_second(void)
{
	every_second = 1;
	set_timer(1000000);
}

int signals_stop(void)
{
	return stop_signal;
}

bool signals_asked(void)
{
	if (!asked)
		return false;
	asked = 0;
	if (!stop_signal)
		set_timer(every_second ? 1000000 : 0);
	return true;
}

int signals_end(int status)
{
	int number = stop_signal;

	if (!number)
		return status;
	signal(number, SIG_DFL);
	raise(number);
	return 128 + number;
}
