/* Lets Python start callgrind's counting and dump the counts of a block of calls. Needs valgrind's headers.
   Counting is never stopped: callgrind loses its reckoning of other threads when it is. */
#include <valgrind/callgrind.h>
void counting_start(void) { CALLGRIND_START_INSTRUMENTATION; }
void counting_dump(const char *label) { CALLGRIND_DUMP_STATS_AT(label); }
int counting_possible(void) { return RUNNING_ON_VALGRIND; }
