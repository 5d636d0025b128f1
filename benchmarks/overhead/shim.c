/* Lets Python start and stop callgrind's counting around a block of calls. Needs valgrind's headers. */
#include <valgrind/callgrind.h>
void counting_start(void) { CALLGRIND_START_INSTRUMENTATION; CALLGRIND_ZERO_STATS; }
void counting_dump(const char *label) { CALLGRIND_DUMP_STATS_AT(label); }
void counting_stop(void) { CALLGRIND_STOP_INSTRUMENTATION; }
int counting_possible(void) { return RUNNING_ON_VALGRIND; }
