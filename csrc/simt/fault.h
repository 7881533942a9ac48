// Signals that a kernel's wrong memory access or division raises become the error of its launch.
#pragma once

namespace tidu::simt {

// Tells the watchdog that a kernel begins or ends on this thread.
void watch(bool kernel_runs);

// Makes this thread ready to catch them. Cheap after the first time.
void catch_faults();

}  // namespace tidu::simt
